"""Says which keys of two configurations differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.errors import one_line
from schemas.printable import some

SHOWN = 4
"""How many keys are named."""


def named(before: object, now: Mapping[str, Any]) -> str:
    """The keys whose values differ, in words; "" if there are none, or `before` is no mapping.

    >>> named({"shards": {"size": 10, "salt": "a"}, "limit": 3}, {"shards": {"size": 20, "salt": "a"}, "limit": None})
    'limit, shards.size'
    """
    if not isinstance(before, Mapping):
        return ""
    return some(sorted(_differing(before, now, "")), SHOWN)


def _differing(before: Mapping[Any, Any], now: Mapping[Any, Any], prefix: str) -> list[str]:
    found = []
    for key in before.keys() | now.keys():
        name, old, new = prefix + one_line(key, 80), before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += _differing(old, new, f"{name}.")
        elif old != new:
            found.append(name)
    return found
