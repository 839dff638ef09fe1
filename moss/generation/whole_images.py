"""Decides which tokens may come next, so that every image is complete.

A finite-state machine over the positions of an image block.

Outside an image a model writes text or begins an image; inside, everything except the image tokens themselves is
determined by the layout. An image is begun only if all of it still fits, so no image is ever truncated.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor
from transformers import LogitsProcessor

from moss.backbones.generalist import TextTokenizer
from moss.layout import ImageLayout

_BEGIN, _NO_BEGIN, _IMAGE, _FORCED = range(4)
FREE = -1


def places(ids: Tensor, layout: ImageLayout) -> Tensor:
    """ids (B, L) -> int64 (B, L): for each token, the number of tokens of its image block up to and including it.

    0 outside, and 0 at a block's last token, because the next token is outside.
    """
    index = torch.arange(ids.shape[1], device=ids.device)
    begun = torch.where(ids == layout.begin, index, -layout.block_length).cummax(1).values
    place = index - begun + 1
    return torch.where(place < layout.block_length, place, 0)


def forced(layout: ImageLayout) -> list[int]:
    """The required id at each position of a block (block_length entries, the first is `begin`).

    FREE for an image token. So `forced(layout)[place]` is the id after a token of that place (see `places`).
    """
    row = [FREE] * layout.columns + ([] if layout.row_end is None else [layout.row_end])
    return [layout.begin, *layout.header, *row * layout.rows, *layout.footer, layout.end]


def not_text(layout: ImageLayout, tokenizer: TextTokenizer) -> frozenset[int]:
    """The ids besides image tokens that are not allowed in text: those of a block, `bos` and `pad`.

    The ids of a header in plain text (Emu3's size) stay allowed.
    """
    textual = {id for id in (*layout.header, *layout.footer) if id in tokenizer.encode(tokenizer.decode([id]))}
    return _block_ids(layout) - textual | {tokenizer.bos, tokenizer.pad} - {tokenizer.eos}


class WholeImages(LogitsProcessor):
    """A logits processor for transformers' `generate`, or for your own loop.

    It only needs the ids; batches must be padded on the left.

    prompt_length: the number of tokens of a row before the first new one. max_tokens: the most new tokens; give
    `max_new_tokens` of `generate` the same value. max_images: the most new images. forbidden: the ids that are not
    allowed in text, see `not_text`; by default every id of a block except `begin`.
    """

    def __init__(
        self,
        layout: ImageLayout,
        *,
        prompt_length: int,
        max_tokens: int,
        max_images: int | None = None,
        forbidden: Collection[int] | None = None,
    ) -> None:
        self.layout, self.prompt_length, self.max_tokens = layout, prompt_length, max_tokens
        self.max_images = max_tokens if max_images is None else max_images
        self.forbidden = sorted(_block_ids(layout) if forbidden is None else forbidden)
        self.forced = torch.tensor(forced(layout))
        self.allowed: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        begun = (input_ids[:, self.prompt_length :] == self.layout.begin).sum(1)
        return self.mask(scores, places(input_ids, self.layout)[:, -1], begun, input_ids.shape[1] - self.prompt_length)

    def mask(self, scores: Tensor, place: Tensor, begun: Tensor, written: int) -> Tensor:
        """The scores (B, V), with -inf for ids that may not come next.

        place (B,): of the last token; begun (B,): the number of images so far; written: the number of new tokens so
        far. For a loop that counts itself; `__call__` counts from the ids.
        """
        if self.allowed is None or self.allowed.device != scores.device:
            self.allowed, self.forced = self._allowed(scores.shape[1], scores.device), self.forced.to(scores.device)
        fits = written + self.layout.block_length <= self.max_tokens
        outside = torch.where(begun < self.max_images, _BEGIN if fits else _NO_BEGIN, _NO_BEGIN)
        wanted = torch.where(place > 0, self.forced[place], FREE)
        inside = torch.where(wanted == FREE, _IMAGE, _FORCED)
        allowed = self.allowed[torch.where(place > 0, inside, outside)]
        ids = torch.arange(scores.shape[1], device=scores.device)
        return scores.masked_fill(~(allowed | (ids == wanted[:, None])), -torch.inf)

    def _allowed(self, vocabulary: int, device: torch.device) -> Tensor:
        allowed = torch.zeros(4, vocabulary, dtype=torch.bool)
        allowed[[_BEGIN, _NO_BEGIN]] = True
        allowed[:, self.layout.low : self.layout.high] = False
        allowed[_IMAGE, self.layout.low : self.layout.high] = True
        allowed[:, [id for id in self.forbidden if id < vocabulary]] = False
        allowed[:, self.layout.begin] = False
        allowed[_BEGIN, self.layout.begin] = True
        return allowed.to(device)


def _block_ids(layout: ImageLayout) -> frozenset[int]:
    row_end = () if layout.row_end is None else (layout.row_end,)
    return frozenset({*layout.header, *layout.footer, layout.end, *row_end})
