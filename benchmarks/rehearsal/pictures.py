"""Small pictures: 64 squares of different greys, which makes every picture another to a perceptual hash."""

from __future__ import annotations

import functools
import io
import random
from pathlib import Path

import PIL.Image

SIDE = 96


def squares(seed: str, brighter: int = 0) -> bytes:
    """A PNG of 96 x 96 pixels. `brighter` adds to each grey: another file of the same picture."""
    greys = bytes(40 + brighter + level % 160 for level in random.Random(seed).randbytes(64))
    picture = PIL.Image.frombytes("L", (8, 8), greys).resize((SIDE, SIDE), PIL.Image.Resampling.NEAREST)
    return _bytes(picture, "PNG")


def flat(width: int, height: int) -> bytes:
    """A grey PNG."""
    return _bytes(PIL.Image.new("L", (width, height), 128), "PNG")


def _bytes(picture: PIL.Image.Image, format: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, format)
    return file.getvalue()


@functools.cache
def shared() -> dict[str, bytes]:
    """Files that many documents may have, because none of them is ever stored; by name."""
    noise = PIL.Image.frombytes("L", (200, 200), random.Random(0).randbytes(40_000))
    whole = _bytes(noise, "JPEG")
    return {
        "small.png": flat(48, 48),
        "endless.png": flat(100, 20_001),
        "banner.png": flat(800, 90),
        "icon.png": flat(SIDE, SIDE),
        "truncated.jpg": whole[: len(whole) // 2],
        "page.png": b"<!doctype html><title>404 Not Found</title>",
    }


def write(path: Path, data: bytes) -> int:
    """Write the file in a folder that may not be there yet; returns its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.write_bytes(data)
