"""Chameleon as a generalist: ids, codes, text, loss, files."""

import json
import shutil

import numpy as np
import PIL.Image
import pytest
import torch
from transformers import ChameleonForConditionalGeneration
from transformers.models.chameleon.image_processing_pil_chameleon import ChameleonImageProcessorPil
from transformers.models.chameleon.modeling_chameleon import ChameleonImageVocabularyMapping

from moss import backbones
from moss.backbones import chameleon
from moss.backbones.chameleon_pixels import ChameleonPixels, as_bytes, as_input, square
from schemas.errors import UserError
from tests.moss import hands


@pytest.fixture(scope="module")
def tiny():
    return chameleon.tiny()


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("chameleon")
    chameleon.save(tiny, path)
    return path


def pictures(count: int, seed: int = 0) -> list[PIL.Image.Image]:
    small = np.random.default_rng(seed).integers(0, 256, (count, 4, 6, 3), dtype=np.uint8)
    return [PIL.Image.fromarray(picture).resize((60, 40), PIL.Image.Resampling.NEAREST) for picture in small]


def changed(folder, tmp_path, file: str, change) -> None:
    shutil.copytree(folder, tmp_path / "changed")
    content = json.loads((tmp_path / "changed" / file).read_text())
    change(content)
    (tmp_path / "changed" / file).write_text(json.dumps(content))


def test_tiny_is_small_and_the_same_for_a_seed(tiny):
    assert sum(weight.numel() for weight in tiny.parameters()) < 1_000_000
    again, other = chameleon.tiny(), chameleon.tiny(seed=1)
    assert again.pixels.fingerprint == tiny.pixels.fingerprint != other.pixels.fingerprint
    assert torch.equal(again.plain_model.lm_head.weight, tiny.plain_model.lm_head.weight)


def test_pictures_to_codes_and_back(tiny):
    shown = pictures(18)
    codes = tiny.pixels.encode(shown)
    assert codes.shape == (18, 8, 8) and codes.dtype == np.uint16 and codes.max() < 64
    assert min(len(np.unique(code)) for code in codes) > 3
    assert np.array_equal(tiny.pixels.encode(shown[17:]), codes[17:])
    assert tiny.pixels.encode([]).shape == (0, 8, 8)
    drawn = tiny.pixels.decode(codes[0])
    assert drawn.size == (32, 32) and drawn.mode == "RGB"


def test_codes_are_transformers_ids_counted_from_low(tiny):
    shown = pictures(2)
    inputs = as_input(torch.from_numpy(np.stack([square(image, 32) for image in shown])))
    with torch.no_grad():
        ids = tiny.core.get_image_tokens(inputs)
    blocks = [tiny.layout.block(code) for code in tiny.pixels.encode(shown)]
    assert [list(block[1:-1]) for block in blocks] == ids.tolist()
    assert blocks[0][0] == tiny.tokenizer.id("<racm3:break>") and blocks[0][-1] == tiny.tokenizer.id("<eoss>")


def test_token_names_may_stand_in_another_order_than_the_codebook(folder, tmp_path, tiny):
    low, last = tiny.layout.low, tiny.layout.high - 1

    def swap(content):
        names = content["vocabulary_map"]
        names["IMGIMGAZ"], names["IMGIMGGDZ"] = last, low  # 0 and 63

    changed(folder, tmp_path, "config.json", swap)
    swapped = chameleon.load(tmp_path / "changed")
    before, after = tiny.pixels.encode(pictures(4)), swapped.pixels.encode(pictures(4))
    renamed = np.where(before == 0, 63, np.where(before == 63, 0, before))
    assert np.array_equal(after, renamed)
    assert ChameleonImageVocabularyMapping(swapped.plain_model.config.vocabulary_map).bpe2img[low] == 63
    assert swapped.pixels.decode(after[0]) == tiny.pixels.decode(before[0])
    assert swapped.pixels.fingerprint != tiny.pixels.fingerprint


def test_the_decoder_sees_the_vectors_of_the_codes(tiny):
    codes = tiny.pixels.encode(pictures(1))
    vectors = tiny.pixels.vq.encode(as_input(torch.from_numpy(square(pictures(1)[0], 32))[None]), return_dict=True)
    with torch.no_grad():
        direct = as_bytes(tiny.pixels.decoder(vectors.quantized_last_hidden_state))[0].numpy().astype(int)
    assert np.abs(np.asarray(tiny.pixels.decode(codes[0])).astype(int) - direct).max() <= 1


def test_pixels_are_what_transformers_processor_makes_of_them():
    ramp = np.linspace(0, 255, 96).astype(np.uint8)
    picture = PIL.Image.fromarray(
        np.stack([np.tile(ramp, (64, 1)), np.tile(ramp[:64, None], (1, 96)), np.full((64, 96), 90, np.uint8)], axis=2)
    )
    processor = ChameleonImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    theirs = torch.as_tensor(np.array(processor(picture)["pixel_values"][0]))
    ours = as_input(torch.from_numpy(square(picture, 32))[None])[0]
    assert (ours - theirs).abs().max() < 0.05 and (ours - theirs).abs().mean() < 0.01


def test_white_shows_behind_transparency_and_bytes_come_back():
    clear = PIL.Image.new("RGBA", (10, 20), (255, 0, 0, 0))
    assert (square(clear, 8) == 255).all()
    values = torch.arange(192, dtype=torch.uint8).view(1, 8, 8, 3)
    assert torch.equal(as_bytes(as_input(values)), values)
    assert as_bytes(torch.tensor([-3.0, 3.0]).view(1, 1, 1, 2)).flatten().tolist() == [0, 255]


@pytest.mark.parametrize("text", ["<image> and </s>", "<racm3:break>IMGIMGAZ<eoss>", "Größe: 3 m²\n\n–", "  a\tb "])
def test_text_is_text_whatever_it_spells(tiny, text):
    ids = tiny.tokenizer.encode(text)
    assert not set(ids) & tiny.tokenizer.special
    layout = tiny.layout
    assert tiny.tokenizer.decode([tiny.tokenizer.bos, *ids, layout.begin, layout.low, layout.end]) == text


def test_image_logits_are_not_masked_and_the_loss_reaches_every_query(tiny):
    codes = tiny.pixels.encode(pictures(1))[0]
    ids = torch.from_numpy(np.concatenate([[0], tiny.tokenizer.encode("a"), tiny.layout.block(codes)]))[None]
    stock = ChameleonForConditionalGeneration(tiny.plain_model.config)
    stock.load_state_dict(tiny.plain_model.state_dict())
    assert not stock(input_ids=ids, labels=ids).loss < 1e6
    model = chameleon.tiny().plain_model
    out = model(input_ids=ids, labels=ids)
    assert 4 < out.loss < 8
    low, high = tiny.layout.low, tiny.layout.high
    assert out.logits[..., low:high].abs().max() < 100
    rest = torch.cat([out.logits[..., :low], out.logits[..., high:]], -1)
    masked = stock(input_ids=ids).logits
    torch.testing.assert_close(rest, torch.cat([masked[..., :low], masked[..., high:]], -1))
    out.loss.backward()
    grads = [layer.self_attn.q_proj.weight.grad for layer in model.model.layers]
    assert all(grad.abs().max() > 0 for grad in grads)
    assert not [name for name, weight in model.named_parameters() if "vqmodel" in name and weight.requires_grad]


@torch.no_grad()
def test_the_loss_of_a_part_of_a_step_is_its_share_of_the_whole_steps(tiny):
    """transformers' Trainer gives the number of a step's targets, and does not divide the losses once more."""
    model, ids = tiny.plain_model, torch.arange(40).view(4, 10) + 80
    whole = model(input_ids=ids, labels=ids).loss
    parts = [model(input_ids=row, labels=row, num_items_in_batch=torch.tensor(36)).loss for row in ids.split(1)]
    torch.testing.assert_close(sum(parts), whole)


def test_logits_are_kept_where_they_are_asked_for(tiny):
    ids = torch.arange(80, 90)[None]
    whole = tiny.model(input_ids=ids).logits
    torch.testing.assert_close(tiny.model(input_ids=ids, logits_to_keep=3).logits, whole[:, -3:])
    torch.testing.assert_close(tiny.model(input_ids=ids, logits_to_keep=torch.tensor([1, 4])).logits, whole[:, [1, 4]])


def test_adapters_train_and_cached_steps_equal_the_whole():
    adapted = hands.adapt(chameleon.tiny())
    assert len(hands.adapted_layers(adapted)) == 2 * 7  # layers, linears
    seen = hands.train(adapted, hands.batch(adapted, hands.samples(adapted)))
    assert seen[-1][0] < seen[0][0] - 1 and seen[-1][1] < seen[0][1] - 1
    whole, steps = hands.stepwise(adapted, hands.samples(adapted)[0], prefill=20)
    torch.testing.assert_close(steps, whole, atol=2e-5, rtol=1e-4)


def test_samples_that_share_a_row_do_not_see_each_other(tiny):
    ids = torch.arange(80, 100).view(1, 20)
    positions = torch.cat([torch.arange(8), torch.arange(12)])[None]
    edited = ids.clone()
    edited[0, 2] = 150
    before, after = tiny.hidden(ids, positions)[0], tiny.hidden(edited, positions)[0]
    assert torch.equal(before[:2], after[:2]) and torch.equal(before[8:], after[8:])
    assert not torch.isclose(before[2:8], after[2:8]).all(-1).any()
    torch.testing.assert_close(before[8:], tiny.hidden(ids[:, 8:])[0])


def test_a_saved_folder_loads_to_the_same(folder, tiny):
    loaded = backbones.load("chameleon", folder)
    ids = torch.arange(80, 90)[None]
    assert torch.equal(loaded.hidden(ids), tiny.hidden(ids))
    assert loaded.layout == tiny.layout and loaded.pixels.fingerprint == tiny.pixels.fingerprint
    codes = tiny.pixels.encode(pictures(1))[0]
    assert loaded.pixels.decode(codes) == tiny.pixels.decode(codes)


def test_the_picture_tokenizer_stays_in_float32(folder, tiny):
    loaded = backbones.load("chameleon", folder, torch.bfloat16)
    assert {weight.dtype for weight in loaded.parameters()} == {torch.bfloat16}
    assert loaded.pixels.fingerprint == tiny.pixels.fingerprint
    assert np.array_equal(loaded.pixels.encode(pictures(4)), tiny.pixels.encode(pictures(4)))


def test_what_does_not_fit_is_said(folder, tmp_path, tiny):
    with pytest.raises(UserError, match="has no config.json"):
        chameleon.load(tmp_path)
    pixels = ChameleonPixels(tiny.pixels.vq, None, np.arange(64))
    with pytest.raises(UserError, match="convert_anole"):
        pixels.decode(np.zeros((8, 8), np.uint16))
    with pytest.raises(UserError, match="choose one of chameleon"):
        backbones.load("llama", "tiny")


def test_a_tokenizer_without_the_boundary_tokens_is_refused(folder, tmp_path):
    def rename(content):
        content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] != "<racm3:break>"]
        del content["model"]["vocab"]["<racm3:break>"]

    changed(folder, tmp_path, "tokenizer.json", rename)
    with pytest.raises(UserError, match="no token <racm3:break>"):
        chameleon.load(tmp_path / "changed")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda names: names.update({"<eoss>": 7}), "<eoss> is 7"),
        (lambda names: names.pop("IMGIMGAZ"), "63 image tokens"),
        (lambda names: names.update({"IMGIMGAZ": 200}), "consecutive"),
        (lambda names: names.update({"IMGIMGGEZ": names.pop("IMGIMGAZ")}), "each once"),
    ],
)
def test_a_vocabulary_map_that_does_not_fit_is_refused(folder, tmp_path, change, message):
    changed(folder, tmp_path, "config.json", lambda content: change(content["vocabulary_map"]))
    with pytest.raises(UserError, match=message):
        chameleon.load(tmp_path / "changed")


def test_tiny_by_name():
    assert backbones.load("chameleon", "tiny", torch.bfloat16).plain_model.lm_head.weight.dtype == torch.bfloat16


def test_another_decoder_changes_the_decoders_fingerprint_alone():
    one, other, changed, blind = (chameleon.tiny().pixels for _ in range(4))
    assert (one.fingerprint, one.decoder_fingerprint) == (other.fingerprint, other.decoder_fingerprint)
    with torch.no_grad():
        next(changed.decoder.parameters()).add_(1)
    blind.decoder = None
    assert changed.fingerprint == other.fingerprint == blind.fingerprint
    assert len({other.decoder_fingerprint, changed.decoder_fingerprint, blind.decoder_fingerprint}) == 3
