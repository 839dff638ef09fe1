"""Stores the number of tokens of each instance next to its sidecar.

Tokenising 185,000 instances takes minutes.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import uuid
from typing import Any

import numpy as np

from moss.backbones.generalist import TextTokenizer
from moss.data import samples, sidecar
from moss.layout import ImageLayout
from schemas.codec import from_json


def read(path: pathlib.Path, layout: ImageLayout, tokenizer: TextTokenizer) -> np.ndarray | None:
    """The lengths, int64 (instances,), in the sidecar's order; None if they are not known for this sidecar."""
    header = sidecar.made_from(path)
    try:
        found: np.ndarray = np.load(_file(path, header, layout, tokenizer))
    except (OSError, ValueError):
        return None
    return found if header is not None and found.shape == (header["instances"],) else None


def measure(path: pathlib.Path, layout: ImageLayout, tokenizer: TextTokenizer) -> np.ndarray:
    """The lengths as `read` returns them; they are measured and stored if they are not known."""
    known = read(path, layout, tokenizer)
    if known is not None:
        return known
    made = np.array(
        [samples.sample_length(from_json(value), layout, tokenizer) for value, _ in sidecar.places(path)], np.int64
    )
    file = _file(path, sidecar.made_from(path), layout, tokenizer)
    temporary = file.with_name(f"{file.stem}.{uuid.uuid4().hex}.npy")
    np.save(temporary, made)
    os.replace(temporary, file)
    return made


def _file(
    path: pathlib.Path, header: dict[str, Any] | None, layout: ImageLayout, tokenizer: TextTokenizer
) -> pathlib.Path:
    """The file of the lengths.

    Its name depends on all that decides a length: what the sidecar was made from (its header), the text tokenizer, the
    image layout, the template.
    """
    known = f"{header} {tokenizer.fingerprint} {layout} {samples.MARKER!r} {samples.BETWEEN_TEXTS!r}"
    return path.with_name(f"{path.name}.{hashlib.sha256(known.encode()).hexdigest()[:12]}.lengths.npy")
