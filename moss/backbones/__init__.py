"""Backbones: one file each, each with `load(path)` for a checkpoint's folder and `tiny(seed)` for random weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import UserError

if TYPE_CHECKING:
    import torch

    from moss.backbones.generalist import Generalist


OPTIONS = {"emu3": ("size",), "continuous": ("clip", "clip_weights")}
"""What a backbone's `load` takes beside the folder; the rest take nothing."""


def load(name: str, path: Path | str, dtype: torch.dtype | None = None, **options) -> Generalist:
    """The backbone "chameleon", "emu3", "janus" or "continuous" from a checkpoint's folder; the path "tiny" stands for
    small random weights. dtype: float32 unless given. options: for the backbone's own `load`; None is as if not given.
    Raises UserError for another name, and for an option that the backbone does not have."""
    import torch

    options = {key: value for key, value in options.items() if value is not None}
    for key in options:
        if str(path) == "tiny" or key not in OPTIONS.get(name, ()):
            raise UserError(f"The backbone {name} at {path} has no option {key}; leave it out.")

    match name:
        case "chameleon":
            from moss.backbones import chameleon as backbone
        case "emu3":
            from moss.backbones import emu3 as backbone
        case "janus":
            from moss.backbones import janus as backbone
        case "continuous":
            from moss.backbones import continuous as backbone
        case _:
            raise UserError(f"There is no backbone {name!r}; choose chameleon, emu3, janus or continuous.")
    dtype = dtype or torch.float32
    if str(path) == "tiny":
        tiny = backbone.tiny()
        tiny.model.to(dtype)
        return tiny
    return backbone.load(path, dtype=dtype, **options)
