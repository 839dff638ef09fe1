"""Tools for the drawings: a canvas that is drawn at twice its size and scaled down for smooth lines, and charts."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]
Colour = str | tuple[int, ...] | None
"""A colour as in Pillow; None: not drawn."""

Pictures = Mapping[str, Image.Image | bytes]
"""File name -> picture, or the bytes of a finished file."""

INK, GREY, PAPER = "#26323c", "#8a97a1", "#ffffff"
BLUE, ORANGE, GREEN, RED, YELLOW, VIOLET = "#2f6fb0", "#e07b28", "#3c8d5a", "#c8403a", "#f2c14b", "#7a5aa6"


class Canvas:
    """A white sheet of `width` x `height` pixels; all coordinates are in these pixels, y downwards."""

    def __init__(self, width: int, height: int, paper: str = PAPER):
        self.size = width, height
        self.sheet = Image.new("RGB", (2 * width, 2 * height), paper)
        self.pen = ImageDraw.Draw(self.sheet)

    def line(self, points: Iterable[Point], colour: Colour = INK, width: float = 2) -> None:
        self.pen.line(_double(points), fill=colour, width=round(2 * width), joint="curve")

    def polygon(self, points: Sequence[Point], fill: Colour = None, outline: Colour = INK, width: float = 2) -> None:
        self.pen.polygon(_double(points), fill=fill)
        if outline:
            self.line([*points, points[0]], outline, width)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, fill: Colour = None, outline: Colour = INK, width: float = 2
    ) -> None:
        self.pen.rectangle((2 * x0, 2 * y0, 2 * x1, 2 * y1), fill=fill, outline=outline, width=round(2 * width))

    def circle(
        self, x: float, y: float, radius: float, fill: Colour = None, outline: Colour = INK, width: float = 2
    ) -> None:
        box = (2 * (x - radius), 2 * (y - radius), 2 * (x + radius), 2 * (y + radius))
        self.pen.ellipse(box, fill=fill, outline=outline, width=round(2 * width))

    def arc(
        self, x: float, y: float, radius: float, start: float, stop: float, colour: Colour = INK, width: float = 2
    ) -> None:
        """Angles in degrees, clockwise from three o'clock."""
        box = (2 * (x - radius), 2 * (y - radius), 2 * (x + radius), 2 * (y + radius))
        self.pen.arc(box, start, stop, fill=colour, width=round(2 * width))

    def arrow(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour = INK, width: float = 2.5, head: float = 11
    ) -> None:
        angle = math.atan2(y1 - y0, x1 - x0)
        back = x1 - head * math.cos(angle), y1 - head * math.sin(angle)
        side = 0.5 * head * math.sin(angle), -0.5 * head * math.cos(angle)
        self.line([(x0, y0), back], colour, width)
        self.polygon(
            [(x1, y1), (back[0] + side[0], back[1] + side[1]), (back[0] - side[0], back[1] - side[1])],
            fill=colour,
            outline=None,
        )

    def text(self, x: float, y: float, words: str, size: float = 18, colour: Colour = INK, anchor: str = "mm") -> None:
        self.pen.text((2 * x, 2 * y), words, fill=colour, font=font(2 * size), anchor=anchor)

    def paste(self, image: Image.Image, x: int, y: int) -> None:
        doubled = image.convert("RGB").resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC)
        self.sheet.paste(doubled, (2 * x, 2 * y))

    def picture(self) -> Image.Image:
        return self.sheet.resize(self.size, Image.Resampling.LANCZOS)


class Chart:
    """Axes on a canvas: `x` and `y` are the (low, high) of the data, ticks are (value, label) pairs."""

    def __init__(
        self,
        x: Point,
        y: Point,
        *,
        title: str = "",
        x_label: str = "",
        y_label: str = "",
        x_ticks: Iterable[tuple[float, str]] = (),
        y_ticks: Iterable[tuple[float, str]] = (),
        width: int = 560,
        height: int = 380,
    ):
        self.canvas, self.x, self.y = Canvas(width, height), x, y
        self.left, self.right, self.top, self.bottom = 74, width - 24, 50, height - 62
        canvas = self.canvas
        canvas.text(width / 2, 24, title, 19)
        canvas.text((self.left + self.right) / 2, height - 16, x_label, 15, GREY)
        for value, label in y_ticks:
            canvas.line([self.at(x[0], value), self.at(x[1], value)], "#e3e8ec", 1)
            canvas.text(self.left - 8, self.at(0, value)[1], label, 14, anchor="rm")
        for value, label in x_ticks:
            canvas.text(self.at(value, 0)[0], self.bottom + 16, label, 14)
        canvas.line([(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)], INK, 1.5)
        canvas.text(self.left + 6, self.top - 4, y_label, 14, GREY, anchor="lm")

    def at(self, x: float, y: float) -> Point:
        return (
            self.left + (x - self.x[0]) / (self.x[1] - self.x[0]) * (self.right - self.left),
            self.bottom - (y - self.y[0]) / (self.y[1] - self.y[0]) * (self.bottom - self.top),
        )

    def curve(self, xs: Iterable[float], ys: Iterable[float], colour: Colour = BLUE, width: float = 3) -> None:
        self.canvas.line([self.at(x, y) for x, y in zip(xs, ys, strict=False)], colour, width)

    def area(self, xs: Iterable[float], ys: Iterable[float], colour: Colour) -> None:
        points = [self.at(x, y) for x, y in zip(xs, ys, strict=False)]
        self.canvas.polygon([(points[0][0], self.bottom), *points, (points[-1][0], self.bottom)], colour, None)

    def bar(self, x: float, value: float, colour: Colour = BLUE, half: float = 0.35, base: float = 0) -> None:
        x0, y0 = self.at(x - half, value)
        x1, y1 = self.at(x + half, base)
        self.canvas.box(x0, y0, x1, y1, colour, None)

    def note(self, x: float, y: float, words: str, colour: Colour = INK, size: float = 15, anchor: str = "mm") -> None:
        self.canvas.text(*self.at(x, y), words, size, colour, anchor)

    def picture(self) -> Image.Image:
        return self.canvas.picture()


def ticks(*values: float) -> list[tuple[float, str]]:
    """Ticks for a chart at these values."""
    return [(value, f"{value:,}") for value in values]


def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's built-in font, so that a drawing looks the same on every machine."""
    return ImageFont.load_default(size=size)


def grid(panels: list[tuple[str, Image.Image]], columns: int, gap: int = 8) -> Image.Image:
    """Pictures of one size side by side, each with its label above."""
    width, height = panels[0][1].size
    rows = math.ceil(len(panels) / columns)
    canvas = Canvas(columns * (width + gap) + gap, rows * (height + 26 + gap) + gap)
    for i, (label, panel) in enumerate(panels):
        x, y = gap + (i % columns) * (width + gap), gap + (i // columns) * (height + 26 + gap)
        canvas.text(x + width / 2, y + 11, label, 16)
        canvas.paste(panel, x, y + 26)
    return canvas.picture()


def photo(array: np.ndarray) -> Image.Image:
    """An array as a picture: floats from 0 to 1, bytes from 0 to 255, or true and false."""
    if array.dtype == bool:
        array = array * 255
    elif array.dtype.kind == "f":
        array = (np.clip(array, 0, 1) * 255).round()
    return Image.fromarray(array.astype(np.uint8)).convert("RGB")


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    """The picture as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _double(points: Iterable[Point]) -> list[Point]:
    return [(2 * x, 2 * y) for x, y in points]
