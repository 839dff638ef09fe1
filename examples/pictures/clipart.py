"""Clip art from Debian's openclipart-svg (public domain), drawn with rsvg-convert and set on a white card."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

from PIL import Image, ImageOps

PACKAGE = Path("/usr/share/openclipart/svg")
LIST = Path(__file__).with_name("clipart.tsv")


def listed() -> list[tuple[str, str]]:
    """(file name in the corpus, path inside the package) of every piece of clip art."""
    return [(name, path) for name, path in (line.split("\t") for line in LIST.read_text().splitlines())]


def convert(path: str) -> Image.Image:
    """One drawing, cropped, at most 360 pixels per side, on white with a margin and an aspect ratio up to 4:3."""
    svg = subprocess.run(
        ["rsvg-convert", "--keep-aspect-ratio", "-w", "900", "-h", "900", PACKAGE / path],
        check=True,
        capture_output=True,
    ).stdout
    drawing = Image.open(io.BytesIO(svg)).convert("RGBA")
    card = Image.new("RGBA", drawing.size, "white")
    card.alpha_composite(drawing)
    card = card.convert("RGB")
    card = card.crop(ImageOps.invert(card).getbbox())
    card.thumbnail((360, 360), Image.Resampling.LANCZOS)
    width, height = card.size
    size = max(width, height * 3 // 4) + 40, max(height, width * 3 // 4) + 40
    return ImageOps.pad(ImageOps.expand(card, 20, "white"), size, color="white")


def convert_all() -> dict[str, Image.Image]:
    """Every listed piece, by its file name in the corpus."""
    return {name: convert(path) for name, path in listed()}
