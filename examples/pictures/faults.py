"""Images with planted faults: too small, too narrow, too long, truncated."""

from __future__ import annotations

from skimage import data

from .canvas import BLUE, GREEN, GREY, INK, ORANGE, Canvas, Pictures, encoded, photo


def tiny() -> Pictures:
    pictures = {}
    for i, colour in enumerate((BLUE, GREEN, ORANGE)):
        button = Canvas(48, 48)
        button.circle(24, 24, 20, colour)
        button.text(24, 24, "<=>"[i], 22, "#ffffff")
        pictures[f"tiny-{i + 1}.png"] = button.picture()
    return pictures


def strips() -> Pictures:
    ruler, ladder = Canvas(640, 90, "#f6e7b4"), Canvas(90, 520, "#f6e7b4")
    for i in range(63):
        ruler.line([(8 + 10 * i, 0), (8 + 10 * i, 38 if i % 10 == 0 else 20)], INK, 1.5)
    for i in range(0, 63, 10):
        ruler.text(18 + 10 * i, 62, str(i // 10), 20)
    for i in range(51):
        ladder.line([(0, 10 + 10 * i), (38 if i % 10 == 0 else 20, 10 + 10 * i)], INK, 1.5)
    return {"strip-1-ruler.png": ruler.picture(), "strip-2-tape.png": ladder.picture()}


def endless() -> Pictures:
    """One pixel per 200,000 years; flat colours, so that the file stays small."""
    strip = Canvas(23_000, 100)
    for start, end, colour in (
        (0, 3_000, "#e8b59a"),
        (3_000, 10_500, "#cfe1f2"),
        (10_500, 20_300, "#f6e7b4"),
        (20_300, 23_000, "#cfe8d6"),
    ):
        strip.box(start, 50, end, 100, colour, None)
    for age in range(100, 4_600, 100):
        x = 23_000 - 5 * age
        strip.line([(x, 50), (x, 70)], GREY)
        strip.text(x, 25, f"{age:,} million years ago", 20)
    return {"strip-3-earth.png": strip.picture()}


def truncated() -> Pictures:
    whole = encoded(photo(data.chelsea()), "JPEG", quality=85)
    return {"truncated.jpg": whole[: len(whole) * 2 // 5]}


ALL = (tiny, strips, endless, truncated)
