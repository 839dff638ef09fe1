"""Puts the coherence model together: packaged image tower, packaged text tower, and our projections.

The result is a folder that open_clip loads by itself, offline: `local-dir:build/models/coherence`.
"""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

import torch_compat  # noqa: F401 - before timm, which imports torchvision

# isort: split
import timm
import torch
from safetensors.torch import load_file, save_file

PROJECTIONS = pathlib.Path(__file__).parent / "projections.safetensors"
"""What we trained: `visual.head.proj.weight` and `text.proj.weight`, named as in open_clip."""

WIDTH = 256
IMAGE_TOWER, TEXT_FILES = (
    "tf_efficientnet_lite0",
    ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
)


def build(
    image_weights: pathlib.Path,
    text_folder: pathlib.Path,
    out: pathlib.Path,
    *,
    projections: dict[str, torch.Tensor] | None = None,
    final: pathlib.Path | None = None,
) -> None:
    """Write the folder `out`; `final` is its final path, if it is moved afterwards.

    `image_weights` is the packaged .pth, `text_folder` the packaged sentence-transformers folder (the `TEXT_FILES` and
    model.safetensors). `projections` are those to use instead of the committed ones.
    """
    out.mkdir(parents=True)
    for name in TEXT_FILES:
        shutil.copyfile(text_folder / name, out / name)
    (out / "open_clip_config.json").write_text(json.dumps(config((final or out).absolute()), indent=2) + "\n")
    weights = {
        **image_tower(image_weights),
        **{
            f"text.transformer.{name}": value
            for name, value in load_file(text_folder / "model.safetensors").items()
            if not name.startswith("pooler.") and name != "embeddings.position_ids"
        },
        **(load_file(PROJECTIONS) if projections is None else projections),
        "logit_scale": torch.tensor(1 / 0.07).log(),  # for open_clip's logits; cosines do not use it
    }
    path = out / "open_clip_model.safetensors"
    save_file({name: value.contiguous() for name, value in weights.items()}, path)
    path.chmod(0o644)  # safetensors makes files that only the owner can read


def config(folder: pathlib.Path) -> dict[str, Any]:
    """open_clip's description of the model. It names the folder, for transformers to find the text tower's config."""
    return {
        "model_cfg": {
            "embed_dim": WIDTH,
            "vision_cfg": {
                "image_size": 224,
                "timm_model_name": IMAGE_TOWER,
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
            },
            "text_cfg": {
                "hf_model_name": str(folder),
                "hf_model_pretrained": False,
                "hf_tokenizer_name": "all-MiniLM-L6-v2",  # with a local folder, open_clip reads that folder
                "hf_pooler_type": "mean_pooler",
                "hf_proj_type": "linear",
                "context_length": 128,
            },
        },
        # As the image tower was trained, but the whole picture squeezed into the square: screenshots and diagrams
        # have what matters at their edges too.
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"},
    }


def image_tower(image_weights: pathlib.Path) -> dict[str, torch.Tensor]:
    """The packaged weights under open_clip's names. The package names them differently, in the same order."""
    packaged = torch.load(image_weights, weights_only=True)
    values = [value for name, value in packaged.items() if not name.endswith("num_batches_tracked")]
    ours = timm.create_model(IMAGE_TOWER).state_dict()
    names = [name for name in ours if not name.endswith("num_batches_tracked")]
    for name, value in zip(names, values, strict=True):
        if ours[name].shape != value.shape:
            raise ValueError(f"{image_weights}: {name} has the shape {tuple(value.shape)}")
        ours[name] = value
    return {f"visual.trunk.{name}": value for name, value in ours.items() if not name.startswith("classifier.")}
