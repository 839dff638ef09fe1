from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from moss.backbones import janus
from schemas.errors import UserError
from tests.moss import hands


@pytest.fixture(scope="module")
def plain():
    return janus.tiny().eval()


def test_ids_of_codes_follow_the_text_vocabulary(plain):
    layout, tokenizer = plain.layout, plain.tokenizer.tokenizer
    assert (layout.low, layout.high) == (len(tokenizer), len(tokenizer) + 64)
    assert tokenizer.convert_ids_to_tokens([layout.begin, layout.end]) == ["<begin_of_image>", "<end_of_image>"]
    codes = np.arange(64).reshape(8, 8)
    block = layout.block(codes)
    assert len(block) == layout.block_length == 64 + 2 and np.array_equal(layout.codes(block), codes)


@torch.no_grad()
def test_codes_and_words_go_through_embeddings_of_their_own(plain):
    low, model = plain.layout.low, plain.plain_model
    ids = torch.tensor([[5, low, 7, low + 63]])
    text, code = model.get_input_embeddings(), model.prepare_embeddings_for_image_generation
    embedded = torch.stack([text.weight[5], code(torch.tensor(0)), text.weight[7], code(torch.tensor(63))])[None]
    expected = model.model.language_model(inputs_embeds=embedded).last_hidden_state
    torch.testing.assert_close(plain.hidden(ids), expected)
    torch.testing.assert_close(plain.image_logits(expected[0]), model.model.generation_head(expected[0]))
    assert plain.text_logits(expected[0]).shape == (4, low) and plain.image_logits(expected[0]).shape == (4, 64)


@torch.no_grad()
def test_a_code_is_the_nearest_by_angle(plain):
    image = hands.picture(1, 32, 32)
    codes = plain.pixels.encode([image, hands.picture(2)])
    assert codes.shape == (2, 8, 8) and codes.dtype == np.uint16 and len(np.unique(codes)) > 8
    vq = plain.plain_model.model.vqmodel
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None] / 127.5 - 1
    latent = normalize(vq.quant_conv(vq.encoder(pixels)), dim=1)
    at = latent[0].permute(1, 2, 0).flatten(0, 1)
    distance = torch.cdist(at, normalize(vq.quantize.embedding.weight, dim=-1))
    assert np.array_equal(codes[0].ravel(), distance.argmin(-1).numpy())
    longer = janus.tiny()
    longer.plain_model.model.vqmodel.quantize.embedding.weight *= torch.linspace(0.5, 2, 64)[:, None]
    assert np.array_equal(longer.pixels.encode([image])[0], codes[0])  # lengths of the codebook do not matter


def test_pixels_are_those_that_transformers_decodes(plain):
    codes = plain.pixels.encode([hands.picture(1)])[0]
    with torch.no_grad():
        pixels = plain.plain_model.decode_image_tokens(torch.from_numpy(codes.astype(np.int64)).view(1, 64))[0]
    shown = np.asarray(plain.pixels.decode(codes))
    assert shown.shape == (32, 32, 3)
    np.testing.assert_allclose(shown, ((pixels.clamp(-1, 1) + 1) * 127.5).numpy(), atol=0.5)


def test_adapters_learn_both_losses_and_sit_on_the_language_model_alone():
    generalist = hands.adapt(janus.tiny())
    layers = hands.adapted_layers(generalist)
    assert len(layers) == 2 * 7 and all(".language_model.layers." in name for name in layers)
    seen = hands.train(generalist, hands.batch(generalist, hands.samples(generalist)))
    assert np.isfinite(seen).all()
    assert seen[-1][0] < 0.3 * seen[0][0] and seen[-1][1] < 0.6 * seen[0][1]
    assert all(p.grad.abs().sum() > 0 for p in generalist.parameters() if p.requires_grad)
    whole, steps = hands.stepwise(generalist, hands.samples(generalist)[0], prefill=40)
    torch.testing.assert_close(steps, whole, atol=1e-4, rtol=0)


def test_the_adapters_see_which_tokens_are_codes():
    generalist = hands.adapt(janus.tiny())
    for name, parameter in generalist.model.named_parameters():
        if "moss_image_B" in name:
            torch.nn.init.normal_(parameter)
    one = hands.samples(generalist)[0]
    ids = torch.from_numpy(one.ids)[None]
    first = int(np.flatnonzero(ids[0] >= generalist.layout.low)[0])
    with torch.no_grad():
        adapted = generalist.hidden(ids)[0]
        with generalist.model.disable_adapter():
            base = generalist.hidden(ids)[0]
    assert torch.equal(adapted[:first], base[:first])  # text before the image: no image branch
    assert not torch.allclose(adapted[first], base[first], atol=1e-3)


def test_cached_steps_equal_the_whole_and_packed_samples_are_apart(plain):
    hands.assert_cached_and_packed(plain)


def test_text_that_spells_special_tokens_stays_text(plain):
    ids = plain.tokenizer.encode("a <begin_of_image> b</s>")
    assert max(ids) < 256 and plain.tokenizer.decode(ids) == "a <begin_of_image> b</s>"


def test_a_saved_checkpoint_comes_back_with_exact_codes_in_bfloat16(plain, tmp_path):
    plain.plain_model.save_pretrained(tmp_path)
    plain.tokenizer.tokenizer.save_pretrained(tmp_path)
    loaded = janus.load(tmp_path, dtype=torch.bfloat16)
    assert loaded.layout == plain.layout and loaded.pixels.fingerprint == plain.pixels.fingerprint
    assert loaded.plain_model.lm_head.weight.dtype == torch.bfloat16
    assert np.array_equal(loaded.pixels.encode([hands.picture(1)]), plain.pixels.encode([hands.picture(1)]))
    scores = loaded(hands.batch(loaded, hands.samples(loaded)))
    assert all(values.dtype == torch.float32 and values.isfinite().all() for values in scores)
    other = janus.byte_tokenizer()
    with pytest.raises(UserError, match="begin_of_image"):
        janus.Janus(plain.plain_model, other)


def test_a_model_in_bfloat16_still_has_pixels():
    generalist = janus.tiny()
    generalist.model.to(torch.bfloat16)
    codes = generalist.pixels.encode([hands.picture(1)])
    assert codes.shape == (1, 8, 8) and generalist.pixels.decode(codes[0]).size == (32, 32)


def test_images_are_encoded_in_batches_that_fit(plain, monkeypatch):
    pixels, images = plain.pixels, [hands.picture(n) for n in range(5)]
    whole, sizes, own = pixels.encode(images), [], pixels._encode
    monkeypatch.setattr(pixels, "_encode", lambda some: sizes.append(len(some)) or own(some))
    assert len(pixels.encode(images)) == 5 and sizes == [5]  # of this size, 64 of them would fit
    sizes.clear()
    monkeypatch.setattr(janus, "BATCH_PIXELS", 2 * pixels.size**2 + 1)
    assert np.array_equal(pixels.encode(images), whole) and sizes == [2, 2, 1]
    sizes.clear()
    monkeypatch.setattr(janus, "BATCH_PIXELS", 1)  # one that does not fit goes alone
    assert np.array_equal(pixels.encode(images), whole) and sizes == [1] * 5
