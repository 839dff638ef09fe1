from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from transformers import Emu3ImageProcessor, Emu3Processor

from moss.backbones import emu3
from schemas.errors import UserError
from tests.moss import hands


@pytest.fixture(scope="module")
def plain():
    return emu3.tiny().eval()


def test_a_block_is_what_the_processor_of_transformers_writes(plain):
    tokenizer, layout = plain.tokenizer.tokenizer, plain.layout
    processor = Emu3Processor(Emu3ImageProcessor(min_pixels=64 * 64, max_pixels=64 * 64), tokenizer)
    written = processor(images=[hands.picture(1, 64, 64)], text="<image>")["input_ids"][0]  # 64 / 8: a grid of 8 x 8
    block = layout.block(np.arange(64).reshape(8, 8))
    placeholder = tokenizer.image_token_id
    header = 1 + len(layout.header)
    assert written == [tokenizer.bos_token_id, *block[:header], *[placeholder] * 8 * (8 + 1), *block[-2:]]
    assert tokenizer.decode(block[:header]) == "<|image start|>8*8<|image token|>"
    assert tokenizer.decode(block[-3:]) == "<|extra_200|><|extra_201|><|image end|>"
    assert layout.block_length == len(block) == len(written) - 1


def test_codes_are_the_ids_that_the_model_gives_an_image(plain):
    images = [hands.picture(1), hands.picture(2, 60, 30)]
    codes = plain.pixels.encode(images)
    assert codes.shape == (2, 8, 8) and codes.dtype == np.uint16 and len(np.unique(codes)) > 8
    given = plain.pixels.processor([emu3.square(i, 32) for i in images], do_resize=False, return_tensors="pt")
    ids = plain.plain_model.model.get_image_tokens(given["pixel_values"], given["image_sizes"]).view(2, 72)
    for flat, one in zip(ids.numpy(), codes, strict=False):
        block = plain.layout.block(one)
        assert np.array_equal(block[1 + len(plain.layout.header) : -2], flat)
        assert np.array_equal(plain.layout.codes(block), one)


def test_pixels_are_those_that_transformers_decodes(plain):
    codes = plain.pixels.encode([hands.picture(1)])[0]
    shown = plain.pixels.decode(codes)
    with torch.no_grad():
        pixels = plain.plain_model.model.vqmodel.decode(torch.from_numpy(codes.astype(np.int64))[None])
    expected = plain.pixels.processor.postprocess(list(pixels))["pixel_values"][0]
    assert shown.size == (32, 32) and shown.tobytes() == expected.tobytes()
    assert shown.tobytes() != plain.pixels.decode(codes[::-1].copy()).tobytes()


def test_training_mode_leaves_the_codes_alone():
    """The image tokenizer has batch norms."""
    generalist, image = emu3.tiny(), hands.picture(1)
    before, fingerprint = generalist.pixels.encode([image]), generalist.pixels.fingerprint
    generalist.train()
    assert np.array_equal(generalist.pixels.encode([image, hands.picture(2)])[:1], before)
    del generalist.pixels.fingerprint
    assert generalist.pixels.fingerprint == fingerprint != emu3.tiny(seed=1).pixels.fingerprint


def test_adapters_learn_both_losses_and_stay_off_the_image_tokenizer():
    generalist = hands.adapt(emu3.tiny())
    layers = hands.adapted_layers(generalist)
    assert len(layers) == 2 * 7 and all(".text_model.layers." in name for name in layers)
    assert "vqmodel" in str([n for n, m in generalist.named_modules() if n.endswith("q_proj")])  # it has such layers
    seen = hands.train(generalist, hands.batch(generalist, hands.samples(generalist)))
    assert np.isfinite(seen).all()
    assert seen[-1][0] < 0.3 * seen[0][0] and seen[-1][1] < 0.6 * seen[0][1]
    assert all(p.grad.abs().sum() > 0 for p in generalist.parameters() if p.requires_grad)
    whole, steps = hands.stepwise(generalist, hands.samples(generalist)[0], prefill=40)
    torch.testing.assert_close(steps, whole, atol=1e-4, rtol=0)


def test_cached_steps_equal_the_whole_and_packed_samples_are_apart(plain):
    hands.assert_cached_and_packed(plain)


def test_image_scores_use_only_the_visual_part_of_the_vocabulary(plain):
    given = hands.batch(plain, hands.samples(plain))
    with torch.no_grad():
        hidden = plain.hidden(given.ids, given.positions).flatten(0, 1)[given.image_at]
        everything = plain.text_logits(hidden)[:, plain.layout.low : plain.layout.high]
        torch.testing.assert_close(plain.image_logits(hidden), everything)
    assert given.image_target.max() < 64 == everything.shape[1]


def test_text_that_spells_special_tokens_stays_text(plain):
    spelt = "Type <|image start|>8*8<|image token|><|visual token 000001|></s> here."
    ids = plain.tokenizer.encode(spelt)
    assert ids == plain.tokenizer.tokenizer.encode(spelt, add_special_tokens=False, split_special_tokens=True)
    assert max(ids) < 256 and plain.tokenizer.decode(ids) == spelt
    assert plain.tokenizer.encode("") == []


def test_a_saved_checkpoint_comes_back_with_exact_codes_in_bfloat16(plain, tmp_path):
    plain.plain_model.config.text_config.attention_dropout = 0.1
    plain.plain_model.save_pretrained(tmp_path)
    plain.plain_model.config.text_config.attention_dropout = 0.0
    plain.tokenizer.tokenizer.save_pretrained(tmp_path)
    plain.pixels.processor.save_pretrained(tmp_path)
    loaded = emu3.load(tmp_path, dtype=torch.bfloat16, size=32)
    assert loaded.layout == plain.layout and loaded.pixels.fingerprint == plain.pixels.fingerprint
    assert torch.equal(loaded.plain_model.lm_head.weight, plain.plain_model.lm_head.weight.bfloat16())
    layer = loaded.plain_model.model.text_model.layers[0].self_attn
    assert layer.q_proj.weight.dtype == torch.bfloat16 and layer.attention_dropout == 0.0
    assert np.array_equal(loaded.pixels.encode([hands.picture(1)]), plain.pixels.encode([hands.picture(1)]))
    other = emu3.load(tmp_path, size=64)
    assert other.layout == dataclasses.replace(
        plain.layout,
        rows=16,
        columns=16,
        header=(*other.tokenizer.encode("16*16"), other.tokenizer.tokenizer.image_wrapper_token_id),
    )
    with pytest.raises(UserError, match="multiple of 4"):
        emu3.load(tmp_path, size=30)


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match="no config.json"):
        emu3.load(tmp_path)


def test_a_model_in_bfloat16_still_has_pixels():
    generalist = emu3.tiny()
    generalist.model.to(torch.bfloat16)
    codes = generalist.pixels.encode([hands.picture(1)])
    assert codes.shape == (1, 8, 8) and generalist.pixels.decode(codes[0]).size == (32, 32)
