"""Numbers, shares and reasons as text, for the terminal and the report."""

from __future__ import annotations

from pipeline.images.faults import KINDS

YES_NO = KINDS | {
    "no_excerpt": "no part of the document can be an excerpt",
    "id_taken": "a corpus that is named earlier has a document with this id and another text; ids that differ keep both",
}
"""Texts for rules without a measured value; they are shown instead of value and threshold."""


def reason(rule: str, value: float | None, threshold: float | None) -> str:
    """Why a rule dropped something, as text; a ledger that was not made by a build may lack the numbers (None).

    >>> reason("margin", 0.01, 0.02)
    'margin is 0.01, below the threshold 0.02'
    """
    if rule in YES_NO:
        return f"{rule}: {YES_NO[rule]}"
    if value is None or threshold is None:
        return f"{rule}, whose value is not in the ledger"
    side = "below" if value < threshold else "above" if value > threshold else "at"
    return f"{rule} is {number(value)}, {side} the threshold {number(threshold)}"


def number(value: float) -> str:
    """A number without unnecessary digits.

    >>> number(1200.0), number(0.12345), number(3.0)
    ('1,200', '0.1235', '3')
    """
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4f}".rstrip("0").rstrip(".")


def percent(part: float, whole: float) -> str:
    """A share as a percentage.

    >>> percent(5, 5), percent(4, 15), percent(1, 10_000)
    ('100 %', '26.7 %', '< 0.1 %')
    """
    share = part / whole if whole else 0.0
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{share * 100:.0f} %" if share in (0.0, 1.0) else f"{share * 100:.1f} %"


def count(n: int, word: str) -> str:
    """A number with its noun.

    >>> count(1, "image"), count(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"
