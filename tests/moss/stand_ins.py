"""Checkpoint folders of the true classes and names with tiny random weights, as a user would have downloaded them."""

from __future__ import annotations

import json
import pathlib

import torch_compat  # noqa: F401 - before open_clip, which imports torchvision

# isort: split
import open_clip
import torch
from safetensors.torch import save_file

from moss.backbones import chameleon, continuous, convert_anole, convert_emu2, emu3, janus
from tests.moss import published_emu2


def anole(folder: pathlib.Path) -> list[str]:
    """transformers' folder without a decoder, and the vqgan.ckpt that the converter takes it from."""
    made = chameleon.tiny()
    weights = {**made.pixels.vq.state_dict(), **made.pixels.decoder.state_dict()}
    torch.save({"state_dict": weights}, folder.with_name("vqgan.ckpt"))
    chameleon.save(made, folder)
    (folder / chameleon.PIXEL_DECODER).unlink()
    convert_anole.convert(folder.with_name("vqgan.ckpt"), folder)
    return []


def hub(made, folder: pathlib.Path) -> None:
    made.plain_model.save_pretrained(folder)
    made.tokenizer.tokenizer.save_pretrained(folder)


def emu3_folder(folder: pathlib.Path) -> list[str]:
    made = emu3.tiny()
    hub(made, folder)
    made.pixels.processor.save_pretrained(folder)
    return ["backbone.size=32"]


def janus_folder(folder: pathlib.Path) -> list[str]:
    hub(janus.tiny(), folder)
    return []


def continuous_folder(folder: pathlib.Path) -> list[str]:
    """Beside the language model a CLIP of ViT-B-16's kind: 16 x 16 patches here, 14 x 14 there."""
    hub(continuous.tiny(), folder)
    clip = folder.with_name("clip")
    clip.mkdir()
    config = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 4},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
    }
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    (clip / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    torch.manual_seed(0)
    save_file(open_clip.create_model(f"local-dir:{clip}").state_dict(), clip / "open_clip_model.safetensors")
    return [f"backbone.clip=local-dir:{clip}", "backbone.clip_weights=null"]


def emu2_folder(folder: pathlib.Path) -> list[str]:
    """Emu2-Gen's folder as it was published, converted."""
    published = folder.with_name("emu2-gen")
    published_emu2.write(published)
    convert_emu2.convert(published, folder)
    return []


STAND_INS = {
    "moss_anole": anole,
    "moss_emu3": emu3_folder,
    "moss_janus": janus_folder,
    "moss_continuous": continuous_folder,
    "moss_emu2": emu2_folder,
}
"""By the config that names such a checkpoint: writes the folder, and returns the settings that its size asks for."""
