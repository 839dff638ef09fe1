"""The documents of an audit: kept and dropped ones, in the same form and in an order that tells nothing."""

from __future__ import annotations

import base64
import dataclasses
import heapq
from collections.abc import Callable

import pyarrow as pa
from pyarrow.compute import field

from pipeline.dataset import ledger
from pipeline.dataset.reader import index_rows, read_instance
from pipeline.report.dropped import MAX_CHARACTERS, MAX_IMAGES, MAX_TEXTS, STORED, THUMBNAIL, rank, read_samples
from pipeline.report.gallery import Block
from pipeline.report.pictures import jpeg
from schemas.codec import Json, key_of
from schemas.errors import UserError
from schemas.images import open_published
from schemas.outcome import DROPPED
from schemas.stage_names import DECONTAMINATE, DEDUPLICATE

ABOUT_OTHERS = (DEDUPLICATE, DECONTAMINATE)
"""Stages that drop a document because of another one: it may be good, so it is not shown."""


@dataclasses.dataclass(frozen=True)
class Item:
    """A document as the readers see it. instruction: empty for a dropped one."""

    key: str
    title: str
    blocks: tuple[Block, ...]
    instruction: str = ""


def sample(folder: str, dropped: str, size: int) -> list[Item]:
    """At most `size` documents, half of them dropped if so many can be shown; ordered by their keys, which are hashes.

    dropped: the folder of examples that a build leaves in its work folder. Both kinds are those with the lowest hashes
    of their ids, which is a random sample; of dropped documents it is one as long as no rule has more than the `STORED`
    examples that are kept of it. Raises UserError if `folder` is not a finished build, or `dropped` has
    none of its examples, or those of another run, which may have dropped what this one kept.
    """
    funnel = ledger.funnel(ledger.read_outcomes(folder))
    rules = {rule for stage in funnel.stages if stage.name not in ABOUT_OTHERS for rule in stage.dropped}
    examples = [e for e in read_samples(dropped, sorted(rules), STORED).values() if e["stage"] not in ABOUT_OTHERS]
    shown = field("id").isin(pa.array([e["id"] for e in examples], pa.string()))
    ended = {row.id: row.rule for row in ledger.read_outcomes(folder, shown)}
    if any(ended.get(e["id"]) != e["rule"] for e in examples):
        raise UserError(
            f"{dropped} has the examples of another run, which came after {folder}: give this build's command again (what "
            "is in its work folder is not computed again), and then audit it"
        )
    gone = heapq.nsmallest(size // 2, examples, key=lambda e: rank(e["id"]))
    if rules and not gone:
        raise UserError(
            f"{dropped} has no example of the dropped documents in {folder}: give the build's work folder (--work)"
        )
    ids = heapq.nsmallest(size - len(gone), (row["id"] for row in index_rows(folder, ["id"])), key=rank)
    kept = [_kept(folder, row) for row in index_rows(folder, where=field("id").isin(ids))]
    return sorted([*kept, *map(_dropped, gone)], key=lambda item: item.key)


def outcomes(folder: str, keys: set[str]) -> dict[str, str]:
    """Key -> `kept`, or the rule that dropped the document. Raises UserError if `folder` is not a finished build."""
    rows = ((key_of(row.id), row) for row in ledger.read_outcomes(folder))
    return {key: row.rule if row.status == DROPPED else row.status for key, row in rows if key in keys}


def _kept(folder: str, row: Json) -> Item:
    instance, pictures = read_instance(folder, row)

    def src(segment: Json) -> str | None:
        try:
            return base64.b64encode(jpeg(open_published(pictures[segment["image"]]), THUMBNAIL)).decode()
        except ValueError:  # a file that no build publishes: the folder may be a stranger's
            return None

    blocks = _blocks(instance["context"] + instance["output"], src)
    return Item(instance["key"], instance["title"], blocks, instance["instruction"])


def _dropped(example: Json) -> Item:
    return Item(key_of(example["id"]), example["title"], _blocks(example["segments"], lambda s: s["thumbnail"]))


def _blocks(segments: list[Json], thumbnail: Callable[[Json], str | None]) -> tuple[Block, ...]:
    """The beginning of the document within the limits of examples; `thumbnail` gives an image as base64 of a JPEG."""
    found: list[Block] = []
    texts = images = 0
    for segment in segments:
        if segment["type"] == "image" and images < MAX_IMAGES:
            images += 1
            data = thumbnail(segment)
            found.append(Block("image", src=f"data:image/jpeg;base64,{data}" if data else None))
        elif segment["type"] == "text" and texts < MAX_TEXTS:
            texts += 1
            found.append(Block("text", segment["text"][:MAX_CHARACTERS]))
    return tuple(found)
