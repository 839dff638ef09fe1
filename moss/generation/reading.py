"""Feeds the new tokens of a batch of rows to the model when the rows' next hidden states are needed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from moss.backbones.generalist import Generalist


class Reader:
    """The state of R rows.

    prompts: the ids of each row; rows are padded on the left. vectors: those of each row, float32 (slots, c), for a
    continuous backbone; None if a row has none.
    """

    def __init__(
        self, generalist: Generalist, prompts: Sequence[Sequence[int]], vectors: Sequence[Tensor | None]
    ) -> None:
        self.generalist, self.seen = generalist, 0
        self.cache = DynamicCache(config=generalist.plain_model.config)
        self.device = next(generalist.model.parameters()).device
        longest, pad = max(map(len, prompts)), generalist.tokenizer.pad
        rows = [[pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
        self.missing = [longest - len(prompt) for prompt in prompts]
        self.padding = torch.tensor(self.missing, device=self.device)[:, None]
        self.ids = [torch.tensor(rows, device=self.device)]
        self.vectors: list[list[Tensor]] = [[] if some is None else [some] for some in vectors]

    def append(self, tokens: Tensor, vectors: Sequence[Tensor | None]) -> None:
        """Add tokens (R,), and the vector (1, c) of each row whose token is a slot."""
        self.ids.append(tokens[:, None])
        for row, vector in zip(self.vectors, vectors, strict=True):
            row += [] if vector is None else [vector]

    def hidden(self) -> Tensor:
        """The hidden states (R, d) after all tokens so far."""
        ids = torch.cat(self.ids, 1)
        index = torch.arange(self.seen + ids.shape[1], device=self.device)[None]
        mask = (index >= self.padding).long() if any(self.missing) else None
        # a finished row is padded while others go on: positions beyond the context would change dynamic rotary
        # embeddings for all rows
        last = None if self.generalist.context_length is None else self.generalist.context_length - 1
        positions = (index[:, self.seen :] - self.padding).clamp(0, last)
        waiting = [vector for row in self.vectors for vector in row]
        self.seen, self.ids, self.vectors = self.seen + ids.shape[1], [], [[] for _ in self.vectors]
        vectors = torch.cat(waiting) if waiting else None
        return self.generalist.hidden(ids, positions, vectors, self.cache, mask)[:, -1]
