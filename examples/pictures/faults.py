"""Pictures that are wrong on purpose: too small, too long, cut off."""

from __future__ import annotations

from skimage import data

from .canvas import BLUE, GREEN, INK, ORANGE, Canvas, encoded, photo


def tiny() -> dict:
    pictures = {}
    for i, colour in enumerate((BLUE, GREEN, ORANGE)):
        button = Canvas(48, 48)
        button.circle(24, 24, 20, colour)
        button.text(24, 24, "<=>"[i], 22, "#ffffff")
        pictures[f"tiny-{i + 1}.png"] = button.picture()
    return pictures


def strips() -> dict:
    ruler, ladder = Canvas(640, 90, "#f6e7b4"), Canvas(90, 520, "#f6e7b4")
    for i in range(63):
        ruler.line([(8 + 10 * i, 0), (8 + 10 * i, 38 if i % 10 == 0 else 20)], INK, 1.5)
    for i in range(0, 63, 10):
        ruler.text(18 + 10 * i, 62, str(i // 10), 20)
    for i in range(51):
        ladder.line([(0, 10 + 10 * i), (38 if i % 10 == 0 else 20, 10 + 10 * i)], INK, 1.5)
    return {"strip-1-ruler.png": ruler.picture(), "strip-2-tape.png": ladder.picture()}


def truncated() -> dict:
    whole = encoded(photo(data.chelsea()), "JPEG", quality=85)
    return {"truncated.jpg": whole[:len(whole) * 2 // 5]}


ALL = (tiny, strips, truncated)
