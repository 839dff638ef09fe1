"""Low-rank adapters on linear layers (LoRA, arXiv 2106.09685), kept in PEFT's file format.

A few lines of our own, because PEFT runs adapters in float32 beside a bfloat16 model, which doubles the time of a step
on a CPU; here the adapters are kept in float32 for the optimiser and used in bfloat16.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import linear

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

RANK, ALPHA = 16, 32
TARGETS = ("q_proj", "v_proj", "o_proj", "up_proj", "down_proj")
FIRST_LAYER = 10
"""Layers below stay as they are: the backward pass ends there, which saves a sixth of a step."""
WEIGHTS = pathlib.Path(__file__).parent / "adapter_model.safetensors"


class LoraLinear(nn.Module):
    """`base(x) + (alpha / rank) * B A x`; B starts at zero, so that training starts from the model as it comes."""

    def __init__(self, base: nn.Linear):
        super().__init__()
        self.base = base
        self.a = nn.Parameter(torch.empty(RANK, base.in_features))
        self.b = nn.Parameter(torch.zeros(base.out_features, RANK))
        nn.init.kaiming_uniform_(self.a, a=5**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in_features] -> [..., out_features], in the type of `x`."""
        low = linear(x, (self.a * (ALPHA / RANK)).to(x.dtype))
        base: torch.Tensor = self.base(x)
        return base + linear(low, self.b.to(x.dtype))


def _places(model: LlamaForCausalLM) -> Iterator[tuple[nn.Module, str, str]]:
    """Each adapted linear layer: its parent module, its name there, and its key in PEFT's file."""
    for i, layer in enumerate(model.model.layers):
        if i < FIRST_LAYER:
            continue
        for part in ("self_attn", "mlp"):
            for name, _ in list(getattr(layer, part).named_children()):
                if name in TARGETS:
                    yield getattr(layer, part), name, f"base_model.model.model.layers.{i}.{part}.{name}"


def add(model: LlamaForCausalLM) -> list[nn.Parameter]:
    """Freeze the model and put fresh adapters in; returns their parameters."""
    model.requires_grad_(False)
    parameters = []
    for parent, name, _ in list(_places(model)):
        adapted = LoraLinear(getattr(parent, name))
        setattr(parent, name, adapted)
        parameters += [adapted.a, adapted.b]
    return parameters


def save(model: LlamaForCausalLM, path: pathlib.Path) -> None:
    """Write the adapters in float16 (half the size; their values are well within its range)."""
    tensors = {}
    for parent, name, key in _places(model):
        adapted = getattr(parent, name)
        tensors[f"{key}.lora_A.weight"] = adapted.a.detach().to(torch.float16)
        tensors[f"{key}.lora_B.weight"] = adapted.b.detach().to(torch.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def load(model: LlamaForCausalLM, path: pathlib.Path) -> None:
    """Put saved adapters into a model that has fresh ones."""
    tensors = load_file(path)
    for parent, name, key in _places(model):
        adapted = getattr(parent, name)
        adapted.a.data = tensors[f"{key}.lora_A.weight"].float()
        adapted.b.data = tensors[f"{key}.lora_B.weight"].float()


def merge(model: LlamaForCausalLM, path: pathlib.Path = WEIGHTS) -> None:
    """Add the adapters' products to the weights of a plain float32 model, in place."""
    tensors = load_file(path)
    for parent, name, key in _places(model):
        a, b = (tensors[f"{key}.lora_{side}.weight"].float() for side in "AB")
        getattr(parent, name).weight.data += (ALPHA / RANK) * (b @ a)
