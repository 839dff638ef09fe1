"""Stores the number of tokens of each instance next to its sidecar.

Tokenising 185,000 instances takes minutes.
"""

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
    """The lengths, int64 (instances,), in the sidecar's order; None if they are not known for this sidecar."""
    file = _file(path, layout, tokenizer)
    try:
        found: np.ndarray = np.load(file)
        return found if file.stat().st_mtime_ns >= path.stat().st_mtime_ns else None
    except (OSError, ValueError):
        return None


def measure(path: pathlib.Path, layout: ImageLayout, tokenizer: TextTokenizer) -> np.ndarray:
    """The lengths as `read` returns them; they are measured and stored if they are not known."""
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
    """The file of the lengths.

    Its name depends on what else decides a length: the text tokenizer, the image layout, the template.
    """
    known = f"{tokenizer.fingerprint} {layout} {samples.MARKER!r} {samples.BETWEEN_TEXTS!r}"
    return path.with_name(f"{path.name}.{hashlib.sha256(known.encode()).hexdigest()[:12]}.lengths.npy")
