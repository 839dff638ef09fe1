"""Carries a forward's plan to all adapted layers, and what cached decoding must remember of earlier tokens."""

from __future__ import annotations

import contextlib
import dataclasses

import torch
from torch import Tensor
from transformers import DynamicCache

from moss.adapters.config import MossConfig
from moss.adapters.plan import Plan, plan


@dataclasses.dataclass
class DecodeState:
    """Hangs on the transformers cache that it belongs to, so that a new generation starts afresh.

    seen: tokens so far. inside: see Plan. taps: for each layer its last M tap projections (B, M, K, r_image), where M
    is the largest offset of the kernel, as causal-conv1d keeps its last inputs.
    """

    seen: int = 0
    inside: Tensor | None = None
    taps: dict[int, Tensor] = dataclasses.field(default_factory=dict)


REORDERING = ("reorder_cache", "crop", "batch_repeat_interleave", "batch_select_indices")
"""What beam search and assisted decoding do to a cache; the convolution's state cannot follow."""


class MossRouter:
    """Shared by reference; `before` and `after` are hooks on the core decoder. Not a module: it has no weights."""

    def __init__(self, config: MossConfig) -> None:
        self.config = config
        self.plan: Plan | None = None
        self.state: DecodeState | None = None
        self.layers = 0

    def attach(self, core) -> None:
        self.hooks = (core.register_forward_pre_hook(self.before, with_kwargs=True),
                      core.register_forward_hook(self.after))

    def detach(self) -> None:
        for hook in self.hooks:
            hook.remove()

    def next_index(self) -> int:
        self.layers += 1
        return self.layers - 1

    def before(self, core, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Forward pre-hook: builds the plan from `moss_ids` (taken away) or `input_ids`."""
        kwargs = dict(kwargs)
        ids = kwargs.pop("moss_ids", None)
        if ids is None:
            ids = kwargs.get("input_ids", args[0] if args else None)
        if self.config.kind == "lora":
            return args, kwargs
        if ids is None:
            raise ValueError("the adapters cannot tell images from text without token ids: pass input_ids, or "
                             "moss_ids beside inputs_embeds")
        cache = kwargs.get("past_key_values")
        if cache is None and kwargs.get("use_cache") and not torch.is_grad_enabled():
            cache = kwargs["past_key_values"] = DynamicCache(config=core.config)
        self.state = None if cache is None else _state_of(cache)
        inside = None if self.state is None else self.state.inside
        self.plan = plan(ids, self.config, inside)
        if self.state is not None:
            self.state.seen += ids.shape[1]
            self.state.inside = self.plan.inside
        return args, kwargs

    def after(self, core, args, output) -> None:
        """Forward hook: the state lives on the cache alone."""
        self.state = None

    def with_history(self, layer: int, taps: Tensor) -> Tensor:
        """The taps (B, L, K, r) of this chunk after those that the cache remembers for the layer."""
        if self.state is None:
            return taps
        before = self.state.taps.get(layer)
        taps = taps if before is None else torch.cat([before, taps], dim=1)
        longest = self.config.offsets[-1]
        self.state.taps[layer] = taps[:, max(0, taps.shape[1] - longest):].clone()
        return taps

    def checkpoint_context(self):
        """A `context_fn` of torch.utils.checkpoint: a segment is recomputed with the plan that it was computed with,
        even when another forward came between."""
        return contextlib.nullcontext(), self._restored(self.plan)

    @contextlib.contextmanager
    def _restored(self, earlier: Plan | None):
        present, self.plan = self.plan, earlier
        try:
            yield
        finally:
            self.plan = present


def _state_of(cache) -> DecodeState:
    length = cache.get_seq_length()
    state = getattr(cache, "moss_state", None)
    if isinstance(length, int) and length == 0:
        state = None        # new, or reset
    if state is None:
        state = cache.moss_state = DecodeState()
        for name in REORDERING:
            setattr(cache, name, _Refused(name))
    if isinstance(length, int) and length != state.seen:
        raise ValueError(f"this cache holds {length} tokens, of which the adapters saw {state.seen}: fill it with the "
                         "adapted model from the start (past_key_values=DynamicCache(config=...)), and do not crop it")
    return state


@dataclasses.dataclass(frozen=True)
class _Refused:
    name: str

    def __call__(self, *args, **kwargs):
        raise NotImplementedError(f"cache.{self.name}: the convolution's memory of earlier image tokens would not "
                                  "follow, and the output would be wrong without an error. Beam search, assisted and "
                                  "contrastive decoding are not offered; sample, or decode greedily")
