"""Selects the shards that are checked: a range of them, a share of them, or both."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence

from schemas.codec import Json
from schemas.errors import UserError


def numbers(text: str) -> tuple[int, int]:
    """The first and last number of a range of shards; one number is a range of one. Raises UserError.

    >>> numbers("0-99"), numbers("7")
    ((0, 99), (7, 7))
    """
    found = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", text)
    if not found or int(found[1]) > int(found[2] or found[1]):
        raise UserError(f"give a range of shards, such as 0-99, not {text!r}")
    return int(found[1]), int(found[2] or found[1])


def share(text: str) -> float:
    """A share, above 0 and up to 1, written as a number or in percent. Raises UserError.

    >>> share("5%"), share("0.05")
    (0.05, 0.05)
    """
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)(%?)", text)
    value = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if not 0 < value <= 1:
        raise UserError(f"give a share of the shards, such as 5%, not {text!r}")
    return value


def selected(shards: Sequence[Json], first: int, last: int | None, sample: float) -> Sequence[Json]:
    """The manifest's entries of the shards `first` to `last` (None: to the end), or a sample of them.

    `sample` is the share; the hashes of the names decide, so it is always the same sample. Raises UserError if there is
    no shard `first`.
    """
    found = shards[first : None if last is None else last + 1]
    if shards and not found:
        raise UserError(f"there is no shard {first}: the folder has {len(shards)}, counted from 0")
    count = math.ceil(sample * len(found))
    chosen = sorted(found, key=lambda shard: hashlib.sha256(shard["name"].encode()).digest())[:count]
    return sorted(chosen, key=lambda shard: str(shard["name"]))
