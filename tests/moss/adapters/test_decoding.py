"""Cached decoding: the convolution remembers what it needs, and says so when it cannot."""

import contextlib
import copy

import numpy as np
import pytest
import torch
from transformers import DynamicCache, StaticCache

from moss import MossConfig
from moss.adapters import decoding
from moss.backbones import chameleon, emu3, janus
from tests.moss import hands
from tests.moss.adapters.little import KINDS, LOW, adapted, awaken, decoder, sequence

every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
@pytest.mark.parametrize("row_end", [False, True])
@pytest.mark.parametrize("chunks", [[1] * 60, [7, 1, 1, 20, 3, 60], [26, 60]], ids=["tokens", "chunks", "prefill"])
@torch.no_grad()
def test_cached_decoding_equals_the_full_forward(kind, row_end, chunks):
    model, ids = adapted(kind, row_end=row_end), sequence(row_end=row_end)
    expected = model(ids).logits
    cache, parts, start = DynamicCache(config=model.config), [], 0
    for size in chunks:
        part = ids[:, start : start + size]
        if part.shape[1]:
            parts.append(model(part, past_key_values=cache, use_cache=True).logits)
        start += size
    torch.testing.assert_close(torch.cat(parts, 1), expected, atol=2e-5, rtol=1e-5)


@torch.no_grad()
def test_the_state_is_as_small_as_the_kernel_allows():
    model, ids = adapted("feature k=3"), sequence()
    cache = DynamicCache(config=model.config)
    model(ids, past_key_values=cache, use_cache=True)
    longest = 2 * 5 + 2
    histories = cache.moss_state.histories.values()
    assert {tuple(history.ring.shape) for history in histories} == {(2, longest + 1, 9 * 4)}
    assert len(histories) == 10  # five linear layers in each of two decoder layers


@torch.no_grad()
def test_two_generations_do_not_mix():
    model, ids = adapted("feature"), sequence()
    first, second = DynamicCache(config=model.config), DynamicCache(config=model.config)
    expected = model(ids).logits[:, -1]
    for start in range(0, ids.shape[1] - 1, 4):
        stop = min(start + 4, ids.shape[1] - 1)
        model(ids[:, start:stop], past_key_values=first, use_cache=True)
        model(ids[:, start:stop].flip(0), past_key_values=second, use_cache=True)
    branch = copy.deepcopy(first)
    for cache, rows in ((first, slice(None)), (branch, slice(None))):
        found = model(ids[rows, -1:], past_key_values=cache, use_cache=True).logits[:, -1]
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


@torch.no_grad()
def test_generate_with_left_padding_equals_recomputing_every_step():
    model, ids = adapted("feature"), sequence()
    prompt = ids[:, :12].clone()
    prompt[1, :4], mask = 0, torch.ones(2, 12, dtype=torch.long)
    mask[1, :4] = 0

    def only_images(_, scores):  # stay inside the image, where the convolution matters
        scores[:, :LOW] = scores[:, LOW + 40 :] = float("-inf")
        return scores

    found = model.generate(
        input_ids=prompt, attention_mask=mask, max_new_tokens=10, do_sample=False, logits_processor=[only_images]
    )
    for row in range(2):
        text = prompt[row : row + 1, 4 * row :]
        for _ in range(10):
            scores = only_images(None, model(text).logits[:, -1])
            text = torch.cat([text, scores.argmax(-1, keepdim=True)], dim=1)
        assert torch.equal(found[row, 4 * row :], text[0])


@torch.no_grad()
def test_what_would_be_silently_wrong_is_refused():
    model, ids = adapted("feature"), sequence()
    for inner in (model, model.get_base_model()):  # around PEFT's wrapper too
        with pytest.raises(NotImplementedError, match="Beam search, assisted"):
            inner.generate(input_ids=ids, num_beams=4, max_new_tokens=4)
        with pytest.raises(NotImplementedError, match="Beam search, assisted"):
            inner.generate(input_ids=ids[:1], prompt_lookup_num_tokens=3, max_new_tokens=8)
        with pytest.raises(NotImplementedError, match="Beam search, assisted"):
            inner.generate(input_ids=ids[:1], assistant_model=decoder(1), max_new_tokens=4)
    cache = DynamicCache(config=model.config)
    model(ids, past_key_values=cache, use_cache=True)
    with pytest.raises(NotImplementedError, match="would be wrong without an error"):
        cache.crop(4)


@torch.no_grad()
def test_a_cache_that_the_adapters_did_not_fill_is_refused():
    model, ids = adapted("feature"), sequence()
    cache = DynamicCache(config=model.config)
    decoder()(ids, past_key_values=cache, use_cache=True)
    with pytest.raises(ValueError, match=f"holds {ids.shape[1]} tokens, of which the adapters saw 0"):
        model(ids[:, :1], past_key_values=cache, use_cache=True)


@torch.no_grad()
@pytest.mark.parametrize("gpu", [False, True], ids=["the length is known", "it must be waited for"])
def test_a_static_cache_of_the_plain_model_is_refused(monkeypatch, gpu):
    """On a GPU too, where its length is read once: `_must_wait` says here what it says there."""
    monkeypatch.setattr(decoding, "_must_wait", lambda value: gpu)
    model, ids = adapted("feature"), sequence()
    cache = StaticCache(config=model.config, max_cache_len=64)
    decoder()(ids[:, :20], past_key_values=cache, use_cache=True)
    for _ in range(2):  # also if it is tried again
        with pytest.raises(ValueError, match="holds 20 tokens, of which the adapters saw 0"):
            model(ids[:, 20:], past_key_values=cache, use_cache=True)
    cache.reset()
    parts = [model(part, past_key_values=cache, use_cache=True).logits for part in ids.split(13, dim=1)]
    torch.testing.assert_close(torch.cat(parts, 1), model(ids).logits, atol=2e-5, rtol=1e-5)


@torch.no_grad()
def test_a_static_caches_length_is_not_waited_for_at_every_token(monkeypatch):
    """A wrong length, which is refused where it is read, goes unnoticed while tokens are decoded."""
    model, ids = adapted("feature"), sequence()
    for gpu, refused in ((False, pytest.raises(ValueError, match="holds 3 tokens")), (True, contextlib.nullcontext())):
        monkeypatch.setattr(decoding, "_must_wait", lambda value, gpu=gpu: gpu)
        cache = StaticCache(config=model.config, max_cache_len=64)
        model(ids[:, :20], past_key_values=cache, use_cache=True)
        cache.layers[0].cumulative_length.fill_(3)
        with refused:
            model(ids[:, 20:21], past_key_values=cache, use_cache=True)


@torch.no_grad()
@pytest.mark.parametrize("kind", [DynamicCache, StaticCache])
def test_a_cache_can_be_reset_twice(kind):
    model, ids = adapted("feature"), sequence()
    cache = kind(config=model.config, **({"max_cache_len": 64} if kind is StaticCache else {}))
    first = model(ids, past_key_values=cache, use_cache=True).logits
    cache.reset()
    cache.reset()
    assert torch.equal(model(ids, past_key_values=cache, use_cache=True).logits, first)


@torch.no_grad()
@pytest.mark.parametrize("asked", [{}, {"use_cache": True}, {"use_cache": None}], ids=str)
def test_the_cache_that_a_forward_returns_can_be_continued(asked):
    model, ids = adapted("feature"), sequence()
    first = model(ids[:, :20], **asked)
    second = model(ids[:, 20:], past_key_values=first.past_key_values, use_cache=True)
    expected = model(ids).logits
    torch.testing.assert_close(torch.cat([first.logits, second.logits], 1), expected, atol=2e-5, rtol=1e-5)
    assert model(ids, use_cache=False).past_key_values is None
    model.config.use_cache = False
    assert model(ids).past_key_values is None


@torch.no_grad()
@pytest.mark.parametrize("backbone", [chameleon, emu3, janus])
def test_the_cache_that_a_backbone_returns_can_be_continued(backbone):
    """Some of them have their decoder's settings in a part of their own."""
    made = hands.adapt(backbone.tiny(), kernel_size=2)
    awaken(made.model).eval()
    layout = made.layout
    image = layout.block(np.arange(layout.rows * layout.columns).reshape(layout.rows, -1))
    ids = torch.tensor([[85, 86, *image, 87, 87]])
    given = {"input_ids": ids}
    if backbone is janus:
        given = {"inputs_embeds": torch.randn(*ids.shape, 96), "moss_ids": ids}
    expected = made.core(**given).last_hidden_state
    first = made.core(**{name: value[:, :20] for name, value in given.items()})
    second = made.core(**{name: value[:, 20:] for name, value in given.items()}, past_key_values=first.past_key_values)
    found = torch.cat([first.last_hidden_state, second.last_hidden_state], 1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_unloading_leaves_nothing_behind():
    model = adapted("feature").unload()
    core = model.model
    assert not core._forward_pre_hooks and not core._forward_hooks and not hasattr(core, "moss_router")
    assert model(inputs_embeds=torch.zeros(1, 3, 32)).logits.shape == (1, 3, 100)
    assert isinstance(MossConfig(kind="lora", target_modules=["q_proj"]), MossConfig)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})
