"""Backbones: one file each, each with `load(path, *, dtype)` for a checkpoint's folder and `tiny()` for random weights."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from schemas.errors import UserError

if TYPE_CHECKING:
    import torch

    from moss.backbones.generalist import Generalist


NAMES = ("chameleon", "continuous", "emu2", "emu3", "janus")


def load(name: str, path: Path | str, dtype: torch.dtype | None = None, **options: str | int | None) -> Generalist:
    """Load a backbone from a checkpoint's folder; the path "tiny" stands for small random weights.

    name: one of NAMES, or the module of a backbone of your own, such as `my_package.my_backbone` (docs/extending.md).
    dtype: float32 unless given. options: for the backbone's own `load`; None is as if not given. Raises UserError for
    another name, and for an option that the backbone does not have.
    """
    import torch

    backbone = _module(name)
    options = {key: value for key, value in options.items() if value is not None}
    known = inspect.signature(backbone.load).parameters
    for key in options:
        if str(path) == "tiny" or key not in known:
            raise UserError(f"The backbone {name} at {path} has no option {key}; leave it out.")
    dtype = dtype or torch.float32
    made: Generalist
    if str(path) == "tiny":
        made = backbone.tiny()
        made.model.to(dtype)
        return made
    made = backbone.load(path, dtype=dtype, **options)
    return made


def _module(name: str) -> ModuleType:
    try:
        found = importlib.import_module(f"moss.backbones.{name}" if name in NAMES else name)
    except ImportError as error:
        if getattr(error, "name", None) == name and "." not in name:
            raise UserError(
                f"There is no backbone {name!r}; choose one of {', '.join(NAMES)}, or name the module of your own, such "
                "as my_package.my_backbone."
            ) from None
        raise UserError(
            f"The backbone {name} cannot be imported: {error}; it must be installed, or lie below a folder in PYTHONPATH."
        ) from error
    if not (hasattr(found, "load") and hasattr(found, "tiny")):
        raise UserError(f"The module {name} defines no load and tiny, as a backbone does (docs/extending.md).")
    return found
