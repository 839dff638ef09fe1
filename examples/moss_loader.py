"""Uses only the loader of `moss/`, in a training loop of your own; here with stock PEFT LoRA instead of MoSS adapters.

    python examples/moss_loader.py out/demo

`moss.data.batches` gives packed rows of one static length, in an order that follows from (seed, epoch); with `start` it
continues at any step, and with `rank` and `ranks` several processes share every batch.
"""

from __future__ import annotations

import sys

import torch
from peft import LoraConfig, get_peft_model

from moss import backbones, data


def train(shards: str, *, path: str = "tiny", steps: int = 20, length: int = 512) -> list[tuple[float, float]]:
    """The mean text and image loss of every step."""
    torch.manual_seed(0)  # of the new adapters
    generalist = backbones.load("chameleon", path)
    generalist.model = get_peft_model(
        generalist.plain_model, LoraConfig(r=16, target_modules=generalist.target_modules)
    )
    dataset = data.open_samples(shards, generalist, max_length=length)
    optimizer = torch.optim.AdamW([p for p in generalist.parameters() if p.requires_grad], lr=5e-3)
    losses: list[tuple[float, float]] = []
    epoch = 0
    while len(losses) < steps:
        for batch in data.batches(dataset, rows=2, length=length, seed=0, epoch=epoch):
            scores = generalist(batch)  # one loss for each target; surplus targets have `*_of` = -1
            text, image = scores.text_loss[batch.text_of >= 0].mean(), scores.image_loss[batch.image_of >= 0].mean()
            (text + image).backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append((text.item(), image.item()))
        epoch += 1
    return losses[:steps]


if __name__ == "__main__":
    for text, image in train(sys.argv[1], path="moss/small/generalist"):
        print(f"text {text:.3f}, image {image:.3f} nats a token")
