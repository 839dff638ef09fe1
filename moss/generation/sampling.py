"""Draws tokens: temperature, top-p, top-k, guidance."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

NO_IDS = torch.LongTensor()
"""The warpers only use the logits."""


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; the defaults are ours.

    Text: temperature, and the most likely tokens that make up `top_p` of the probability. Images: temperature, and the
    `top_k` most likely codes (None: all). Vectors are not drawn. `greedy` always takes the most likely. max_tokens: new
    tokens; None leaves room for `max_images` images and for text (see `decoding.budget`). image_guidance:
    classifier-free guidance of image tokens and vectors, g: the prediction without instruction and context, plus g
    times what these change (Ho and Salimans, arXiv 2207.12598); 1 is without. The same seed gives a prompt the same
    answer on the same machine, whatever else is in its batch, up to rounding.
    """

    seed: int = 0
    text_temperature: float = 0.7
    text_top_p: float = 0.9
    image_temperature: float = 1.0
    image_top_k: int | None = None
    greedy: bool = False
    max_tokens: int | None = None
    max_images: int | None = None
    image_guidance: float = 1.0


class Draw:
    """The random draws of one prompt, from its own generator."""

    def __init__(self, sampling: Sampling, seed: int, device: torch.device) -> None:
        self.greedy, self.device = sampling.greedy, device
        self.generator = torch.Generator(device).manual_seed(seed)
        self.warpers = [
            LogitsProcessorList([TemperatureLogitsWarper(float(t)), *more])
            for t, more in (
                (sampling.text_temperature, [TopPLogitsWarper(sampling.text_top_p)]),
                (sampling.image_temperature, [TopKLogitsWarper(sampling.image_top_k)] if sampling.image_top_k else []),
            )
        ]

    def text(self, logits: Tensor) -> Tensor:
        """A text token (1,), from logits (1, V)."""
        return self._draw(logits, self.warpers[0])

    def image(self, logits: Tensor) -> Tensor:
        """A code (1,), from logits (1, codes)."""
        return self._draw(logits, self.warpers[1])

    def _draw(self, logits: Tensor, warpers: LogitsProcessorList) -> Tensor:
        if self.greedy:
            return logits.argmax(-1)
        return torch.multinomial(warpers(NO_IDS, logits.float()).softmax(-1), 1, generator=self.generator)[:, 0]
