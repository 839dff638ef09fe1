"""A little decoder, sequences with images in them, and every kind of adapter."""

from __future__ import annotations

import peft
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from moss import MossConfig

GRID = (4, 5)
LOW, HIGH, ROW_END = 40, 80, 90
KINDS = {
    "lora": {"kind": "lora"},
    "moe_lora": {"kind": "moe_lora"},
    "feature": {"kernel_size": 2},
    "feature k=3": {"kernel_size": 3},
    "feature_depthwise": {"kernel_size": 3, "conv_space": "feature_depthwise"},
    "rank": {"kernel_size": 3, "conv_space": "rank"},
}


def decoder(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=100,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    ).eval()


def config(row_end: bool = False, **settings) -> MossConfig:
    return MossConfig(
        **{
            "r": 6,
            "r_image": 4,
            "grid": GRID,
            "image_token_ids": (LOW, HIGH),
            "row_end_id": ROW_END if row_end else None,
            "target_modules": ["q_proj", "v_proj", "o_proj", "gate_proj", "down_proj"],
            **settings,
        }
    )


def awaken(model, seed: int = 3):
    """Random numbers in every adapter weight, so that each part of an adapter matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "moss_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return model


def adapted(kind: str, *, row_end: bool = False, seed: int = 0, **settings) -> peft.PeftModel:
    return awaken(peft.get_peft_model(decoder(seed), config(row_end, **{**KINDS[kind], **settings}))).eval()


def image(generator: torch.Generator, row_end: bool = False) -> list[int]:
    rows = torch.randint(LOW, HIGH, GRID, generator=generator).tolist()
    return [token for row in rows for token in ([*row, ROW_END] if row_end else row)]


def sequence(*, row_end: bool = False, seed: int = 0, rows: int = 2) -> torch.Tensor:
    """int64 (rows, L): text, an image, text, an image, text; the rows' images start at the same places."""
    generator = torch.Generator().manual_seed(seed)

    def text(n):
        return torch.randint(3, 40, (n,), generator=generator).tolist()

    return torch.tensor(
        [text(5) + image(generator, row_end) + text(3) + image(generator, row_end) + text(4) for _ in range(rows)]
    )


def text_only(length: int, seed: int = 0, rows: int = 2) -> torch.Tensor:
    return torch.randint(3, 40, (rows, length), generator=torch.Generator().manual_seed(seed))
