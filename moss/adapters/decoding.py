"""Cached decoding: what must be remembered of earlier tokens, and the computation for one token in a layer.

The convolution needs an image token's neighbours, at most M = (k - 1) * (stride + 1) tokens back. Every layer keeps the
tap projections of the last M + 1 tokens in a ring: a token's taps are written to its place in the ring, and its
neighbours are read by an index that all layers share. The weights are stacked, scaled and converted to the model's type
once for each generation: like the keys and values in the cache, they are those at the time of the first step.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from moss.adapters.config import MossConfig
from moss.adapters.plan import Plan

REORDERING = ("reorder_cache", "crop", "batch_repeat_interleave", "batch_select_indices")
"""The methods of a cache that beam search and assisted decoding call; the convolution's memory does not support
them."""


class Weights(NamedTuple):
    """A layer's adapter in the type of its input.

    down: (r + taps, in) or, in rank space, (r + r_image, in) with `kernel` (K * r_image, r_image). up: (r + r_image,
    out), with the scales in it.
    """

    down: Tensor
    kernel: Tensor | None
    up: Tensor


@dataclasses.dataclass
class History:
    """The memory of one adapter in one layer.

    seen: the number of tokens that it has processed. ring: (B, M + 1, K * r_image).
    """

    seen: int = 0
    ring: Tensor | None = None
    weights: Weights | None = None


@dataclasses.dataclass
class DecodeState:
    """The adapters' state in cached decoding.

    It is kept on the transformers cache that it belongs to, so that a new generation starts without it.

    before, seen: the number of tokens before this forward pass, and after it. position: `before` as int64 (1,), on the
    device and changed in place, so that a CUDA graph can continue from it. inside: for each adapter, see Plan.
    """

    before: int = 0
    seen: int = 0
    position: Tensor | None = None
    inside: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    histories: dict[tuple[int, str], History] = dataclasses.field(default_factory=dict)

    def advance(self, ids: Tensor) -> None:
        """Begin a forward pass on ids (B, L)."""
        if self.position is None:
            self.position = torch.full((1,), self.seen, device=ids.device)
        else:
            self.position += self.seen - self.before  # the length of the previous forward pass
        self.before, self.seen = self.seen, self.seen + ids.shape[1]

    def history(self, layer: int, adapter: str) -> History:
        """A layer's history, up to this forward pass. Raises ValueError if it missed earlier tokens."""
        found = self.histories.setdefault((layer, adapter), History())
        if found.seen != self.before:
            raise ValueError(
                f"the adapter {adapter!r} saw {found.seen} of the {self.before} tokens that this cache "
                "holds: it was off, merged or not the active one for a part of them. Begin again with a "
                "new cache"
            )
        found.seen = self.seen
        return found


class Step:
    """What all layers share when one token for each row (B, 1) is decoded.

    branch: "text" or "image" if all rows have such a token, else "both". This is only checked on a CPU, because on a
    GPU the program would have to wait for the answer. slot: int64 (1,), the token's place in the rings. index: int64 (B
    * K,), its neighbours in a ring of (B * (M + 1) * K, r_image).
    """

    def __init__(self, plan: Plan, config: MossConfig, position: Tensor) -> None:
        self.plan = plan
        self.branch = "both"
        if not plan.is_text.is_cuda and not torch.compiler.is_compiling():
            texts = int(plan.is_text.sum())
            self.branch = "image" if not texts else "text" if texts == len(plan.is_text) else "both"
        size, k = config.offsets[-1] + 1, len(config.offsets)
        self.slot = position % size
        offsets = _on_device(config.offsets, position.device)
        rows = torch.arange(len(plan.is_text), device=position.device)[:, None] * size
        self.index = ((rows + (position - offsets) % size) * k + torch.arange(k, device=position.device)).flatten()
        self._masks: dict[torch.dtype, tuple[Tensor, Tensor]] = {}

    def masks(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The masks is_text (B, 1, 1) and valid (B, 1, K), as 0 and 1."""
        if dtype not in self._masks:
            self._masks[dtype] = self.plan.is_text.to(dtype), self.plan.valid.to(dtype)
        return self._masks[dtype]


@functools.cache
def _on_device(offsets: tuple[int, ...], device: torch.device) -> Tensor:
    """The offsets on the device; copied once, because a CUDA graph cannot include a copy from the host."""
    return torch.tensor(offsets, device=device)


def one_token(out: Tensor, x: Tensor, weights: Weights, history: History, step: Step, config: MossConfig) -> Tensor:
    """out (B, 1, o) plus the adapter's output for x (B, 1, d)."""
    r = config.r
    if step.branch == "text":
        return _added(out, linear(x, weights.down[:r]), weights.up[:r])
    is_text, valid = step.masks(x.dtype)
    if step.branch == "image":
        text, taps, up = None, linear(x, weights.down[r:]), weights.up[r:]
    else:
        hidden = linear(x, weights.down)
        text, taps, up = hidden[..., :r] * is_text, hidden[..., r:], weights.up
    if weights.kernel is not None:
        taps = linear(taps, weights.kernel)
    if config.offsets[-1]:
        if history.ring is None:
            history.ring = taps.new_zeros(taps.shape[0], config.offsets[-1] + 1, taps.shape[-1])
        history.ring.index_copy_(1, step.slot, taps)
        neighbours = history.ring.view(-1, config.image_rank).index_select(0, step.index)
        image = torch.bmm(valid, neighbours.view(len(valid), -1, config.image_rank))
    else:
        image = taps if step.branch == "image" else taps * valid
    return _added(out, image if text is None else torch.cat([text, image], dim=-1), up)


def earlier(history: History, position: Tensor, batch: int, width: int, config: MossConfig, like: Tensor) -> Tensor:
    """The taps (batch, M, width) of the M tokens before `position` (1,), the earliest first; zeros before the start."""
    longest = config.offsets[-1]
    if history.ring is None:
        return like.new_zeros(batch, longest, width)
    at = (position + torch.arange(1, longest + 1, device=position.device)) % (longest + 1)
    return history.ring.index_select(1, at).to(like.dtype)


def remember(history: History, position: Tensor, taps: Tensor, config: MossConfig) -> None:
    """Write the taps (B, L, K * r_image) of a chunk that begins at `position` to the ring."""
    size = config.offsets[-1] + 1
    taps = taps.detach()
    if history.ring is None:
        history.ring = taps.new_zeros(taps.shape[0], size, taps.shape[-1])
    kept = min(size, taps.shape[1])
    at = (position + torch.arange(taps.shape[1] - kept, taps.shape[1], device=position.device)) % size
    history.ring.index_copy_(1, at, taps[:, taps.shape[1] - kept :].to(history.ring.dtype))


def state_of(cache: Any) -> DecodeState:
    """The state on a transformers cache; it is created if there is none.

    Raises ValueError for a cache with tokens that the adapters did not see.
    """
    state: DecodeState | None = getattr(cache, "moss_state", None)
    length = cache.get_seq_length()
    if isinstance(length, Tensor):  # a static cache's
        # on a GPU the program waits for its value, so it is read once a cache: at the prompt, outside of CUDA graphs
        unread = torch.compiler.is_compiling() or (state is not None and _must_wait(length))
        length = None if unread else int(length)
    if length == 0 and state is not None and state.seen:
        state = None
    seen = 0 if state is None else state.seen
    if length is not None and length != seen:
        raise ValueError(
            f"this cache holds {length} tokens, of which the adapters saw {seen}: fill it with the "
            "adapted model from the start (past_key_values=DynamicCache(config=...)), and do not crop it"
        )
    if state is None:
        state = cache.moss_state = DecodeState()
        for name in REORDERING:
            setattr(cache, name, _Refused(name))
        cache.reset = _Reset(cache)
    return state


def _must_wait(value: Tensor) -> bool:
    return value.is_cuda


@dataclasses.dataclass(frozen=True)
class _Refused:
    name: str

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            f"cache.{self.name}: the convolution's memory of earlier image tokens would not "
            "follow, and the output would be wrong without an error. Beam search, assisted and "
            "contrastive decoding are not offered; sample, or decode greedily"
        )


@dataclasses.dataclass(frozen=True)
class _Reset:
    """A cache's `reset` that also resets the adapters' memory."""

    cache: Any

    def __call__(self) -> None:
        vars(self.cache).pop("moss_state", None)  # there is none after another reset
        type(self.cache).reset(self.cache)


def _added(out: Tensor, hidden: Tensor, up: Tensor) -> Tensor:
    return torch.addmm(out.flatten(0, -2), hidden.flatten(0, -2), up).view(out.shape)
