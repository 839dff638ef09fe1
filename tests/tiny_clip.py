"""Small open_clip models with random weights, as folders for `local-dir:`, and pictures and documents to score."""

from __future__ import annotations

import json
import pathlib

import torch_compat  # noqa: F401 - before open_clip, which imports torchvision

# isort: split
import numpy as np
import open_clip
import PIL.Image
import timm
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, BertTokenizerFast

from models.dual_encoder.build import IMAGE_TOWER, build
from schemas.records import StoredDocument, StoredImage, Text

PREPROCESS = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}


def clip_folder(folder: pathlib.Path, *, seed: int = 0, preprocess: dict = PREPROCESS, **text) -> str:
    """CLIP's own architecture, 2 layers each; `text` adds to the text tower's configuration. The name to load it by."""
    folder.mkdir(parents=True)
    config = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2} | text,
    }
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", force_custom_text=bool(text))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    if text:
        config["custom_text"] = True
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    return f"local-dir:{folder}"


def parts(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path, torch.nn.Module]:
    """A random image tower as the package has it (a .pth with other names), a tiny text tower, and the image tower."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    tower = timm.create_model(IMAGE_TOWER).eval()
    packaged = {
        f"_{i}": value
        for i, (name, value) in enumerate(tower.state_dict().items())
        if not name.endswith("num_batches_tracked")
    }
    torch.save(packaged, folder / "image.pth")
    words = "the cut board sand paint red brush wood cat a of in".split()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    (folder / "special_tokens_map.json").write_text("{}")
    bert = BertConfig(
        vocab_size=5 + len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(bert).save_pretrained(folder)
    return folder / "image.pth", folder, tower


def dual_encoder_folder(folder: pathlib.Path) -> str:
    """What models.dual_encoder.build makes, of random parts."""
    image_weights, text_folder, _ = parts(folder.with_name(folder.name + "-parts"))
    build(
        image_weights,
        text_folder,
        folder,
        projections={"visual.head.proj.weight": torch.randn(256, 1280), "text.proj.weight": torch.randn(256, 32)},
    )
    return f"local-dir:{folder}"


def picture(sha256: str) -> PIL.Image.Image:
    """Blobs of colour, others for each number."""
    rng = np.random.default_rng(int(sha256))
    return PIL.Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((80, 60))


def document(*segments: str | int, id: str = "d") -> StoredDocument:
    """A string is a paragraph, a number is the picture of that name."""
    return StoredDocument(
        id=id,
        source="test",
        segments=tuple(
            Text(s)
            if isinstance(s, str)
            else StoredImage(f"{s}.jpg", width=64, height=64, sha256=str(s), extension="jpg")
            for s in segments
        ),
    )
