"""A dictionary that whole stages need, as a side input: one packed value, which each process unpacks once.

Beam's own `AsDict` has every entry many times: in the local runner's memory for each stage that uses it, and as a
dictionary for each such stage in every worker. That was 3.5 kB an entry in the runner's process alone. Here entries are
pickled by the workers that make them, and stay so until one is asked for.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import pickle
import threading
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.pvalue import AsIter
from apache_beam.transforms.window import GlobalWindows

_KEPT = 4  # dictionaries of a run: repeats, headings, equal images, images to remove
_HASH = 8  # bytes
_unpacked: dict[bytes, _Entries] = {}
_unpacking = threading.Lock()

Entry = tuple[bytes, bytes]
"""The hash of a key, and (key, value), pickled."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A packed dictionary."""

    digest: bytes
    packed: bytes = dataclasses.field(repr=False)

    def get(self, key: Any, default: Any = None) -> Any:
        """As `dict.get`."""
        return self._all().get(key, default)

    def __contains__(self, key: object) -> bool:
        return self.get(key, _Entries) is not _Entries

    def _all(self) -> _Entries:
        with _unpacking:  # other threads wait, and do not unpack it again
            if self.digest not in _unpacked:
                if len(_unpacked) >= _KEPT:
                    _unpacked.clear()
                hashes, ends, entries = pickle.loads(zlib.decompress(self.packed))
                native = np.frombuffer(hashes, ">u8").astype(np.uint64)
                _unpacked[self.digest] = _Entries(native, np.frombuffer(ends, "<u8"), entries)
            return _unpacked[self.digest]


@dataclasses.dataclass(frozen=True)
class _Entries:
    """Entries, sorted by the hashes of their keys: the hashes, where each pickled entry ends, and these."""

    hashes: npt.NDArray[np.uint64]
    ends: npt.NDArray[np.uint64]
    entries: bytes

    def get(self, key: Any, default: Any) -> Any:
        wanted = int.from_bytes(_hash(key))
        at = int(np.searchsorted(self.hashes, np.uint64(wanted)))
        while at < len(self.hashes) and int(self.hashes[at]) == wanted:
            found, value = pickle.loads(self.entries[int(self.ends[at - 1]) if at else 0 : int(self.ends[at])])
            if found == key:
                return value
            at += 1
        return default


def table_of(entries: dict[Any, Any]) -> Table:
    """Pack a dictionary.

    >>> "a" in table_of({"a": 1}), table_of({"a": 1}).get("b", 0)
    (True, 0)
    """
    return _table(map(_entry, entries.items()))


class AsTable(beam.PTransform[Any, Any]):
    """(key, value) -> one Table, for `AsSingleton`. No key may come twice."""

    def expand(self, entries: beam.PCollection[tuple[Any, Any]]) -> beam.PCollection[Table]:
        some = entries | "Pack" >> beam.ParDo(_Pack())  # type: ignore[no-untyped-call]
        once = entries.pipeline | "Once" >> beam.Create([None])
        table: beam.PCollection[Table] = once | "Join" >> beam.Map(_joined, AsIter(some))
        return table


class _Pack(beam.DoFn):
    """(key, value) -> the entries of a bundle, packed."""

    def start_bundle(self) -> None:
        self.found: list[Entry] = []

    def process(self, entry: tuple[Any, Any]) -> None:
        self.found.append(_entry(entry))

    def finish_bundle(self) -> Iterator[Any]:
        if self.found:
            yield GlobalWindows.windowed_value(zlib.compress(pickle.dumps(self.found, pickle.HIGHEST_PROTOCOL), 1))


def _joined(_: None, some: Iterable[bytes]) -> Table:
    return _table(itertools.chain.from_iterable(pickle.loads(zlib.decompress(packed)) for packed in some))


def _table(entries: Iterable[Entry]) -> Table:
    ordered = sorted(entries)
    hashes = b"".join(one for one, _ in ordered)
    ends = np.cumsum([len(data) for _, data in ordered], dtype="<u8").tobytes()
    data = pickle.dumps((hashes, ends, b"".join(data for _, data in ordered)), pickle.HIGHEST_PROTOCOL)
    packed = zlib.compress(data, 1)
    return Table(hashlib.blake2b(packed, digest_size=16).digest(), packed)


def _entry(entry: tuple[Any, Any]) -> Entry:
    return _hash(entry[0]), pickle.dumps(entry, pickle.HIGHEST_PROTOCOL)


def _hash(key: Any) -> bytes:
    """The hash of a key, the same in every process; keys are str, bytes or int."""
    data = key if isinstance(key, bytes) else str(key).encode()
    return hashlib.blake2b(data, digest_size=_HASH).digest()
