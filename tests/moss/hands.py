"""Samples written by hand for any backbone, and the checks that hold for all of them."""

from __future__ import annotations

import itertools

import numpy as np
import peft
import PIL.Image
import torch
from transformers import DynamicCache

from moss import MossConfig
from moss.backbones.generalist import Generalist
from moss.batch import Batch, Sample
from moss.data import collate


def picture(seed: int, width: int = 40, height: int = 48) -> PIL.Image.Image:
    """Coarse coloured squares."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return PIL.Image.fromarray(coarse).resize((width, height), PIL.Image.Resampling.NEAREST)


def eager(generalist, liking: float):
    """The same generalist with another wish to begin images; random weights rarely do."""
    own, begin = generalist.text_logits, generalist.layout.begin

    def text_logits(hidden):
        logits = own(hidden).clone()
        logits[:, begin] += liking
        return logits

    generalist.text_logits = text_logits
    return generalist


def sample(generalist: Generalist, key: str, *parts: str | PIL.Image.Image) -> Sample:
    """bos, the parts, eos. The first part is context; everything after it is trained."""
    text, layout = generalist.tokenizer, generalist.layout
    ids, trained, number, vectors = [text.bos], [False], [0], []
    for place, part in enumerate(parts):
        if isinstance(part, str):
            block = text.encode(part)
        else:
            codes = generalist.pixels.encode([part])[0]
            if codes.ndim == 3:
                vectors.append(codes.reshape(-1, codes.shape[-1]).astype(np.float32))
                codes = np.zeros(codes.shape[:2], np.uint16)
            block = list(layout.block(codes))
        ids += block
        trained += [place > 0] * len(block)
        number += [place * (layout.low <= i < layout.high) for i in block]
    return Sample(
        key,
        np.array([*ids, text.eos]),
        np.array([*trained, True]),
        np.array([*number, 0]),
        np.concatenate(vectors) if vectors else None,
    )


def samples(generalist: Generalist) -> list[Sample]:
    return [
        sample(generalist, "a", "Show a cake.", "It rises.", picture(1), "It cools."),
        sample(generalist, "b", picture(2), "A hat.", picture(3)),
    ]


def batch(generalist: Generalist, *rows: list[Sample]) -> Batch:
    length = max(sum(len(s.ids) for s in row) for row in rows) + 3
    return collate(rows, length, generalist.layout, generalist.tokenizer.pad)


def losses(generalist: Generalist, given: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean text and image loss over the real targets."""
    scores = generalist(given)
    return scores.text_loss[given.text_of >= 0].mean(), scores.image_loss[given.image_of >= 0].mean()


def adapt(generalist: Generalist, **settings) -> Generalist:
    """With MoSS adapters in place."""
    config = MossConfig.for_backbone(generalist, **{"kind": "moss", "r": 8, "r_image": 8, "kernel_size": 2, **settings})
    generalist.model = peft.get_peft_model(generalist.model, config)
    return generalist


def train(generalist: Generalist, given: Batch, steps: int = 12, rate: float = 0.005) -> list[tuple[float, float]]:
    """AdamW on what needs gradients; the losses before every step and after the last."""
    optimizer = torch.optim.AdamW([p for p in generalist.parameters() if p.requires_grad], lr=rate)
    seen = []
    for _ in range(steps):
        text, image = losses(generalist, given)
        seen.append((text.item(), image.item()))
        optimizer.zero_grad()
        (text + image).backward()
        optimizer.step()
    with torch.no_grad():
        return [*seen, tuple(loss.item() for loss in losses(generalist, given))]


@torch.no_grad()
def stepwise(generalist: Generalist, one: Sample, prefill: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The hidden states (L, d) of one forward over everything, and of `prefill` tokens, then one at a time."""
    ids = torch.from_numpy(one.ids)[None]
    slots = (ids[0] >= generalist.layout.low) & (ids[0] < generalist.layout.high)

    def vectors(start: int, end: int) -> torch.Tensor | None:
        if one.vectors is None:
            return None
        return torch.from_numpy(one.vectors)[int(slots[:start].sum()) : int(slots[:end].sum())]

    generalist.eval()
    whole = generalist.hidden(ids, vectors=vectors(0, ids.shape[1]))
    cache, steps = DynamicCache(), []
    edges = [0, prefill, *range(prefill + 1, ids.shape[1] + 1)]
    for start, end in itertools.pairwise(edges):
        steps.append(generalist.hidden(ids[:, start:end], vectors=vectors(start, end), cache=cache))
    return whole[0], torch.cat(steps, dim=1)[0]


@torch.no_grad()
def packed_alone(generalist: Generalist) -> tuple[torch.Tensor, torch.Tensor]:
    """The second sample's hidden states behind another sample in a row, and in a row of its own."""
    generalist.eval()
    first, second = samples(generalist)
    packed, alone = batch(generalist, [first, second]), batch(generalist, [second])
    at, end = len(first.ids), len(first.ids) + len(second.ids)
    return (
        generalist.hidden(packed.ids, packed.positions, packed.vectors)[0, at:end],
        generalist.hidden(alone.ids, alone.positions, alone.vectors)[0, : end - at],
    )


def assert_cached_and_packed(generalist: Generalist) -> None:
    whole, steps = stepwise(generalist, samples(generalist)[0], prefill=7)
    torch.testing.assert_close(steps, whole, atol=1e-4, rtol=0)
    packed, alone = packed_alone(generalist)
    torch.testing.assert_close(packed, alone, atol=1e-4, rtol=0)


def adapted_layers(generalist: Generalist) -> list[str]:
    return sorted({name.partition(".moss_")[0] for name, _ in generalist.model.named_parameters() if ".moss_" in name})
