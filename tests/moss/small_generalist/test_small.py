"""The small generalist's parts: the corpus, the VQ tokenizer's training, the vocabulary, the model."""

import io
import json
import tarfile
import tempfile

import numpy as np
import PIL.Image
import pytest
import torch
from transformers import ChameleonVQVAEConfig

from moss.backbones import chameleon
from moss.backbones.chameleon_pixels import square
from moss.small import build, corpus, train_text, train_vq
from schemas.errors import UserError

DOCUMENTS = [
    {"source": "microbit", "segments": [{"text": "Press the button."}, {"image": "a.jpg", "alt": "A red board"}]},
    {"source": "iot", "segments": [{"text": "Kept away."}, {"image": "b.jpg"}, {"image": "both.jpg"}]},
    {"source": "godot", "segments": [{"image": "both.jpg", "caption": "Seen twice"}]},
]


@pytest.fixture
def tar(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files = {"docs.jsonl": "".join(json.dumps(document) + "\n" for document in DOCUMENTS).encode()}
    for name, colour in (("a", "red"), ("b", "green"), ("both", "blue"), ("shown_nowhere", "white")):
        file = io.BytesIO()
        PIL.Image.new("RGB", (90, 60), colour).save(file, "JPEG", quality=95)
        files[f"images/{name}.jpg"] = file.getvalue()
    with tarfile.open(tmp_path / "howto.tar", "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"howto/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return tmp_path / "howto.tar"


def config(**changes) -> ChameleonVQVAEConfig:
    return ChameleonVQVAEConfig(
        **dict(
            resolution=8,
            num_embeddings=16,
            embed_dim=8,
            latent_channels=32,
            base_channels=32,
            channel_multiplier=[1, 1],
            num_res_blocks=1,
        )
        | changes
    )


def blotches(count: int, side: int) -> np.ndarray:
    """Smooth pictures, a few colours each."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
    return np.stack(
        [
            np.asarray(PIL.Image.fromarray(picture).resize((side, side), PIL.Image.Resampling.BILINEAR))
            for picture in coarse
        ]
    )


def test_a_picture_of_a_held_out_source_is_held_out(tar):
    found = corpus.squares(tar, 8)
    assert found.train.shape == (1, 8, 8, 3) and found.held_out.shape == (2, 8, 8, 3)
    assert found.train.mean((0, 1, 2)).round().tolist() == [254, 0, 0]  # JPEG's red
    assert set(found.held_out.mean((1, 2)).argmax(1)) == {1, 2}
    tar.write_bytes(b"x" * tar.stat().st_size)
    assert np.array_equal(corpus.squares(tar, 8).train, found.train)  # read from the kept array


def test_a_corpus_that_cannot_be_read_is_said(tmp_path):
    (tmp_path / "noise.tar").write_bytes(b"noise")
    for name in ("missing.tar", "noise.tar"):
        with pytest.raises(UserError, match="--corpus"):
            corpus.documents(tmp_path / name)


def test_texts_of_held_out_sources_are_left_out(tar):
    texts = list(train_text.texts(tar))
    assert texts[:3] == ["Press the button.\n\n", "A red board\n\n", "Seen twice\n\n"]
    assert len(texts) > 100  # the examples follow


def test_codes_follow_the_vectors_they_take():
    tokenizer = train_vq.Tokenizer(config(num_embeddings=3, embed_dim=2))
    points = torch.tensor([[0.0, 0.0], [2.0, 0.0], [9.0, 9.0]])
    before = tokenizer.codebook[2].clone()
    tokenizer.follow(points, torch.tensor([0, 0, 1]), decay=0.0)
    assert tokenizer.codebook[:2].tolist() == [[1.0, 0.0], [9.0, 9.0]] and torch.equal(tokenizer.codebook[2], before)
    tokenizer.follow(points[:1], torch.tensor([0]), decay=0.5)  # uses (2 + 1) / 2, sums (2 + 0) / 2
    assert tokenizer.codebook[0].tolist() == pytest.approx([2 / 3, 0])
    tokenizer.renew(points[2:], below=0.1)
    assert tokenizer.codebook[2].tolist() == [9.0, 9.0] and tokenizer.uses[2] == 1
    assert tokenizer.codebook[0].tolist() == pytest.approx([2 / 3, 0])


def test_training_learns_to_restore_pictures_with_many_codes(tmp_path):
    pictures = blotches(200, 8)
    train_vq.save(train_vq.train(pictures, config(), steps=80), tmp_path)
    figures, made = train_vq.measure(*train_vq.load(tmp_path), pictures)
    untrained, _ = train_vq.measure(train_vq.ChameleonVQVAE(config()), train_vq.PixelDecoder(config()), pictures)
    assert made.shape == pictures.shape and made.dtype == np.uint8
    assert figures["psnr"] > untrained["psnr"] + 3
    assert figures["perplexity"] > 4 and figures["used"] > 0.5


def test_the_vocabulary_is_chameleons_in_small():
    text = chameleon.ChameleonText(train_text.OUT.read_text(encoding="utf-8"))
    assert len(text.ids) == 4096 == len(set(text.ids.values()))
    assert [text.id(name) for name in chameleon.special_names(512)] == list(range(519))
    sentence = "Open the **Settings** dialog, then click *Save* 12 times – naïvely."
    ids = text.encode(sentence)
    assert text.decode(ids) == sentence and len(ids) < len(sentence) / 2.2


def test_a_vocabulary_is_the_same_for_the_same_texts():
    texts = ["the cat and the hat\n\n", "the end\n\n"] * 3
    one, two = (train_text.train(iter(texts), size=350, codes=64) for _ in range(2))
    assert one.to_str() == two.to_str() and one.get_vocab_size() <= 350
    assert one.token_to_id("IMGIMGGDZ") == 67


def test_the_small_generalist_saves_and_loads(tmp_path):
    small = build.new_generalist(seed=3)
    model = small.plain_model
    learnt = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert 3e6 < learnt < 5e6 and not model.model.vqmodel.encoder.conv_in.weight.requires_grad
    assert (small.layout.rows, small.layout.columns, small.layout.low, small.layout.high) == (8, 8, 4, 516)
    chameleon.save(small, tmp_path)
    loaded = chameleon.load(tmp_path)
    picture = PIL.Image.open(train_text.EXAMPLES.parent / "images" / "black-and-white-1-channels.jpg")
    codes = small.pixels.encode([picture])[0]
    ids = torch.from_numpy(np.concatenate([[0], small.tokenizer.encode("A cat."), small.layout.block(codes)]))[None]
    assert torch.equal(loaded.hidden(ids), small.hidden(ids))
    assert loaded.plain_model.lm_head.weight is loaded.plain_model.model.embed_tokens.weight
    assert loaded.pixels.fingerprint == small.pixels.fingerprint
    assert loaded.pixels.decode(codes) == small.pixels.decode(codes)
    out = model(input_ids=ids, labels=ids)
    out.loss.backward()
    assert 7 < out.loss < 10 and model.model.layers[3].self_attn.q_proj.weight.grad.abs().max() > 0
    assert not torch.equal(build.new_generalist(seed=4).hidden(ids), small.hidden(ids))


def test_the_small_tokenizer_restores_pictures_it_was_not_trained_on():
    assert sum(file.stat().st_size for file in train_vq.HERE.iterdir()) < 3e6
    files = sorted((train_text.EXAMPLES.parent / "images").iterdir())[:40]
    pictures = np.stack([square(PIL.Image.open(file), train_vq.SIDE) for file in files])
    figures, _ = train_vq.measure(*train_vq.load(), pictures)
    flat = np.square(pictures - pictures.mean((1, 2), keepdims=True)).mean((1, 2, 3))
    assert figures["psnr"] > (10 * np.log10(255**2 / flat.clip(min=1))).mean() + 3
    assert figures["perplexity"] > 100


def test_all_weights_together_are_under_20_mb():
    files = list(train_vq.HERE.parent.rglob("*.safetensors"))
    assert {"model.safetensors", "vq.safetensors", "pixel_decoder.safetensors"} <= {file.name for file in files}
    assert sum(file.stat().st_size for file in files) < 20e6
