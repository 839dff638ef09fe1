"""Emu2 (37B; arXiv 2312.13286): LLaMA that reads and writes images as 64 vectors of an EVA-CLIP.

    hf download BAAI/Emu2-Gen --local-dir emu2-gen
    python -m moss.backbones.convert_emu2 --checkpoint emu2-gen --output checkpoints/emu2
    python -m moss.train --config configs/moss_emu2.yaml --set backbone.path=checkpoints/emu2

BAAI/Emu2 and BAAI/Emu2-Chat are converted in the same way, and drawn with Emu2-Gen's decoder (`--decoder emu2-gen`).
Emu2 is for non-commercial use. It was proven on small random weights in the published layout, and not run on the
published weights.

Beside `continuous`, whose arithmetic it shares, everything here is pretrained: the image tokens are the vocabulary's
own, and the projections `project_up` and `project_down` are frozen with the rest.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from moss.backbones.continuous import Continuous, linear_layers
from moss.backbones.emu2_pixels import GRID, EvaPixels, Vision, filled, tower
from moss.backbones.generalist import Generalist
from moss.backbones.hub import (
    HubText,
    byte_tokenizer,
    check_folder,
    enlarge,
    load_tokenizer,
    pretrained,
    tiny_decoder,
    token_id,
)
from moss.layout import ImageLayout
from schemas.errors import UserError

BEGIN, END, SLOT = "[IMG]", "[/IMG]", "<image>"
VISION, VISUAL, PROJECTIONS = "vision.json", "visual.safetensors", "projections.safetensors"
"""What a converted folder has beside a LLaMA in transformers' format."""


def load(path: Path | str, *, dtype: torch.dtype = torch.float32) -> Emu2:
    """A folder that `convert_emu2` wrote. Raises UserError for another one."""
    folder = check_folder(path)
    for name in (VISION, VISUAL, PROJECTIONS):
        if not (folder / name).is_file():
            raise UserError(f"{folder} has no {name}: convert Emu2's folder with python -m moss.backbones.convert_emu2")
    vision = Vision.of(json.loads((folder / VISION).read_text(encoding="utf-8")))
    visual = filled(vision, load_file(folder / VISUAL)).to(dtype)
    model = pretrained(LlamaForCausalLM, folder, dtype=dtype, layers="model.layers")
    made = Emu2(model, load_tokenizer(folder), EvaPixels(visual, folder))
    made.extra.load_state_dict(load_file(folder / PROJECTIONS))
    made.extra.to(dtype)
    return made


def tiny(seed: int = 0) -> Emu2:
    """Random weights: a picture of 32 pixels as 8 x 8 vectors of 48 numbers, text as bytes."""
    tokenizer = byte_tokenizer([BEGIN, END, SLOT])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        visual = tower(Vision(image_size=32, patch_size=2, width=48, layers=2, head_width=12, mlp_ratio=2.0))
        model = LlamaForCausalLM(
            LlamaConfig(**tiny_decoder(tokenizer) | {"num_key_value_heads": 4})  # Emu2 has as many as heads
        )
        enlarge(model)
        return Emu2(model, tokenizer, EvaPixels(visual))


class Emu2(Continuous):
    """`Continuous` with the vocabulary's own image tokens, and `extra` that is frozen, in the model's type."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, pixels: EvaPixels) -> None:
        begin, end, slot = (token_id(tokenizer, token) for token in (BEGIN, END, SLOT))
        layout = ImageLayout(GRID, GRID, low=slot, high=slot + 1, begin=begin, end=end)
        # not Continuous.__init__: that adds new tokens and new weights
        Generalist.__init__(self, "emu2", model, layout, HubText(tokenizer, layout), pixels, linear_layers(model))
        self.extra: Projections = Projections(pixels.channels, model.config.hidden_size)  # type: ignore[assignment]

    def embed(self, table: nn.Module, ids: Tensor) -> Tensor:
        embedded: Tensor = table(ids)
        return embedded

    def text_logits(self, hidden: Tensor) -> Tensor:
        """(N, d) -> (N, vocabulary)."""
        return Generalist.text_logits(self, hidden)


class Projections(nn.Module):
    """Frozen ways into the language model (`up`, Emu2's project_up) and out of it (`down`)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(channels, width, bias=False), nn.Linear(width, channels, bias=False)
        self.requires_grad_(False)
