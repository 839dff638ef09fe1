"""A generalist of which only the reading side exists: bytes for text, mean brightness for image codes."""

from __future__ import annotations

import dataclasses
import types

import numpy as np

from moss.layout import ImageLayout


class Bytes:
    """Text as its UTF-8 bytes, ids 3 to 258."""

    bos, eos, pad, fingerprint = 1, 2, 0, "bytes/1"

    def encode(self, text):
        return [3 + byte for byte in text.encode()]

    def decode(self, ids):
        return bytes(id - 3 for id in ids).decode()


DISCRETE = ImageLayout(
    rows=2, columns=3, low=300, high=316, begin=260, end=261, row_end=262, header=(263,), footer=(264,)
)
CONTINUOUS = ImageLayout(rows=2, columns=2, low=300, high=301, begin=260, end=261)


@dataclasses.dataclass
class Brightness:
    """Codes 0 to 15 of a picture's cells; or, with `channels`, each cell's mean colour. Counts its pictures."""

    layout: ImageLayout
    channels: bool = False
    fingerprint: str = "brightness/1"
    encoded: int = 0

    def encode(self, images):
        self.encoded += len(images)
        size = (self.layout.columns, self.layout.rows)
        cells = np.stack([np.asarray(image.convert("RGB").resize(size, 4), np.float32) for image in images]) / 256
        return cells.astype(np.float16) if self.channels else (cells.mean(-1) * 16).astype(np.uint16)


def generalist(continuous: bool = False):
    layout = CONTINUOUS if continuous else DISCRETE
    return types.SimpleNamespace(
        name="stub",
        layout=layout,
        context_length=None,
        tokenizer=Bytes(),
        pixels=Brightness(layout, continuous, "colour/1" if continuous else "brightness/1"),
    )
