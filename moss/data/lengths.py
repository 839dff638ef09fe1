"""How many tokens each instance of a sidecar has, kept beside it: tokenising 185,000 instances takes minutes."""

from __future__ import annotations

import hashlib
import os
import pathlib
import uuid

import numpy as np

from moss.backbones.generalist import TextTokenizer
from moss.data import samples, sidecar
from moss.layout import ImageLayout
from schemas.codec import from_json


def read(path: pathlib.Path, layout: ImageLayout, tokenizer: TextTokenizer) -> np.ndarray | None:
    """int64 (instances,), in the sidecar's order; None where they are not known of this very sidecar."""
    file = _file(path, layout, tokenizer)
    try:
        found: np.ndarray = np.load(file)
        return found if file.stat().st_mtime_ns >= path.stat().st_mtime_ns else None
    except (OSError, ValueError):
        return None


def measure(path: pathlib.Path, layout: ImageLayout, tokenizer: TextTokenizer) -> np.ndarray:
    """The same, measured where they are not known, and kept for the next time."""
    known = read(path, layout, tokenizer)
    if known is not None:
        return known
    made = np.array(
        [samples.sample_length(from_json(value), layout, tokenizer) for value, _ in sidecar.places(path)], np.int64
    )
    file = _file(path, layout, tokenizer)
    temporary = file.with_name(f"{file.stem}.{uuid.uuid4().hex}.npy")
    np.save(temporary, made)
    os.replace(temporary, file)
    return made


def _file(path: pathlib.Path, layout: ImageLayout, tokenizer: TextTokenizer) -> pathlib.Path:
    """Named by what a length depends on besides the sidecar: the text tokenizer, the block, the template."""
    known = f"{tokenizer.fingerprint} {layout} {samples.MARKER!r} {samples.BETWEEN_TEXTS!r}"
    return path.with_name(f"{path.name}.{hashlib.sha256(known.encode()).hexdigest()[:12]}.lengths.npy")
