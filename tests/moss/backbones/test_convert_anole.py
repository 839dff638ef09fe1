"""The published vqgan.ckpt's decoder, from a file with its names and random weights."""

import pickle
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from moss.backbones import chameleon, convert_anole
from schemas.errors import UserError


@pytest.fixture
def published(tmp_path):
    """A checkpoint's folder without a decoder, the vqgan.ckpt that it was made of, and the model."""
    tiny = chameleon.tiny()
    weights = {**tiny.pixels.vq.state_dict(), **tiny.pixels.decoder.state_dict(), "loss.logvar": torch.zeros(())}
    torch.save({"state_dict": weights}, tmp_path / "vqgan.ckpt")
    chameleon.save(tiny, tmp_path / "folder")
    (tmp_path / "folder" / "pixel_decoder.safetensors").unlink()
    return tmp_path / "folder", tmp_path / "vqgan.ckpt", tiny


def run(monkeypatch, vqgan, folder) -> int:
    monkeypatch.setattr(sys, "argv", ["convert_anole", "--vqgan", str(vqgan), "--checkpoint", str(folder)])
    return convert_anole.main()


def test_a_converted_folder_draws_what_the_published_decoder_draws(published, monkeypatch, capsys):
    folder, vqgan, tiny = published
    codes = np.arange(64, dtype=np.uint16).reshape(8, 8)
    with pytest.raises(UserError, match="pixel_decoder.safetensors"):
        chameleon.load(folder).pixels.decode(codes)
    assert run(monkeypatch, vqgan, folder) == 0
    compared = len(tiny.pixels.vq.state_dict())
    assert f"{compared} tensors of the checkpoint equal" in capsys.readouterr().out
    assert chameleon.load(folder).pixels.decode(codes) == tiny.pixels.decode(codes)


def test_a_checkpoint_in_bfloat16_is_compared_at_its_precision(published):
    folder, vqgan, tiny = published
    model = chameleon.load(folder).plain_model.to(torch.bfloat16)
    model.save_pretrained(folder)
    assert convert_anole.convert(vqgan, folder)[1] == len(tiny.pixels.vq.state_dict())


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("encoder.conv_in.weight", lambda weight: weight + 1, "encoder.conv_in.weight differs"),
        ("quantize.embedding.weight", lambda weight: weight.flip(0), "quantize.embedding.weight differs"),
        ("decoder.conv_in.weight", lambda weight: weight[:, :16], r"decoder.conv_in.weight is \(32, 16, 3, 3\)"),
        ("decoder.up.0.block.0.norm1.bias", None, "has no decoder.up.0.block.0.norm1.bias"),
        ("decoder.up.5.block.0.norm1.bias", lambda _: torch.zeros(32), "also has decoder.up.5"),
    ],
)
def test_what_does_not_belong_together_is_refused(published, name, change, message, monkeypatch, capsys):
    folder, vqgan, _ = published
    weights = torch.load(vqgan)["state_dict"]
    weights[name] = change(weights.get(name)) if change else weights.pop(name)
    if not change:
        del weights[name]
    torch.save({"state_dict": weights}, vqgan)
    with pytest.raises(UserError, match=message):
        convert_anole.convert(vqgan, folder)
    assert not (folder / "pixel_decoder.safetensors").exists()
    assert run(monkeypatch, vqgan, folder) == 2
    assert name in capsys.readouterr().err


@pytest.mark.parametrize(
    "kept,said",
    [
        (lambda name: False, r"\d+ of \d+ weights .*folder has no model.vqmodel.encoder.conv_in.bias"),
        (lambda name: not name.endswith("encoder.conv_out.bias"), "1 of .* has no model.vqmodel.encoder.conv_out.bias"),
        (
            lambda name: not name.endswith("quantize.embedding.weight"),
            "1 of .* has no model.vqmodel.quantize.embedding",
        ),
    ],
)
def test_a_checkpoint_without_the_whole_encoder_is_refused(published, kept, said):
    """Weights under other names, in another format, or of which some are missing, were compared with nothing."""
    folder, vqgan, _ = published
    for file in folder.glob("*.safetensors"):
        save_file({name: weight for name, weight in load_file(file).items() if kept(name)}, file)
    with pytest.raises(UserError, match=said):
        convert_anole.convert(vqgan, folder)
    assert not (folder / "pixel_decoder.safetensors").exists()


def test_a_decoder_is_written_whole_or_not_at_all(published, monkeypatch):
    folder, vqgan, _ = published

    def full(_, path):
        path.write_bytes(b"half")
        raise OSError("no space left")

    before = sorted(path.name for path in folder.iterdir())
    monkeypatch.setattr(convert_anole, "save_file", full)
    with pytest.raises(OSError, match="no space"):
        convert_anole.convert(vqgan, folder)
    assert sorted(path.name for path in folder.iterdir()) == before


class Harmful:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch, of a file that is refused
def test_nothing_in_the_file_is_executed(published, tmp_path, capsys):
    folder, _, _ = published
    torch.save({"state_dict": Harmful()}, tmp_path / "harmful.ckpt")
    (tmp_path / "noise.ckpt").write_bytes(pickle.dumps("noise")[:-1])
    for file in ("harmful.ckpt", "noise.ckpt", "missing.ckpt"):
        with pytest.raises(UserError, match=f"{file} is not a vqgan.ckpt"):
            convert_anole.convert(tmp_path / file, folder)
    assert "must not run" not in capsys.readouterr().out
