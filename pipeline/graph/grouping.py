"""Groups records by key: with Beam's own shuffle on an engine, in files on this machine with Beam's local runner.

The local runner keeps everything that it groups in the memory of one process, several kilobytes for each document. So
there the records are written to files, each sorted by pieces of the key space, and of these some pieces are read at a
time, from all files. In memory is what one worker reads at a time, and the values of one key. The files are deleted when
the run ends; until then they take some kilobytes for each document and each image.
"""

from __future__ import annotations

import array
import dataclasses
import io
import os
import pickle
import uuid
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsIter
from apache_beam.transforms.window import GlobalWindows

from pipeline.graph import failures
from pipeline.run import Run

PIECES = 1024
"""Into so many pieces keys are divided, by a hash."""
ROOM = 2 << 20
"""The most bytes of records that a writer holds."""
TOGETHER = 8 << 20
"""The bytes of records that are grouped at a time, about; one piece at least."""
_HEAD = 4 * (PIECES + 1)  # of a file: where each piece begins

Keyed = beam.PCollection[tuple[Any, Any]]


@dataclasses.dataclass(frozen=True)
class Disk:
    """A local folder for files of groups, and the folder where errors are recorded."""

    folder: str
    failures: str


def disk_of(run: Run) -> Disk | None:
    """Where the run groups; None: the runner has disks of its own."""
    return Disk(run.groups, run.failures) if run.groups else None


class Group(beam.PTransform[Any, Any]):
    """(key, value) -> (key, values), of one PCollection or of a tuple of them; keys are bytes, str or int."""

    def __init__(self, disk: Disk | None = None):
        super().__init__()
        self.disk = disk

    def expand(self, records: Keyed | tuple[Keyed, ...]) -> Keyed:
        several = records if isinstance(records, tuple) else (records,)
        if self.disk is None:
            shuffled: Keyed = several | "Flatten" >> beam.Flatten() | "Shuffle" >> beam.GroupByKey()
            return shuffled
        files = [one | f"Write {at}" >> beam.ParDo(_Write(self.disk)) for at, one in enumerate(several)]
        paths = AsIter(files | "Files" >> beam.Flatten())
        grouped: Keyed = (
            several[0].pipeline
            | "All" >> beam.Create([self.disk])
            | "Divide" >> beam.FlatMap(_divided, paths)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(_read, paths, self.disk)
        )
        return grouped


class Join(beam.PTransform[Any, Any]):
    """PCollections of (key, value) -> (key, (values of the first, values of the second, ...)), each value once."""

    def __init__(self, disk: Disk | None = None):
        super().__init__()
        self.disk = disk

    def expand(self, records: tuple[Keyed, ...]) -> Keyed:
        marked = tuple(one | f"Mark {at}" >> beam.Map(_marked, at) for at, one in enumerate(records))
        joined: Keyed = marked | "Group" >> Group(self.disk) | "Divide" >> beam.Map(_by_mark, len(records))
        return joined


def _marked(record: tuple[Any, Any], mark: int) -> tuple[Any, tuple[int, Any]]:
    return record[0], (mark, record[1])


def _by_mark(group: tuple[Any, Iterable[tuple[int, Any]]], count: int) -> tuple[Any, tuple[list[Any], ...]]:
    values: tuple[dict[Any, None], ...] = tuple({} for _ in range(count))
    for mark, value in group[1]:
        values[mark][value] = None
    return group[0], tuple(map(list, values))


class _Write(beam.DoFn):
    """Records -> the paths of files that hold them."""

    def __init__(self, disk: Disk):
        self.disk = disk

    def start_bundle(self) -> None:
        self.waiting: list[tuple[int, bytes]] = []
        self.size = 0

    def process(self, record: tuple[Any, Any]) -> Iterator[str]:
        data = pickle.dumps(record, pickle.HIGHEST_PROTOCOL)
        self.waiting.append((_piece(record[0]), data))
        self.size += len(data)
        if self.size >= ROOM:
            yield self._written()

    def finish_bundle(self) -> Iterator[Any]:
        if self.waiting:
            yield GlobalWindows.windowed_value(self._written())

    def _written(self) -> str:
        """Write what waits; the path."""
        sizes = [0] * (PIECES + 1)
        for piece, data in self.waiting:
            sizes[piece + 1] += len(data)
        starts, at = array.array("I"), 0
        for size in sizes:
            starts.append(at := at + size)
        self.waiting.sort(key=lambda one: one[0])
        path = f"{self.disk.folder}/{uuid.uuid4().hex}"
        with failures.recorded(self.disk.failures, "group"):
            os.makedirs(self.disk.folder, exist_ok=True)
            with open(path, "xb") as file:
                file.write(starts.tobytes())
                file.writelines(data for _, data in self.waiting)
        self.start_bundle()
        return path


def _piece(key: bytes | str | int) -> int:
    """The piece that a key belongs to, in every process."""
    return zlib.crc32(key if isinstance(key, bytes) else str(key).encode()) % PIECES


def _divided(disk: Disk, paths: Iterable[str]) -> Iterator[tuple[int, int]]:
    """The pieces, in ranges that hold about TOGETHER bytes each; no range that is empty."""
    totals = [0] * (PIECES + 1)
    with failures.recorded(disk.failures, "group"):
        for path in paths:
            with open(path, "rb") as file:
                starts = array.array("I", file.read(_HEAD))
            for at, start in enumerate(starts):
                totals[at] += start
    first = 0
    for at in range(1, PIECES + 1):
        if at == PIECES or totals[at + 1] - totals[first] > TOGETHER:
            if totals[at] > totals[first]:
                yield first, at
            first = at


def _read(pieces: tuple[int, int], paths: Iterable[str], disk: Disk) -> Iterator[tuple[Any, list[Any]]]:
    """The groups of a range of pieces."""
    groups: dict[Any, list[Any]] = {}
    with failures.recorded(disk.failures, "group"):
        for path in paths:
            for key, value in _records(path, *pieces):
                groups.setdefault(key, []).append(value)
    while groups:
        yield groups.popitem()


def _records(path: str, first: int, end: int) -> Iterator[tuple[Any, Any]]:
    """The records of a file that belong to the pieces from `first` up to `end`."""
    with open(path, "rb") as file:
        starts = array.array("I", file.read(_HEAD))
        file.seek(_HEAD + starts[first])
        data = io.BytesIO(file.read(starts[end] - starts[first]))
    while data.tell() < starts[end] - starts[first]:
        yield pickle.load(data)
