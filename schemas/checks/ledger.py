"""Checks that the ledger has one valid row for every input document, and agrees with the funnel and the index."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator
from typing import Generic, TypeVar

from schemas.arrow import LEDGER
from schemas.checks import index, outcome, parquet, rules
from schemas.codec import Json, rank_of
from schemas.defects import READ_ERRORS, Defect
from schemas.folder import Folder
from schemas.index import IndexRow
from schemas.outcome import DROPPED, FAILED, KEPT

STEP = 1000
INCOMPARABLE = {
    f"{table}-{kind}"
    for table in ("index", "ledger")
    for kind in ("order", "duplicate", "unreadable", "schema", "form")
}
"""Defects after which rows of index and ledger can no longer be paired."""

Counts = collections.Counter[str]


@dataclasses.dataclass(frozen=True)
class Kept:
    """The row of a kept document, which must have a row in the index too.

    It also has the part of the ledger that it is in; `sound`: it has no defect of its own.
    """

    part: str
    row: Json
    sound: bool


Row = TypeVar("Row", IndexRow, Kept)


def check(folder: Folder, manifest: Json, there: set[str]) -> Iterator[Defect]:
    """Read the index and all parts of the ledger side by side, in one pass.

    Both are in the order of the salted hash of the ids, so one row of each is enough to see what one has and the other
    lacks. `there`: the files that can be opened; the others are reported elsewhere.
    """
    parts = [f"ledger/{part['name']}" for part in manifest["ledger"]]
    left = _Side(index.read(folder, manifest) if index.FILE in there else iter(()), index.FILE in there)
    right = _Side(_read(folder, manifest, there), set(parts) <= there)
    yield from left.advance()
    yield from right.advance()
    while left.row or right.row:
        comparable = left.comparable and right.comparable
        if left.row and (right.row is None or left.rank < right.rank):
            if comparable:
                yield Defect(
                    "ledger-index",
                    index.FILE,
                    f"{left.row.id!r} is not kept according to the ledger",
                    left.row.shard,
                    left.row.key,
                )
            yield from left.advance()
        elif right.row and (left.row is None or right.rank < left.rank):
            if comparable and right.row.sound:
                yield _against_index(right.row, f"{right.row.row['id']!r} is kept, but the index does not have it")
            yield from right.advance()
        elif left.row and right.row:
            if comparable and right.row.sound:
                yield from _compared(left.row, right.row)
            yield from left.advance()
            yield from right.advance()


class _Side(Generic[Row]):
    """A stream of ranked rows, with their defects in between.

    `row` is None at the end; `comparable` becomes false if a row is out of order or the rest cannot be read.
    """

    def __init__(self, stream: Iterator[Defect | tuple[bytes, Row]], comparable: bool):
        self._stream: Iterator[Defect | tuple[bytes, Row]] = stream
        self.comparable = comparable
        self.rank: bytes = b""
        self.row: Row | None = None

    def advance(self) -> Iterator[Defect]:
        """Go to the next row; yields the defects before it."""
        for found in self._stream:
            if not isinstance(found, Defect):
                self.rank, self.row = found
                return
            self.comparable &= found.kind not in INCOMPARABLE
            yield found
        self.row = None


def _read(folder: Folder, manifest: Json, there: set[str]) -> Iterator[Defect | tuple[bytes, Kept]]:
    """All parts, one row group in memory at a time: the defects of the rows, and the rows of kept documents."""
    allowed, salt, last, complete = rules.of(manifest), manifest["salt"], b"", True
    counts: dict[str, Counts] = {status: collections.Counter() for status in (KEPT, DROPPED, FAILED)}
    total = 0
    for part in manifest["ledger"]:
        name, before = f"ledger/{part['name']}", total
        if name not in there:
            complete = False
            continue
        try:
            for row in _rows(folder, name):
                total += 1
                status, rank = row["status"], rank_of(row["id"], salt)
                if status in counts:
                    counts[status][row["rule"] if status == DROPPED else row["error"]] += 1
                if rank == last:
                    yield _row_defect("ledger-duplicate", name, row, "has two rows")
                elif rank < last:
                    yield _row_defect(
                        "ledger-order", name, row, "comes too late: its salted hash is lower than the one before it"
                    )
                last, sound = rank, True
                for message, pointer in outcome.check(row, manifest, allowed):
                    sound = False
                    yield _row_defect("ledger-row", name, row, message, pointer)
                if status not in (DROPPED, FAILED):
                    yield rank, Kept(name, row, sound)
        except parquet.WrongSchema:
            complete = False
            yield Defect("ledger-schema", name, "its columns are not those of schemas.arrow.LEDGER")
        except parquet.WrongForm as error:
            complete = False
            yield Defect("ledger-form", name, str(error))
        except READ_ERRORS as error:
            complete = False
            yield Defect("ledger-unreadable", name, f"cannot be read as Parquet: {error}")
        else:
            if total - before != part["rows"]:
                yield Defect("ledger-rows", name, f"has {total - before} rows; the manifest says {part['rows']}")
    found = {"input": total, "kept": counts[KEPT].total(), "dropped": counts[DROPPED], "failed": counts[FAILED]}
    for title, value in found.items() if complete else ():
        if manifest["funnel"][title] != value:
            yield Defect(
                "funnel",
                "manifest.json",
                f"disagrees with the ledger, which has {dict(value) if isinstance(value, dict) else value}",
                pointer=f"/funnel/{title}",
            )


def _rows(folder: Folder, name: str) -> Iterator[Json]:
    with folder.open(name) as file:
        for table in parquet.Reader(file, LEDGER).groups():
            for start in range(0, len(table), STEP):
                yield from table.slice(start, STEP).to_pylist()


def _compared(indexed: IndexRow, kept: Kept) -> Iterator[Defect]:
    """Check that index and ledger say the same about an instance."""
    row = kept.row
    known = {
        "coherence": indexed.coherence,
        "margin": indexed.margin,
        "recall_at_1": indexed.recall_at_1,
        **indexed.ratings,
    }
    scores = {score["name"]: score["value"] for score in row["scores"] if score["name"] in known}
    for name, here, there in (
        *((name, row[name], getattr(indexed, name)) for name in ("shard", "key", "source", "title")),
        ("images", row["images"], len(indexed.images)),
    ):
        if here != there:
            yield _against_index(kept, f"is {here}; the index has {there}", f"/{name}")
    for name in sorted(name for name, value in known.items() if scores.get(name) != value):
        yield _against_index(kept, f"has {name} {scores.get(name)}; the index has {known[name]}", "/scores")


def _against_index(kept: Kept, message: str, pointer: str = "") -> Defect:
    return Defect("ledger-index", kept.part, message, kept.row["shard"], kept.row["key"], pointer)


def _row_defect(kind: str, name: str, row: Json, message: str, pointer: str = "") -> Defect:
    return Defect(kind, name, f"{row['id']!r} {message}", key=row["key"], pointer=pointer)
