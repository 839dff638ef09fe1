"""Where each key of many packs is, in 28 bytes of memory for each: the table of `packs.py`."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

_DIGEST = 16  # bytes; of 100 million keys two have the same with a probability of 10 ** -23
_HALF = np.dtype("<u8")


@dataclasses.dataclass(frozen=True)
class _Run:
    """Some keys, sorted by the first half of their digest: both halves, and pack number, offset and size of each."""

    first: npt.NDArray[np.uint64]
    second: npt.NDArray[np.uint64]
    places: npt.NDArray[np.uint32]  # keys x 3


class Places:
    """Key -> (pack, offset, size). Of a key that is added twice the last place counts."""

    def __init__(self) -> None:
        self._packs: list[str] = []
        self._runs: list[_Run] = []  # each more than twice as long as the next one, so there are few

    def add(self, pack: str, places: Mapping[str, tuple[int, int]], head: int) -> None:
        """Add the keys of a pack: offset from `head` and size of each."""
        if not places:
            return
        digests = np.frombuffer(b"".join(map(_digest, places)), dtype=_HALF).reshape(-1, 2)
        found = np.empty((len(places), 3), dtype=np.uint32)
        found[:, 0] = len(self._packs)
        found[:, 1:] = np.array(list(places.values()), dtype=np.uint32)
        found[:, 1] += head
        self._packs.append(pack)
        runs = [_Run(digests[:, 0], digests[:, 1], found)]
        count = len(places)
        while self._runs and len(self._runs[-1].first) <= 2 * count:
            runs.append(self._runs.pop())
            count += len(runs[-1].first)
        self._runs.append(_merged(runs))

    def get(self, key: str) -> tuple[str, int, int] | None:
        """The place of a key; None if it was never added."""
        first, second = np.frombuffer(_digest(key), dtype=_HALF)
        for run in reversed(self._runs):
            at = int(np.searchsorted(run.first, first))
            while at < len(run.first) and run.first[at] == first:
                if run.second[at] == second:
                    pack, start, size = map(int, run.places[at])
                    return self._packs[pack], start, size
                at += 1
        return None


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=_DIGEST).digest()


def _merged(runs: Sequence[_Run]) -> _Run:
    first = np.concatenate([run.first for run in runs])
    order = np.argsort(first, kind="stable")  # the newest first
    return _Run(
        first[order],
        np.concatenate([run.second for run in runs])[order],
        np.concatenate([run.places for run in runs])[order],
    )
