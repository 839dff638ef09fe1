"""How numbers, shares and reasons are put into words, in the terminal and on the page."""

from __future__ import annotations

from pipeline.images.decode import KINDS

YES_NO = KINDS | {"no_excerpt": "no part of the document has both enough words and a picture"}
"""Rules that measure nothing: their value and threshold would say less than this."""


def reason(rule: str, value: float | None, threshold: float | None) -> str:
    """Why a rule said no, in words: `margin is 0.01, below the threshold 0.02`.

    A ledger that was not made by a build may lack the numbers (None).
    """
    if rule in YES_NO:
        return f"{rule}: {YES_NO[rule]}"
    if value is None or threshold is None:
        return f"{rule}, whose value is not in the ledger"
    side = "below" if value < threshold else "above" if value > threshold else "at"
    return f"{rule} is {number(value)}, {side} the threshold {number(threshold)}"


def number(value: float) -> str:
    """A number as short as it can be said: 1,200, 0.1234, 3."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4f}".rstrip("0").rstrip(".")


def percent(part: float, whole: float) -> str:
    """A share as people read it: 100 %, 26.7 %, < 0.1 %."""
    share = part / whole if whole else 0.0
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{share * 100:.0f} %" if share in (0.0, 1.0) else f"{share * 100:.1f} %"


def count(n: int, word: str) -> str:
    """`1 picture`, `1,200 pictures`."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


def printable(text: str) -> str:
    """The text without control characters: a document must not be able to steer the terminal."""
    return "".join(c for c in text if c.isprintable() or c == "\n")
