"""Cached decoding with MoSS adapters against stock PEFT LoRA of the same rank, in one run.

`python -m benchmarks.moss_decode [--json]`: the decoder and the adapters of `benchmarks.moss_step`. In each round,
every variant processes 64 text tokens and then decodes 128 image tokens one at a time, with a cache. The figure is the
median over rounds of LoRA's time divided by the variant's in the same round: the share of LoRA's tokens/s.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

import torch
from transformers import DynamicCache

from benchmarks.moss_step import VARIANTS, adapted, decoder, sequences, take_turns

TOKENS = 128


@torch.no_grad()
def decode(model: Any, ids: torch.Tensor) -> None:
    """Read 64 tokens, then go through TOKENS more one at a time; `model` is made by `moss_step.adapted`."""
    core = model.get_base_model().model
    cache = DynamicCache(config=core.config)
    core(input_ids=ids[:, :64], past_key_values=cache, use_cache=True)
    for at in range(64, 64 + TOKENS):
        core(input_ids=ids[:, at : at + 1], past_key_values=cache, use_cache=True)


def measure(
    *, layers: int, width: int, rank: int, rounds: int, dtype: torch.dtype, device: str, names: list[str]
) -> dict[str, dict[str, float]]:
    """For each variant: tokens/s (median), and the share of LoRA's."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    ids = sequences(1, device)
    models = {name: adapted(decoder(layers, width, dtype, device), VARIANTS[name], rank).eval() for name in names}
    times = take_turns(models, lambda name, model: decode(model, ids), rounds, device)
    return {
        name: {
            "tokens_per_second": TOKENS / statistics.median(times[name]),
            "share": statistics.median(b / t for t, b in zip(times[name], times["PEFT LoRA"], strict=False)),
        }
        for name in names
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(
        layers=options.layers,
        width=options.width,
        rank=options.rank,
        rounds=options.rounds,
        dtype=getattr(torch, options.dtype),
        device=options.device,
        names=list(VARIANTS),
    )
    if options.json:
        print(json.dumps({**vars(options), "variants": found}, indent=2))
        return
    for name, row in found.items():
        print(f"{name:24}{row['tokens_per_second']:8.1f} tokens/s{row['share']:8.2f} of LoRA's")


if __name__ == "__main__":
    main()
