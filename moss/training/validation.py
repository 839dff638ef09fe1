"""Measures the losses on held-out instances during training."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from accelerate import Accelerator

from moss.batch import Batch
from moss.training import losses


@torch.no_grad()
def validate(accelerator: Accelerator, model: torch.nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
    """The mean losses over all processes' batches, in nats per token (squared error for vectors).

    validation/text and validation/image, each only if there are such targets.
    """
    model.train(False)
    text = image = 0.0
    counted = torch.zeros(2, dtype=torch.int64, device=accelerator.device)
    for batch in batches:
        batch = batch.to(accelerator.device)
        parts = losses.sums(model(batch), batch)
        text, image = text + float(parts.text), image + float(parts.image)
        counted += losses.counts([batch])
    model.train()
    sums = accelerator.reduce(torch.tensor([text, image], dtype=torch.float64, device=accelerator.device))
    means = zip(("text", "image"), sums.tolist(), accelerator.reduce(counted).tolist(), strict=False)
    return {f"validation/{name}": total / count for name, total, count in means if count}
