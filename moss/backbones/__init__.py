"""Backbones: one file each, each with `load(path)` for a checkpoint's folder and `tiny(seed)` for random weights."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import UserError

if TYPE_CHECKING:
    import torch

    from moss.backbones.generalist import Generalist


NAMES = ("chameleon", "continuous", "emu3", "janus")
OPTIONS = {"emu3": ("size",), "continuous": ("clip", "clip_weights")}
"""What a backbone's `load` takes beside the folder; the rest take nothing."""


def load(name: str, path: Path | str, dtype: torch.dtype | None = None, **options: str | int | None) -> Generalist:
    """The backbone "chameleon", "emu3", "janus" or "continuous" from a checkpoint's folder; the path "tiny" stands for
    small random weights. dtype: float32 unless given. options: for the backbone's own `load`; None is as if not given.
    Raises UserError for another name, and for an option that the backbone does not have."""
    import torch

    options = {key: value for key, value in options.items() if value is not None}
    for key in options:
        if str(path) == "tiny" or key not in OPTIONS.get(name, ()):
            raise UserError(f"The backbone {name} at {path} has no option {key}; leave it out.")

    if name not in NAMES:
        raise UserError(f"There is no backbone {name!r}; choose one of {', '.join(NAMES)}.")
    backbone = importlib.import_module(f"moss.backbones.{name}")
    dtype = dtype or torch.float32
    made: Generalist
    if str(path) == "tiny":
        made = backbone.tiny()
        made.model.to(dtype)
        return made
    made = backbone.load(path, dtype=dtype, **options)
    return made
