"""What would give a wrong result without an error gives the right one, or an error. The plain loop is the measure."""

import contextlib
import functools
import threading

import peft
import pytest
import torch
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache, OPTConfig, OPTForCausalLM, StaticCache

from moss.backbones import janus
from tests.moss.adapters.little import GRID, LOW, ROW_END, adapted, awaken, config, decoder, image, sequence
from tests.moss.adapters.test_native import generalist
from tests.moss.adapters.test_training import assert_same, gradients, loss_of


@torch.no_grad()
def test_a_part_of_the_model_that_is_called_by_itself_takes_no_earlier_plan():
    made = generalist(janus)
    language, ids = made.core.language_model, torch.tensor([[5, 6, 7, 8]])
    embedded = torch.randn(1, 4, 96)
    made.hidden(torch.tensor([[5, 6, made.layout.low, made.layout.low + 1]]))  # the same length, with an image
    with pytest.raises(RuntimeError, match="do not know which tokens are an image's"):
        language(inputs_embeds=embedded)
    found = language(inputs_embeds=embedded, moss_ids=ids).last_hidden_state
    torch.testing.assert_close(found, made.core(inputs_embeds=embedded, moss_ids=ids).last_hidden_state)
    with pytest.raises(RuntimeError, match="do not know"):
        made.core.language_model.layers[0].self_attn.q_proj(embedded)


@torch.no_grad()
def test_a_forward_that_failed_leaves_nothing_to_the_next():
    model, ids = adapted("feature"), sequence()
    expected = model(ids).logits
    with pytest.raises(RuntimeError):
        model(ids, attention_mask=torch.ones(1, 1, 3, 7))
    router = model.base_model.router
    assert router.call is None and router.entered is None
    assert torch.equal(model(ids).logits, expected)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["feature", "lora"])
def test_two_threads_in_one_model_are_refused(kind):
    """The second comes while the first is in its first layer; the first is right, and afterwards so is the second.
    A shared LoRA has no plan, so both are right."""
    model, ids, other = adapted(kind), sequence(seed=1), sequence(seed=2).roll(3, dims=1)
    other[:, :3] = 7
    expected = [model(ids).logits, model(other).logits]
    found, inside, done = {}, threading.Event(), threading.Event()

    def second():
        inside.wait(60)
        try:
            found["second"] = model(other).logits
        except RuntimeError as error:
            found["error"] = str(error)
        done.set()

    def meet(*_):
        if threading.current_thread() is not thread:
            inside.set()
            assert done.wait(60)

    thread = threading.Thread(target=torch.no_grad()(second))
    thread.start()
    layer = model.get_base_model().model.layers[0]
    hook = layer.register_forward_pre_hook(meet)
    first = model(ids).logits
    hook.remove()
    thread.join(60)
    assert torch.equal(first, expected[0])
    if kind == "lora":
        assert torch.equal(found["second"], expected[1])
        return
    assert "call it from one thread at a time" in found["error"] and "second" not in found
    later = threading.Thread(target=torch.no_grad()(lambda: found.update(second=model(other).logits)))
    later.start()
    later.join(60)
    assert torch.equal(found["second"], expected[1])


@torch.no_grad()
def test_a_forward_that_was_interrupted_leaves_nothing_to_the_next():
    """torch runs no hooks after Ctrl-C."""
    model, ids = adapted("feature"), sequence(seed=1)
    other = ids.roll(3, dims=1)
    other[:, :3] = 7
    expected = model(other).logits

    def interrupt(*_):
        raise KeyboardInterrupt

    hook = model.get_base_model().model.layers[1].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        model(ids)
    hook.remove()
    assert torch.equal(model(other).logits, expected)


@pytest.mark.parametrize("switch", ["gradient_checkpointing_enable", "activation_checkpointing_enable"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_checkpointing_keeps_each_forwards_plan_whenever_it_is_switched_on(switch, when):
    first = sequence(seed=1)
    second = first.roll(3, dims=1)
    second[:, :3] = 7

    def made(checkpointing: bool):
        plain = decoder()
        if checkpointing and when == "before":
            getattr(plain, switch)()
        model = awaken(peft.get_peft_model(plain, config())).train()
        if checkpointing and when == "after":
            getattr(model.get_base_model(), switch)()
        if checkpointing:
            assert model.get_base_model().is_activation_checkpointing
            model.enable_input_require_grads()
        (loss_of(model, first) - 2 * loss_of(model, second)).backward()
        return gradients(model)

    assert_same(made(True), made(False))


def test_checkpointing_that_was_left_on_serves_the_next_adapters():
    ids = sequence()

    def made(checkpointing: bool):
        plain = decoder()
        for _ in range(2):  # the second time, the first one's plan is no longer filled
            model = awaken(peft.get_peft_model(plain, config())).train()
            if checkpointing:
                model.get_base_model().gradient_checkpointing_enable()
                model.enable_input_require_grads()
                checkpointing = False
            loss_of(model, ids).backward()
            found = gradients(model)
            plain = model.unload()
        return found

    assert_same(made(True), made(False))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_context_of_the_users_own_in_checkpointing_is_refused(when):
    def switch(model):
        own = {"context_fn": lambda: (contextlib.nullcontext(), contextlib.nullcontext())}
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=own)
        return model

    with pytest.raises(ValueError, match="Leave context_fn out of gradient_checkpointing_kwargs"):
        if when == "before":
            peft.get_peft_model(switch(decoder()), config())
        else:
            switch(adapted("feature").get_base_model())


def test_checkpointing_around_the_adapters_back_says_so():
    model, ids = adapted("feature").train(), sequence()
    layer = model.get_base_model().model.layers[0]
    layer.forward = functools.partial(checkpoint, layer.forward, use_reentrant=False)
    with pytest.raises(RuntimeError, match="gradient_checkpointing_enable"):
        loss_of(model, ids).backward()


@torch.no_grad()
@pytest.mark.parametrize("off", [(0, 12), (12, 20)], ids=["while reading the prompt", "while decoding"])
def test_adapters_switched_off_and_on_within_a_generation_are_refused(off):
    model, ids = adapted("feature"), sequence()
    cache = DynamicCache(config=model.config)
    with pytest.raises(ValueError, match="saw .* of the .* tokens that this cache holds"):
        for start, end in ((0, 12), (12, 20), (20, 21)):
            if (start, end) == off:
                with model.disable_adapter():
                    model(ids[:, start:end], past_key_values=cache, use_cache=True)
            else:
                model(ids[:, start:end], past_key_values=cache, use_cache=True)


@torch.no_grad()
def test_another_adapter_within_a_generation_is_refused():
    model, ids = adapted("feature"), sequence()
    model.add_adapter("other", config())
    cache = DynamicCache(config=model.config)
    model(ids[:, :12], past_key_values=cache, use_cache=True)
    model.set_adapter("other")
    with pytest.raises(ValueError, match="the adapter 'other' saw 0 of the 12 tokens"):
        model(ids[:, 12:13], past_key_values=cache, use_cache=True)


def test_gradients_through_a_continued_cache_are_refused():
    model, ids = adapted("feature").eval(), sequence()
    cache = DynamicCache(config=model.config)
    model(ids[:, :12], past_key_values=cache, use_cache=True)
    with pytest.raises(ValueError, match=r"under torch.no_grad\(\) only"):
        model(ids[:, 12:], past_key_values=cache, use_cache=True)


@torch.no_grad()
@pytest.mark.parametrize("width", [GRID[1] - 1, GRID[1] + 1])
def test_images_of_another_width_are_refused_where_row_ends_tell(width):
    model = adapted("feature", row_end=True)
    ids = [5] + ([LOW] * width + [ROW_END]) * 2 + [6]
    with pytest.raises(RuntimeError, match=f"a row of an image does not end after {GRID[1]} tokens"):
        model(torch.tensor([ids]))
    model(torch.tensor([[5, *image(torch.Generator().manual_seed(0), True), 6]]))


@torch.no_grad()
def test_a_layer_that_is_not_given_the_rows_of_ids_is_refused():
    """OPT calls these with all rows as one."""
    plain = OPTForCausalLM(
        OPTConfig(vocab_size=100, hidden_size=32, ffn_dim=64, num_hidden_layers=1, num_attention_heads=4)
    )
    model = peft.get_peft_model(plain, config(target_modules=["q_proj", "fc1"]))
    with pytest.raises(ValueError, match=r"given \(104, 32\) for ids \(2, 52\)"):
        model(sequence())


@torch.no_grad()
def test_a_static_cache_begins_anew_after_a_reset():
    model, ids = adapted("feature k=3"), sequence()
    expected = model(ids).logits
    cache = StaticCache(config=model.config, max_cache_len=64)
    for _ in range(2):
        parts = [model(ids[:, :13], past_key_values=cache, use_cache=True).logits]  # ends inside an image
        parts += [model(ids[:, at : at + 1], past_key_values=cache, use_cache=True).logits for at in range(13, 20)]
        torch.testing.assert_close(torch.cat(parts, 1), expected[:, :20], atol=2e-5, rtol=1e-5)
        cache.reset()
