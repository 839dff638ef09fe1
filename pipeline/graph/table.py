"""A dictionary that whole stages need, as a side input: one packed value, which each process unpacks once.

Beam's own `AsDict` has every entry many times: in the local runner's memory for each stage that uses it, and as a
dictionary for each such stage in every worker. That was 3.5 kB an entry in the runner's process alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import threading
import zlib
from typing import Any

import apache_beam as beam

_KEPT = 4  # dictionaries of a run: repeats, headings, equal images, images to remove
_unpacked: dict[bytes, dict[Any, Any]] = {}
_unpacking = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Table:
    """A packed dictionary."""

    digest: bytes
    packed: bytes = dataclasses.field(repr=False)

    def get(self, key: Any, default: Any = None) -> Any:
        """As `dict.get`."""
        return self._all().get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._all()

    def _all(self) -> dict[Any, Any]:
        with _unpacking:  # other threads wait, and do not unpack it again
            if self.digest not in _unpacked:
                if len(_unpacked) >= _KEPT:
                    _unpacked.clear()
                _unpacked[self.digest] = pickle.loads(zlib.decompress(self.packed))
            return _unpacked[self.digest]


def table_of(entries: dict[Any, Any]) -> Table:
    """Pack a dictionary.

    >>> "a" in table_of({"a": 1}), table_of({"a": 1}).get("b", 0)
    (True, 0)
    """
    packed = zlib.compress(pickle.dumps(entries, pickle.HIGHEST_PROTOCOL), 1)
    return Table(hashlib.blake2b(packed, digest_size=16).digest(), packed)


class AsTable(beam.PTransform[Any, Any]):
    """(key, value) -> one Table, for `AsSingleton`; the last value counts if a key comes twice."""

    def expand(self, entries: beam.PCollection[tuple[Any, Any]]) -> beam.PCollection[Table]:
        packed: beam.PCollection[Table] = entries | "Collect" >> beam.combiners.ToDict() | "Pack" >> beam.Map(table_of)
        return packed
