"""The comparison that every rule ends with."""

from __future__ import annotations

import math

from schemas.records import Drop


def within(rule: str, value: float, at_least: float = -math.inf, at_most: float = math.inf) -> Drop | None:
    """None if at_least <= value <= at_most, otherwise the Drop.

    The value is rounded to 6 decimals first, so that a decision and the value in the ledger never disagree. Both
    numbers of the Drop are floats, because the ledger's columns are: those refuse whole numbers above 2**53.

    >>> within("word_count", 100, at_least=80)
    >>> within("word_count", 9, at_least=80)
    Drop(rule='word_count', value=9.0, threshold=80.0)
    """
    value, at_least, at_most = round(float(value), 6), float(at_least), float(at_most)
    if value < at_least:
        return Drop(rule, value, at_least)
    if value > at_most:
        return Drop(rule, value, at_most)
    return None
