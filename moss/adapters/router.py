"""Passes the plan of a forward pass to all adapted layers: which tokens are image tokens, and what is in the cache."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from moss.adapters.config import MossConfig
from moss.adapters.decoding import DecodeState, Step, state_of
from moss.adapters.native import routing_ids
from moss.adapters.plan import Plan, make_plan


@dataclasses.dataclass
class Call:
    """One forward pass of the model. Plans are made when the first layer asks for them, by the adapter's name."""

    ids: Tensor
    state: DecodeState | None
    plans: dict[str, Plan] = dataclasses.field(default_factory=dict)
    steps: dict[str, Step] = dataclasses.field(default_factory=dict)

    def plan(self, adapter: str, config: MossConfig) -> Plan:
        if adapter not in self.plans:
            inside = None if self.state is None else self.state.inside.get(adapter)
            made = self.plans[adapter] = make_plan(self.ids, config, inside)
            if self.state is not None:
                if inside is None:
                    self.state.inside[adapter] = made.inside
                else:
                    inside.copy_(made.inside)
        return self.plans[adapter]

    def step(self, adapter: str, config: MossConfig) -> Step:
        """What all layers share for ids (B, 1) with a state."""
        if adapter not in self.steps:
            assert self.state is not None and self.state.position is not None
            self.steps[adapter] = Step(self.plan(adapter, config), config, self.state.position)
        return self.steps[adapter]


class MossRouter:
    """Shared by all layers of a model; `before` and `after` are hooks on its core and on the text decoder within.

    A plain object without weights. Between forward passes it is empty, so that a layer that is called by itself raises
    an error instead of using the plan of another call. It belongs to one thread at a time.
    """

    def __init__(self, core: PreTrainedModel) -> None:
        self.call: Call | None = None
        self.entered: PreTrainedModel | None = None
        self.thread: int | None = None
        self.layers: list[BaseTunerLayer] = []
        decoder = core.get_decoder()  # type: ignore[no-untyped-call]  # transformers does not type it
        self.hooks = [
            hook
            for module in ([core] if decoder is core else [core, decoder])
            for hook in (
                module.register_forward_pre_hook(self.before, with_kwargs=True),
                module.register_forward_hook(self.after, always_call=True),
            )
        ]
        self.configs: dict[str, MossConfig] = {}

    def detach(self) -> None:
        for hook in self.hooks:
            hook.remove()

    def add(self, layer: BaseTunerLayer) -> int:
        """Add an adapted layer. Returns its number."""
        self.layers.append(layer)
        return len(self.layers) - 1

    def active(self) -> list[MossConfig]:
        """The settings of the adapters that are active in some layer and tell images from text."""
        on = {name for layer in self.layers if not layer.disable_adapters for name in layer.active_adapters}
        return [config for name, config in self.configs.items() if name in on and config.kind != "lora"]

    def before(
        self, module: PreTrainedModel, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Forward pre-hook: stores the ids and the state on the cache.

        The ids are `moss_ids` (removed from kwargs) or `input_ids`. Raises RuntimeError if another thread is in a
        forward pass.
        """
        kwargs = dict(kwargs)
        if all(config.kind == "lora" for config in self.configs.values()):
            kwargs.pop("moss_ids", None)
            return args, kwargs
        self._claim()
        if self.entered not in (
            None,
            module,
        ):  # if it is this module, an interrupt has cut off the earlier forward pass
            return args, kwargs
        self.call, self.entered = None, module
        ids = kwargs.pop("moss_ids", None)
        if ids is None:
            ids = kwargs.get("input_ids", args[0] if args else None)
            if ids is not None:
                ids = routing_ids(module, ids, kwargs, self.active)
        if ids is not None:
            self.call = Call(ids, self._state(module, ids, kwargs))
        return args, kwargs

    def _state(self, module: PreTrainedModel, ids: Tensor, kwargs: dict[str, Any]) -> DecodeState | None:
        cache = kwargs.get("past_key_values")
        if cache is None and not torch.is_grad_enabled() and _uses_cache(module, kwargs):
            cache = kwargs["past_key_values"] = DynamicCache(config=module.config)
        if cache is None:
            return None
        state = state_of(cache)
        state.advance(ids)
        return state

    def after(self, module: PreTrainedModel, args: Any, output: Any) -> None:
        """Forward hook, also called after an error: removes everything of this forward pass."""
        if self.entered is module and (torch.compiler.is_compiling() or self.thread in (None, threading.get_ident())):
            self.call = self.entered = self.thread = None

    def _claim(self) -> bool:
        """Make this thread the one that the plan is for. Returns whether it was not yet.

        Compiled code keeps its plan to itself and needs no claim. Raises RuntimeError if another thread is in between.
        """
        if torch.compiler.is_compiling():
            return False
        own = threading.get_ident()
        if self.thread is not None and self.thread != own:
            raise RuntimeError(
                "another thread is calling this model, and the adapters' plan (which tokens are an image's) would be "
                "mixed up: call it from one thread at a time, or load a copy of the model for each"
            )
        before, self.thread = self.thread, own
        return before is None

    def here(self) -> Call:
        """The current forward pass. Raises RuntimeError if there is none whose ids are known."""
        if self.call is None:
            raise RuntimeError(
                "the adapters do not know which tokens are an image's. Call the whole model with input_ids, or pass "
                "moss_ids (the ids, with image tokens in their places) beside inputs_embeds; checkpoint activations "
                "through the model's gradient_checkpointing_enable()"
            )
        return self.call

    def checkpoint_context(
        self,
    ) -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
        """A `context_fn` of torch.utils.checkpoint.

        A segment is recomputed with the plan that it was computed with, even if another forward pass came between.
        """
        return contextlib.nullcontext(), self._restored(self.call)

    @contextlib.contextmanager
    def _restored(self, earlier: Call | None) -> Iterator[None]:
        claimed = self._claim()
        present, self.call = self.call, earlier
        try:
            yield
        finally:
            self.call = present
            if claimed:
                self.thread = None


def _uses_cache(module: PreTrainedModel, kwargs: dict[str, Any]) -> bool:
    """Whether the forward pass returns a cache, as transformers decides it."""
    if kwargs.get("use_cache") is not None:
        return bool(kwargs["use_cache"])
    decoder = module.get_decoder()  # type: ignore[no-untyped-call]  # transformers does not type it
    checkpointing = decoder.training and getattr(decoder, "gradient_checkpointing", False)
    return bool(getattr(decoder.config, "use_cache", False)) and not checkpointing
