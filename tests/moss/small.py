"""A generalist of a few thousand weights on a plain causal language model, and batches for it by hand."""

from __future__ import annotations

import numpy as np
import torch
from peft import get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from moss import MossConfig
from moss.backbones.generalist import Generalist
from moss.batch import Batch, Sample
from moss.data import collate
from moss.settings import Adapter, Backbone, Data, Settings, Training
from tests.moss.data import stub

LAYOUT = stub.DISCRETE


def bare(dtype=torch.float32) -> Generalist:
    """Frozen and without adapters; the same weights every time. The output layer's are large, so that something can be
    learnt beneath it (see test_overfit)."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=320,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=1024,
            pad_token_id=0,
        )
    ).to(dtype)
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    return Generalist(
        "small", model, LAYOUT, stub.Bytes(), stub.Brightness(LAYOUT), r".*layers.*\.(q_proj|v_proj|up_proj|down_proj)"
    )


def adapted(**adapter) -> Generalist:
    """With adapters whose B is not zero, so that every one of their gradients is not."""
    made = bare()
    config = MossConfig.for_backbone(made, **{"kind": "moss", "r": 4, "r_image": 2, **adapter})
    made.model = get_peft_model(made.model, config)
    for parameter in made.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.2)
    return made


def settings(shards, output, *, adapter: dict = {}, data: dict = {}, **training) -> Settings:
    return Settings(
        str(shards),
        str(output),
        Backbone("chameleon"),
        Data(**{"length": 320, **data}),
        Training(**{"steps": 6, "rows": 2, "learning_rate": 0.01, "warmup": 2, **training}),
        Adapter(**{"r": 4, "r_image": 2, **adapter}),
    )


def sample(key: str, words: int, images: int, seed: int) -> Sample:
    """bos, `words` ids, as many images, eos; all but bos and the first word are trained."""
    random = np.random.default_rng(seed)
    parts = [[1], random.integers(3, 259, words)]
    parts += [LAYOUT.block(random.integers(0, 16, (LAYOUT.rows, LAYOUT.columns))) for _ in range(images)] + [[2]]
    ids = np.concatenate(parts).astype(np.int64)
    number = np.zeros_like(ids)
    is_image = (ids >= LAYOUT.low) & (ids < LAYOUT.high)
    number[is_image] = 1 + np.arange(is_image.sum()) // 6
    return Sample(key, ids, np.arange(len(ids)) > 1, number)


ROWS = [
    [sample("a", 4, 2, 0)],
    [sample("b", 9, 1, 1), sample("c", 3, 0, 2)],
    [sample("d", 20, 0, 3)],
    [sample("e", 7, 0, 4), sample("f", 2, 1, 5)],
]
"""Four rows that differ in their numbers of targets; the third has no image at all."""


def batches(rows_each: int, rows=ROWS) -> list[Batch]:
    return [collate(rows[at : at + rows_each], 32, LAYOUT, 0) for at in range(0, len(rows), rows_each)]
