"""Whole modules that are trained beside the adapters: `modules_to_save`, as in PEFT, but in float32.

PEFT copies the module in its own type. AdamW's small steps would be rounded away in bfloat16, whose next number is 0.8 %
larger.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from peft.utils.other import ModulesToSaveWrapper
from torch import Tensor, nn


def keep_in_float32(model: nn.Module, adapter: str) -> None:
    """Turn an adapter's copies of whole modules into float32; their inputs and outputs stay in the model's type."""
    for wrapper in model.modules():
        if isinstance(wrapper, ModulesToSaveWrapper) and adapter in wrapper.modules_to_save:
            module = wrapper.modules_to_save[adapter]
            dtype = _dtype(module)
            if dtype in (torch.float16, torch.bfloat16):
                module.float()
                module.register_forward_pre_hook(_enter, with_kwargs=True)
                module.register_forward_hook(functools.partial(_leave, dtype))


def _dtype(module: nn.Module) -> torch.dtype | None:
    return next((weight.dtype for weight in module.parameters() if weight.is_floating_point()), None)


def _enter(module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Forward pre-hook: the inputs in the type that the weights have now, which FSDP2's mixed precision changes."""
    dtype = _dtype(module)
    return _cast(args, dtype), {name: _cast(value, dtype) for name, value in kwargs.items()}


def _leave(dtype: torch.dtype, module: nn.Module, args: Any, output: Any) -> Any:
    """Forward hook: the output in the model's type."""
    return _cast(output, dtype)


def _cast(value: Any, dtype: torch.dtype | None) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    return tuple(_cast(part, dtype) for part in value) if type(value) is tuple else value
