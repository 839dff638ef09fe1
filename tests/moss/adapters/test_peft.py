"""The method as PEFT's users meet it."""

import json

import peft
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import DynamicCache

from moss import MossConfig
from tests.moss.adapters.little import KINDS, adapted, awaken, config, decoder, sequence, text_only

every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
@torch.no_grad()
def test_a_new_adapter_changes_no_bit(kind):
    ids = sequence()
    expected = decoder()(ids).logits
    model = peft.get_peft_model(decoder(), config(**KINDS[kind])).eval()
    assert torch.equal(model(ids).logits, expected)


@every_kind
@torch.no_grad()
def test_save_load_disable(kind, tmp_path):
    model, ids = adapted(kind), sequence()
    expected, plain = model(ids).logits, decoder()(ids).logits
    assert not torch.equal(expected, plain)
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert saved and all(".moss_" in name for name in saved)  # the adapter alone
    assert json.loads((tmp_path / "adapter_config.json").read_text())["peft_type"] == "MOSS"
    again = peft.PeftModel.from_pretrained(decoder(), tmp_path).eval()
    assert torch.equal(again(ids).logits, expected)
    with again.disable_adapter():
        assert torch.equal(again(ids).logits, plain)
    assert torch.equal(again(ids).logits, expected)
    assert torch.equal(again.unload()(ids).logits, plain)


def test_transformers_loads_it_too(tmp_path):
    model, ids = adapted("feature"), sequence()
    model.save_pretrained(tmp_path)
    plain = decoder()
    plain.load_adapter(str(tmp_path))
    with torch.no_grad():
        torch.testing.assert_close(plain(ids).logits, model(ids).logits)


@every_kind
@torch.no_grad()
def test_editing_a_later_token_changes_no_earlier_bit(kind):
    model, ids = adapted(kind), sequence(rows=1)
    before = model(ids).logits
    for place in range(1, ids.shape[1]):
        edited = ids.clone()
        edited[0, place] = 41 if ids[0, place] >= 40 else 7
        if edited[0, place] == ids[0, place]:
            continue
        after = model(edited).logits
        assert torch.equal(after[:, :place], before[:, :place])
        assert not torch.equal(after[:, place:], before[:, place:])


@torch.no_grad()
def test_text_and_image_branches_are_apart():
    ids = sequence(rows=1)
    plain = decoder()(ids).logits
    for branch, same in (("text", slice(0, 0)), ("image", slice(0, 5))):
        model = peft.get_peft_model(decoder(), config()).eval()
        for name, parameter in model.named_parameters():
            if f"moss_{branch}_B" in name:
                nn.init.normal_(parameter)
        found = model(ids).logits
        assert not torch.equal(found, plain)
        assert torch.equal(found[:, same], plain[:, same])  # before the first image its branch does nothing
    text = text_only(20)
    assert torch.equal(model(text).logits, decoder()(text).logits)


def test_parameter_counts_follow_the_formulas():
    layer_sizes = [(32, 32), (32, 16), (32, 32), (32, 64), (64, 32)] * 2  # q, v, o, gate, down
    r, i = 6, 4
    for kind, image in {
        "lora": 0,
        "moe_lora": lambda a, b: i * (a + b),
        "feature": lambda a, b: i * (4 * a + b),
        "feature k=3": lambda a, b: i * (9 * a + b),
        "feature_depthwise": lambda a, b: i * (a + b) + 9 * a,
        "rank": lambda a, b: i * (a + b) + 9 * i * i,
    }.items():
        model = peft.get_peft_model(decoder(), config(**KINDS[kind]))
        counts = {
            branch: sum(p.numel() for n, p in model.named_parameters() if p.requires_grad and branch in n)
            for branch in ("", "moss_text_", "moss_image_")
        }
        assert counts["moss_text_"] == sum(r * (a + b) for a, b in layer_sizes)
        assert counts["moss_image_"] == (sum(image(a, b) for a, b in layer_sizes) if image else 0)
        assert counts[""] == counts["moss_text_"] + counts["moss_image_"]


def test_merging():
    text, ids = text_only(20), sequence()
    with torch.no_grad():
        shared = adapted("lora")
        expected = shared(ids).logits
        torch.testing.assert_close(shared.merge_and_unload()(ids).logits, expected, atol=1e-5, rtol=1e-4)
        for kind in ("moe_lora", "feature", "rank"):
            model = adapted(kind)
            expected = model(text).logits
            with pytest.raises(ValueError, match='say modality="text"'):
                model.merge_and_unload()
            with pytest.raises(ValueError, match="cannot be merged"):
                model.merge_adapter()
            assert torch.equal(model(text).logits, expected)
            merged = model.merge_and_unload(modality="text")
            assert "moss" not in str(merged)
            torch.testing.assert_close(merged(text).logits, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["lora", "feature"])
def test_what_is_merged_is_not_merged_again(kind):
    model, text = adapted(kind), text_only(20)
    expected = model(text).logits
    model.merge_adapter(modality="text")
    with pytest.warns(UserWarning, match="already merged, nothing to do"):
        model.merge_adapter(modality="text")
    torch.testing.assert_close(model(text).logits, expected, atol=1e-5, rtol=1e-4)
    with pytest.warns(UserWarning, match="already merged, nothing to do"):
        plain = model.merge_and_unload(modality="text")
    torch.testing.assert_close(plain(text).logits, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["lora", "feature"])
def test_a_merged_adapter_can_be_switched_off_and_on(kind):
    model, text = adapted(kind), text_only(20)
    expected, plain = model(text).logits, decoder()(text).logits
    assert (expected - plain).abs().max() > 0.01
    model.merge_adapter(modality="text")
    with model.disable_adapter():
        torch.testing.assert_close(model(text).logits, plain, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model(text).logits, expected, atol=1e-5, rtol=1e-4)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="needs grid"):
        MossConfig(target_modules=["q_proj"])
    with pytest.raises(ValueError, match="does not fit into a grid of 4 x 5"):
        config(kernel_size=5)
    with pytest.raises(ValueError, match="it can be lora, moe_lora, moss"):
        config(kind="mos")
    with pytest.raises(ValueError, match="it can be feature, feature_depthwise, rank"):
        config(conv_space="pixel")
    with pytest.raises(ValueError, match="which linear layers"):
        peft.get_peft_model(decoder(), config(target_modules=None))
    with pytest.raises(TypeError, match="embed_tokens is a Embedding"):
        peft.get_peft_model(decoder(), config(target_modules=["embed_tokens"]))
    with pytest.raises(ValueError, match="ranks are at least 1"):
        config(r_image=0)
    model = adapted("feature")
    with pytest.raises(RuntimeError, match="pass moss_ids"):
        model(inputs_embeds=torch.zeros(1, 4, 32))
    with pytest.raises(ValueError, match="use_reentrant must be False"):
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})


def test_embeddings_with_their_ids_are_as_good_as_ids():
    model, ids = adapted("feature"), sequence()
    core = model.get_base_model().model
    with torch.no_grad():
        expected = core(input_ids=ids).last_hidden_state
        found = core(inputs_embeds=core.embed_tokens(ids), moss_ids=ids).last_hidden_state
    assert torch.equal(found, expected)


def test_a_bfloat16_base_keeps_float32_adapters():
    model = awaken(peft.get_peft_model(decoder().bfloat16(), config()))
    assert {p.dtype for n, p in model.named_parameters() if "moss_" in n} == {torch.float32}
    out = model(sequence()).logits
    assert out.dtype == torch.bfloat16
    out.float().square().mean().backward()
    assert all(p.grad.abs().sum() > 0 for n, p in model.named_parameters() if "moss_" in n)


def test_each_branch_is_scaled_by_its_own_alpha_over_its_own_rank():
    one, usual = config(alpha=3.0, alpha_image=8.0), config()  # ranks of 6 and 4
    assert (one.scale, one.scale_image) == (0.5, 2.0) and (usual.scale, usual.scale_image) == (2.0, 2.0)
    assert (config(r_image=None).image_rank, config(r_image=None, kind="moe_lora").image_rank) == (3, 6)


@torch.no_grad()
def test_an_alpha_of_nothing_switches_a_branch_off():
    ids, plain = sequence(), decoder()
    assert torch.equal(adapted("feature", alpha=0, alpha_image=0)(ids).logits, plain(ids).logits)
    assert torch.equal(adapted("feature", alpha=0)(text_only(9)).logits, plain(text_only(9)).logits)
    assert not torch.equal(adapted("feature", alpha=0)(ids).logits, plain(ids).logits)
    assert torch.equal(adapted("lora", alpha=0)(ids).logits, plain(ids).logits)


def test_a_forward_without_a_cache_keeps_no_state():
    model = adapted("feature")
    model(sequence())
    router = model.base_model.router
    assert router.call is None
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        model(sequence(), past_key_values=cache, use_cache=True)
    assert router.call is None and cache.moss_state.seen == sequence().shape[1]
