"""Reads the text in images: optical character recognition (OCR)."""

from __future__ import annotations

import importlib.metadata

READING_VERSION = 1
"""Part of the key of every cached text. Raise it when another text may be read in the same image (`reader.py`)."""


def version(side: int, boxes: int) -> str:
    """What identifies a reader in cache keys: engine, runtime and their versions, and its two limits."""
    names = (f"{name}@{importlib.metadata.version(name)}" for name in ("rapidocr", "onnxruntime"))
    return f"{'+'.join(names)}/{READING_VERSION}/{side}/{boxes}"
