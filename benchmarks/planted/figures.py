"""Counts what became of the planted documents, by the ledger of a finished build."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Container, Iterable, Mapping

from benchmarks.planted.corpus import PLANTED
from benchmarks.planted.kinds import KINDS, TRUE
from benchmarks.planted.texts import is_personal
from pipeline.dataset.reader import index_rows, read_instance
from pipeline.dataset.wording import percent
from pipeline.selftest.result import Share, wilson
from schemas.codec import Json
from schemas.outcome import KEPT, Outcome
from schemas.stage_names import stage_title

SHOWN = 2
"""Rules that are shown of those that drop documents of a kind."""


@dataclasses.dataclass(frozen=True)
class Row:
    """What became of the documents of one kind.

    ends: how many were dropped or failed, by stage and rule (or error), highest counts first. removed: the images that
    they lost before they ended, and how many of these were planted.
    """

    planted: int
    kept: int
    ends: Mapping[str, int]
    removed: int
    removed_planted: int


@dataclasses.dataclass(frozen=True)
class Left:
    """What is left of the damage in the instances: planted images by kind, and how many have planted personal data."""

    images: Mapping[str, int]
    personal: int


def counted(outcomes: Iterable[Outcome]) -> dict[str, Row]:
    """The rows of all kinds that the ledger has, in the order of `KINDS`."""
    by_kind: dict[str, list[Outcome]] = {kind: [] for kind in KINDS}
    for outcome in outcomes:
        by_kind[_kind(outcome.id)].append(outcome)
    return {kind: _row(found) for kind, found in by_kind.items() if found}


def kept(rows: Mapping[str, Row], should: str) -> Share:
    """The share that is kept of all documents that should stay, lose images, or go."""
    some = [row for kind, row in rows.items() if KINDS[kind].should == should]
    return wilson(sum(row.kept for row in some), sum(row.planted for row in some))


def left(output: str, planted_images: Container[str]) -> Left:
    """What is left in the instances of a finished build; `planted_images` are hashes of stored images."""
    images: collections.Counter[str] = collections.Counter()
    personal = 0
    for row in index_rows(output):
        instance, _ = read_instance(output, row)
        segments = instance["context"] + instance["output"]
        images[_kind(instance["id"])] += sum(segment.get("sha256") in planted_images for segment in segments)
        personal += any(is_personal(segment.get("text", "")) for segment in segments)
    return Left(images, personal)


def as_json(rows: Mapping[str, Row], remains: Left) -> Json:
    """All figures as plain JSON types."""
    return {
        "kinds": {
            kind: {"about": KINDS[kind].about, "should": KINDS[kind].should}
            | dataclasses.asdict(row)
            | {"left": remains.images.get(kind, 0)}
            for kind, row in rows.items()
        },
        "kept": {
            "true": dataclasses.asdict(_true(rows)),
            "should_go": dataclasses.asdict(kept(rows, "go")),
        },
        "with_personal_data": remains.personal,
    }


def table(rows: Mapping[str, Row], remains: Left) -> str:
    """The figures as a table in Markdown, with sentences below."""
    lines = [
        "| planted | should | documents | kept | most often dropped by | images removed (planted) | left |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, row in rows.items():
        ends = ", ".join(f"{end} {count}" for end, count in list(row.ends.items())[:SHOWN])
        lines.append(
            f"| {KINDS[kind].about} | {KINDS[kind].should} | {row.planted} | {row.kept} | {ends} "
            f"| {row.removed} ({row.removed_planted}) | {remains.images.get(kind, 0)} |"
        )
    lines += [
        "",
        f"Kept of the documents as they are: {_told(_true(rows))}.",
        f"Kept of those that should go: {_told(kept(rows, 'go'))}.",
    ]
    if personal := rows.get("personal_data"):
        lines.append(f"Of {personal.kept} kept documents with personal data, {remains.personal} still have some.")
    return "\n".join(lines)


def _kind(id_: str) -> str:
    return id_.partition("-")[0]


def _row(outcomes: Iterable[Outcome]) -> Row:
    planted = kept_ = removed = removed_planted = 0
    ends: collections.Counter[str] = collections.Counter()
    for outcome in outcomes:
        planted += 1
        if outcome.status == KEPT:
            kept_ += 1
        else:
            ends[f"{stage_title(outcome.stage)}: {outcome.rule or outcome.error}"] += 1
        removed += len(outcome.dropped_images)
        removed_planted += sum(os.path.basename(image.uri).startswith(PLANTED) for image in outcome.dropped_images)
    return Row(planted, kept_, dict(sorted(ends.items(), key=lambda end: (-end[1], end[0]))), removed, removed_planted)


def _true(rows: Mapping[str, Row]) -> Share:
    row = rows.get(TRUE)
    return wilson(row.kept, row.planted) if row else wilson(0, 0)


def _told(share: Share) -> str:
    """A share with its interval.

    >>> _told(wilson(82, 120))
    '82 of 120, 68.3 % (95 % interval 59.6 to 76.0 %)'
    """
    return (
        f"{share.kept} of {share.of}, {percent(share.kept, share.of)} "
        f"(95 % interval {100 * share.low:.1f} to {100 * share.high:.1f} %)"
    )
