"""Measures one model on held-out instances: how well it predicts their outputs, and what it writes itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from tqdm import tqdm

from moss import data
from moss.backbones.generalist import Generalist
from moss.evaluation import metrics
from moss.evaluation.metrics import InstanceSums
from moss.generation import decoding
from moss.generation.sampling import Sampling


@dataclasses.dataclass(frozen=True)
class Writing:
    """What a model wrote for some instances; float64 (instances,) each.

    images, expected: images written, and in the reference. empty: 1.0 for an output without text and images. repeated,
    grams: the numbers of word 4-grams that occurred before, and of all. whole, begun: the numbers of complete images
    and of images begun in freely drawn answers; None for a backbone that cannot draw image tokens from its vocabulary.
    """

    keys: tuple[str, ...]
    images: np.ndarray
    expected: np.ndarray
    empty: np.ndarray
    repeated: np.ndarray
    grams: np.ndarray
    whole: np.ndarray | None
    begun: np.ndarray | None


@torch.no_grad()
def predictions(generalist: Generalist, dataset: data.Samples, *, rows: int, length: int) -> InstanceSums:
    """The sums for every sample, in one pass."""
    device = next(generalist.model.parameters()).device
    packed = data.batches(dataset, rows=rows, length=length, seed=0, epoch=0, complete=False)
    parts = []
    with tqdm(total=len(dataset), desc="measuring", unit=" instances") as bar:
        for batch in packed:
            batch = batch.to(device)
            parts.append(metrics.instance_sums(generalist(batch), batch, generalist.layout))
            bar.update(len(batch.keys))
    return metrics.joined(parts)


def writing(generalist: Generalist, dataset: data.Samples, count: int, sampling: Sampling) -> Writing:
    """Answer the first `count` samples, once with complete images enforced and once freely."""
    layout, free = generalist.layout, decoding.image_tokens_in_vocabulary(generalist)
    numbers = range(min(count, len(dataset)))
    rows = []
    for number in tqdm(numbers, desc="writing", unit=" instances"):
        sample = dataset[number]
        learnt = int(sample.trained.argmax())
        prompt = sample.ids[:learnt]
        images = int(((layout.low <= prompt) & (prompt < layout.high)).sum())
        vectors = None if sample.vectors is None else sample.vectors[:images]
        most = decoding.budget(layout, sampling, int(sample.image_number.max()))
        roomy = dataclasses.replace(sampling, max_tokens=most)
        parts = decoding.parts(decoding.answer(generalist, prompt.tolist(), vectors, roomy), generalist)
        freely = decoding.free_answer(generalist, prompt.tolist(), roomy).ids if free else ()
        begun, whole = metrics.blocks(freely, layout)
        rows.append(
            (metrics.images_in(parts), sample.image_number.max(), not parts, *metrics.repetition(parts), whole, begun)
        )
    columns = np.array(rows, dtype=np.float64).T
    return Writing(dataset.keys[: len(numbers)], *columns[:5], *(columns[5:] if free else (None, None)))
