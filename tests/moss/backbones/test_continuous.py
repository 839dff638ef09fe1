from __future__ import annotations

import numpy as np
import open_clip.transformer
import PIL.Image
import pytest
import safetensors.torch
import torch
from transformers import GemmaConfig, GemmaForCausalLM, GPT2Config, GPT2LMHeadModel

from moss.backbones import continuous
from moss.backbones.hub import byte_tokenizer, tiny_decoder
from schemas.errors import UserError
from tests.moss import hands


@pytest.fixture(scope="module")
def plain():
    return continuous.tiny().eval()


def test_three_ids_follow_the_vocabulary(plain):
    layout, words = plain.layout, plain.plain_model.config.vocab_size
    assert (layout.begin, layout.end, layout.low, layout.high) == (words, words + 1, words + 2, words + 3)
    block = layout.block(np.zeros((8, 8), np.uint16))
    assert list(block) == [layout.begin, *[layout.low] * 64, layout.end]
    assert plain.text_logits(torch.zeros(5, 96)).shape == (5, words + 2)


@torch.no_grad()
def test_slots_take_vectors_in_reading_order(plain):
    words, slot = plain.layout.begin, plain.layout.low
    vectors, up, table = torch.randn(3, 48), plain.extra.up, plain.plain_model.get_input_embeddings().weight
    ids = torch.tensor([[5, slot, slot], [slot, words + 1, 7]])
    embedded = torch.stack(
        [
            torch.stack([table[5], up(vectors[0]), up(vectors[1])]),
            torch.stack([up(vectors[2]), plain.extra.bounds.weight[1], table[7]]),
        ]
    )
    expected = plain.plain_model.model(inputs_embeds=embedded).last_hidden_state
    torch.testing.assert_close(plain.hidden(ids, vectors=vectors), expected)
    for wrong in (vectors[:2], torch.randn(4, 48), None):
        with pytest.raises(ValueError, match="for 3 image slots"):
            plain.hidden(ids, vectors=wrong)


@torch.no_grad()
def test_image_scores_are_squared_error_and_cosine(plain):
    hidden, target = torch.randn(4, 96), torch.randn(4, 48)
    target[3] = 0  # a surplus target
    loss, cosine, zero = plain.image_scores(hidden, target)
    predicted = plain.extra.down(hidden)
    torch.testing.assert_close(loss, (predicted - target).square().mean(-1))
    torch.testing.assert_close(
        cosine[:3], (predicted * target).sum(-1)[:3] / (predicted[:3].norm(dim=-1) * target[:3].norm(dim=-1))
    )
    assert cosine[3] == 0 and not zero.any()
    with pytest.raises(NotImplementedError, match="image_vectors"):
        plain.image_logits(hidden)


def test_adapters_and_new_weights_learn_both_losses():
    generalist = hands.adapt(continuous.tiny())
    assert len(hands.adapted_layers(generalist)) == 2 * 7
    seen = hands.train(generalist, hands.batch(generalist, hands.samples(generalist)))
    assert np.isfinite(seen).all()
    assert seen[-1][0] < 0.3 * seen[0][0] and seen[-1][1] < 0.6 * seen[0][1]
    assert all(p.grad.abs().sum() > 0 for p in generalist.parameters() if p.requires_grad)
    trained = {name.rpartition(".moss_")[0] or name for name, p in generalist.named_parameters() if p.requires_grad}
    assert {name for name in trained if name.startswith("extra.")} == {
        f"extra.{name}"
        for name in ("up.weight", "up.bias", "down.weight", "down.bias", "bounds.weight", "bound_head.weight")
    }
    whole, steps = hands.stepwise(generalist, hands.samples(generalist)[0], prefill=60)
    torch.testing.assert_close(steps, whole, atol=1e-4, rtol=0)


def test_a_batch_without_images_reaches_every_weight():
    """Distributed training waits for a gradient of each, so that a rank with text alone must give zeros, not None."""
    generalist = hands.adapt(continuous.tiny())
    given = hands.batch(generalist, [hands.sample(generalist, "a", "One.", "Two.")])
    scores = generalist(given)
    assert given.vectors is None and scores.image_loss.shape == given.image_of.shape
    (scores.text_loss.mean() + 0 * scores.image_loss.mean()).backward()
    assert all(p.grad is not None for p in generalist.parameters() if p.requires_grad)
    assert not generalist.extra.up.weight.grad.any()


def test_cached_steps_equal_the_whole_and_packed_samples_are_apart(plain):
    one = hands.samples(plain)[1]
    for prefill in (1, 30):  # within the first image, too
        whole, steps = hands.stepwise(plain, one, prefill)
        torch.testing.assert_close(steps, whole, atol=1e-4, rtol=0)
    packed, alone = hands.packed_alone(plain)
    torch.testing.assert_close(packed, alone, atol=1e-4, rtol=0)


def test_patch_pixels_are_exact():
    pixels, levels = continuous.PatchPixels(), np.arange(32 * 32 * 3) % 256
    image = PIL.Image.fromarray(levels.astype(np.uint8).reshape(32, 32, 3))
    vectors = pixels.encode([image, hands.picture(1)])
    assert vectors.shape == (2, 8, 8, 48) and vectors.dtype == np.float16
    assert pixels.decode(vectors[0]).tobytes() == image.tobytes()
    corner = (np.asarray(image)[4:8, 28:32] / 127.5 - 1).astype(np.float16)  # row 1, column 7 of the grid
    assert np.array_equal(vectors[0, 1, 7], corner.ravel())
    assert pixels.decode(vectors[1] * 9).size == (32, 32)
    assert pixels.fingerprint != continuous.PatchPixels(2).fingerprint


def tower(patch: int):
    torch.manual_seed(0)
    return open_clip.transformer.VisionTransformer(
        image_size=64, patch_size=patch, width=32, layers=1, heads=2, mlp_ratio=2, output_dim=16
    )


def to_tensor(image: PIL.Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image.resize((64, 64)), dtype=np.float32)).permute(2, 0, 1) / 255


def test_clip_pixels_are_pooled_patch_features():
    pixels, images = continuous.ClipPixels(tower(4), to_tensor), [hands.picture(1), hands.picture(2)]
    vectors, raw = pixels.encode(images), pixels.encode_raw(images)
    assert pixels.channels == 32 and raw.shape == (2, 32, 16, 16)
    assert vectors.shape == (2, 8, 8, 32) and vectors.dtype == np.float16
    np.testing.assert_allclose(vectors[1, 2, 5], raw[1, :, 4:6, 10:12].mean((1, 2)), atol=2e-3)
    assert pixels.fingerprint == continuous.ClipPixels(tower(4), to_tensor).fingerprint
    with pytest.raises(UserError, match="Emu2-Gen"):
        pixels.decode(vectors[0])
    with pytest.raises(UserError, match="4 x 4 patches"):
        continuous.ClipPixels(tower(16), to_tensor)


def test_a_vision_tower_without_weights_is_refused():
    """open_clip would make random ones."""
    with pytest.raises(UserError, match="open_clip cannot load ViT-B-32 with backbone.clip_weights None"):
        continuous.clip_pixels("ViT-B-32", None)


def test_text_that_spells_special_tokens_stays_text(plain):
    ids = plain.tokenizer.encode("a <pad> b</s>")
    assert max(ids) < 256 and plain.tokenizer.decode(ids) == "a <pad> b</s>"


def test_a_folder_and_saved_new_weights_come_back(plain, tmp_path):
    plain.plain_model.save_pretrained(tmp_path)
    plain.tokenizer.tokenizer.save_pretrained(tmp_path)
    safetensors.torch.save_file(plain.extra.state_dict(), tmp_path / "extra.safetensors")
    loaded = continuous.load(tmp_path, extra=tmp_path / "extra.safetensors").eval()
    one = hands.samples(plain)[0]
    ids, vectors = torch.from_numpy(one.ids)[None], torch.from_numpy(one.vectors)
    with torch.no_grad():
        torch.testing.assert_close(loaded.hidden(ids, vectors=vectors), plain.hidden(ids, vectors=vectors))
    half = continuous.load(tmp_path, dtype=torch.bfloat16)
    assert half.extra.up.weight.dtype == torch.float32
    scores = half(hands.batch(half, hands.samples(half)))
    assert all(values.dtype == torch.float32 and values.isfinite().all() for values in scores)


def test_new_weights_are_at_the_scale_of_embeddings_that_are_multiplied():
    tokenizer = byte_tokenizer()
    sizes = tiny_decoder(tokenizer) | {"head_dim": 24, "num_hidden_layers": 1}
    model = GemmaForCausalLM(GemmaConfig(**sizes))
    made = continuous.Continuous(model, tokenizer, continuous.PatchPixels())
    text = model.get_input_embeddings()(torch.arange(200)).std().item()
    assert text > 5 * model.get_input_embeddings().weight.std().item()
    assert made.extra.bounds.weight.std().item() == pytest.approx(text, rel=0.2)
    assert made.extra.up(torch.randn(64, made.pixels.channels)).std().item() == pytest.approx(text, rel=0.2)
    assert continuous.embedding_scale(continuous.tiny().plain_model.get_input_embeddings()) == 1.0


def test_a_model_without_linear_layers_is_refused():
    model = GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=16, n_layer=1, n_head=2, n_positions=32))
    with pytest.raises(UserError, match="Conv1D"):
        continuous.Continuous(model, continuous.byte_tokenizer(), continuous.PatchPixels())
