"""Trains the small generalist from scratch: `python -m moss.small.pretrain --corpus ../shared/corpora/howto.tar`.

All weights but the VQ tokenizer's learn to continue the documents of `SOURCES`: textbooks, handbooks and a manual. The
other sources are kept for fine-tuning and for measuring (docs/moss.md), so that an adapter has something to learn. A
document is cut into pieces of whole segments; a picture is never cut. There are few images compared with the text. So
an epoch has a third of the documents completely (the next third in the next epoch), and of all documents the images
with the text just above each.

Writes a folder in Chameleon's format (float16) that `moss.backbones.chameleon.load` reads, and figures.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from moss.backbones import chameleon
from moss.backbones.chameleon_pixels import ChameleonPixels
from moss.backbones.generalist import Generalist
from moss.batch import Sample
from moss.data import collate
from moss.data.packing import pack
from moss.settings import Training
from moss.small.build import new_generalist
from moss.small.corpus import documents, pictures
from moss.training.losses import counts, sums, total
from moss.training.schedule import learning_rate
from schemas.errors import UserError

HERE = Path(__file__).parent / "generalist"
SOURCES = (
    "openstax-life-liberty-and-pursuit-happiness",
    "openstax-nursing-external-bundle",
    "openstax-physics",
    "openstax-principles-economics-bundle",
    "openstax-introduction-python-programming",
    "18f",
    "godot",
)
LENGTH, ROWS = 1024, 4
"""The numbers of tokens in a row and of rows in a step."""
NEARBY = 48
"""The number of text tokens above an image in the second form of a document."""
RATE, WARMUP = 2e-3, 40


def codes_of(corpus: Path, names: set[str], generalist: Generalist) -> dict[str, np.ndarray]:
    """File name -> codes (rows, columns) of the image."""
    found: dict[str, np.ndarray] = {}
    pixels = generalist.pixels
    assert isinstance(pixels, ChameleonPixels)
    named = pictures(corpus, names, pixels.resolution)
    bar = iter(tqdm(named, total=len(names), desc="encoding pictures", unit="", mininterval=5))
    while some := list(itertools.islice(bar, 64)):
        found.update(zip((name for name, _ in some), pixels.encode([image for _, image in some]), strict=False))
    return found


def pieces(
    document: dict[str, Any], codes: dict[str, np.ndarray], generalist: Generalist, dense: bool
) -> Iterator[np.ndarray]:
    """Token ids of a document's pieces of at most LENGTH; `dense` keeps only the pictures and the text above each."""
    layout, tokenizer = generalist.layout, generalist.tokenizer
    units = []  # (ids, is a picture)
    for segment in document["segments"]:
        if "text" in segment:
            units.append((np.array(tokenizer.encode(segment["text"] + "\n\n"), np.int64), False))
        elif segment["image"] in codes:
            units.append((layout.block(codes[segment["image"]]), True))
    if dense:
        after = [is_picture for _, is_picture in units[1:]] + [False]
        units = [
            (ids if is_picture else ids[-NEARBY:], is_picture)
            for (ids, is_picture), shown in zip(units, after, strict=False)
            if is_picture or shown
        ]
    room = LENGTH - 2
    piece: list[np.ndarray] = []
    for ids, is_picture in units:
        parts = [ids] if is_picture else np.split(ids, range(room, len(ids), room))
        for part in parts:
            if sum(len(ids) for ids in piece) + len(part) > room:
                yield np.concatenate([[tokenizer.bos], *piece])
                piece = []
            piece.append(part)
    if piece:
        yield np.concatenate([[tokenizer.bos], *piece, [tokenizer.eos]])


def samples(corpus: Path, generalist: Generalist, epochs: int) -> list[list[Sample]]:
    """The samples of each epoch."""
    chosen = [d for d in documents(corpus) if d["source"] in SOURCES]
    if not chosen:
        raise UserError(f"{corpus} has no documents of {', '.join(SOURCES)}; name howto.tar with --corpus.")
    codes = codes_of(corpus, {s["image"] for d in chosen for s in d["segments"] if "image" in s}, generalist)
    dense = [sample for d in chosen for sample in _samples(d, codes, generalist, dense=True)]
    return [
        dense + [sample for d in chosen[epoch % 3 :: 3] for sample in _samples(d, codes, generalist, dense=False)]
        for epoch in range(epochs)
    ]


def _samples(
    document: dict[str, Any], codes: dict[str, np.ndarray], generalist: Generalist, dense: bool
) -> Iterator[Sample]:
    for n, ids in enumerate(pieces(document, codes, generalist, dense)):
        is_image = (generalist.layout.low <= ids) & (ids < generalist.layout.high)
        yield Sample(f"{document['id']}#{n}", ids, np.ones(len(ids), bool), is_image.astype(np.int64))


def train(generalist: Generalist, data: list[list[Sample]], *, seed: int) -> dict[str, float]:
    """Train on the samples of each epoch. Returns the mean losses in nats of the last 50 steps."""
    torch.manual_seed(seed)
    core = generalist.plain_model
    core.train().requires_grad_(True)
    core.model.vqmodel.requires_grad_(False)
    rows = [
        [part[n] for n in row]
        for epoch, part in enumerate(data)
        for row in pack([len(sample.ids) for sample in part], LENGTH, seed, epoch)
    ]
    steps = len(rows) // ROWS
    training = Training(steps=steps, rows=ROWS, learning_rate=RATE, warmup=WARMUP)
    decayed: list[torch.nn.Parameter] = []
    plain: list[torch.nn.Parameter] = []
    for parameter in core.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 else plain).append(parameter)
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], lr=RATE, betas=(0.9, 0.98)
    )
    recent: list[tuple[float, float]] = []
    began, tokens = time.monotonic(), 0
    print(
        f"{sum(len(sample.ids) for row in rows for sample in row):,} tokens, {steps} steps, "
        f"{sum(p.numel() for p in decayed + plain):,} trained weights"
    )
    with tqdm(range(steps), desc="pre-training", unit="step", mininterval=5) as bar:
        for step in bar:
            batch = collate(rows[step * ROWS : (step + 1) * ROWS], LENGTH, generalist.layout, generalist.tokenizer.pad)
            with torch.autocast("cpu", torch.bfloat16):
                parts = sums(generalist(batch), batch)
            counted = counts([batch])
            torch.autograd.backward(total(parts, counted, training))
            torch.nn.utils.clip_grad_norm_(decayed + plain, 1.0)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, training)
            optimiser.step()
            optimiser.zero_grad()
            tokens += int((batch.ids != generalist.tokenizer.pad).sum())
            text, image = counted.clamp(min=1).tolist()
            recent = [*recent[-49:], (parts.text.item() / text, parts.image.item() / image)]
            means = np.mean(recent, axis=0)
            bar.set_postfix_str(
                f"text {means[0]:.3f} image {means[1]:.3f} {tokens / (time.monotonic() - began):.0f} tokens/s",
                refresh=False,
            )
    core.eval().requires_grad_(False)
    return {
        "steps": steps,
        "tokens": tokens,
        "text_loss": round(float(means[0]), 4),
        "image_loss": round(float(means[1]), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpora/howto.tar"))
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generalist = new_generalist(seed=options.seed)
    figures = train(generalist, samples(options.corpus, generalist, options.epochs), seed=options.seed)
    generalist.model.half()
    pixels = generalist.pixels
    assert isinstance(pixels, ChameleonPixels) and pixels.decoder is not None
    pixels.decoder.half()
    chameleon.save(generalist, options.out)
    (options.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
