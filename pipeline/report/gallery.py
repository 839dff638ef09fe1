"""Instances and dropped documents as the report shows them."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Callable

from pyarrow.compute import field

from filters.words import plain
from pipeline.dataset.reader import index_rows, read_instance
from pipeline.dataset.wording import count, number, reason
from pipeline.report.pictures import Album
from schemas.codec import Json, mean_rating
from schemas.outcome import Outcome

TYPICAL, WEAKEST = 15, 3
"""The number of instances selected by hash, and of the lowest ones in each of three scores."""

MEASURES = ("coherence", "margin", "recall_at_1")
"""The coherence scores that are one number for each instance."""

THUMBNAIL = 360
SIDE_CHARACTERS, SHOWN_CHARACTERS = 6000, 800
"""How much text of a context or output is in the page, and how much before the reader has to unfold the rest."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A paragraph (kind text), or an image (kind image) whose `src` is None if it cannot be shown."""

    kind: str
    text: str = ""
    src: str | None = None
    width: int | None = None
    height: int | None = None
    alt: str = ""
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Side:
    """A context or an output: the blocks that are shown at once, and those that unfold under the label `more`."""

    shown: tuple[Block, ...]
    folded: tuple[Block, ...] = ()
    more: str = ""


@dataclasses.dataclass(frozen=True)
class Score:
    """One score of an instance; `weak`: the instance is shown because this score is among the lowest."""

    name: str
    value: float
    weak: bool = False


@dataclasses.dataclass(frozen=True)
class Card:
    """One instance, as the template's macro `card` shows it."""

    key: str
    id: str
    shard: str
    title: str
    source: str
    license: str
    url: str
    domain: str
    instruction: str
    note: str
    scores: tuple[Score, ...]
    context: Side
    output: Side


@dataclasses.dataclass(frozen=True)
class Mini:
    """One dropped document, as the report shows it."""

    id: str
    title: str
    location: str
    reason: str
    text: str
    contents: str
    pictures: tuple[Block, ...]


def gallery(folder: str, album: Album) -> tuple[list[Card], list[Card]]:
    """The typical and the weakest kept instances; a key is a hash of the id, so the lowest keys are a random sample."""
    weak: dict[str, str] = {}
    for name in ("coherence", "margin", "mean_rating"):
        for row in _lowest(folder, name):
            weak.setdefault(row["key"], name)
    typical = [
        row["key"]
        for row in heapq.nsmallest(
            TYPICAL, (r for r in index_rows(folder, ["key"]) if r["key"] not in weak), key=lambda r: r["key"]
        )
    ]
    rows = {row["key"]: row for row in index_rows(folder, where=field("key").isin([*typical, *weak]))}

    def one(key: str, weak_in: str = "") -> Card:
        row = rows[key]
        instance, pictures = read_instance(folder, row)

        def src(name: str) -> str | None:
            return album.add_picture(pictures[name], THUMBNAIL)

        return card(instance, row["shard"], src, weak_in)

    weakest = [one(key, name) for key, name in weak.items()]  # first, so that there is space for their images
    return [one(key) for key in typical], weakest


def card(instance: Json, shard: str, src: Callable[[str], str | None], weak_in: str = "", fold: bool = True) -> Card:
    """An instance's JSON as a card; `src` returns an image's address, `weak_in` is the score in which it is weakest."""
    values = instance["scores"]
    named = {name: values[name] for name in MEASURES if values[name] is not None}
    named |= values["ratings"] | {"mean_rating": mean_rating(values["ratings"])}
    note = ""
    if weak_in:
        note = f"Among the {WEAKEST} lowest in {weak_in.replace('_', ' ')}: {number(named[weak_in])}"
    shown = [name for name in named if name != "mean_rating" or weak_in == name]
    same = ("key", "id", "title", "source", "license", "url", "domain", "instruction")
    return Card(
        **{name: instance[name] for name in same},
        shard=shard,
        note=note,
        scores=tuple(Score(name, named[name], name == weak_in) for name in shown),
        context=_side(instance["context"], src, fold),
        output=_side(instance["output"], src, fold),
    )


def mini(outcome: Outcome, sample: Json | None, album: Album) -> Mini:
    """A dropped document as the report shows it.

    Its reason comes from the ledger, its text and images from the example, if there is one.
    """
    segments = sample["segments"] if sample else []
    texts = [s["text"] for s in segments if s["type"] == "text" and plain(s["text"]) != outcome.title]
    pictures = [
        Block("image", src=album.add(s["thumbnail"]), alt=s["alt"][:400])
        for s in segments
        if s["type"] == "image" and s["thumbnail"]
    ]
    contents = f"{count(sample['texts'], 'text')}, {count(sample['images'], 'image')} · " if sample else ""
    why = reason(outcome.rule, outcome.value, outcome.threshold).replace("_", " ")
    if outcome.detail:
        why = f"{why} ({outcome.detail})"
    return Mini(
        outcome.id,
        outcome.title[:200],
        outcome.location,
        why,
        "\n\n".join(texts)[:400],
        contents,
        tuple(p for p in pictures if p.src),
    )


def _lowest(folder: str, name: str) -> list[Json]:
    column = "ratings" if name == "mean_rating" else name
    rows = (row for row in index_rows(folder, ["key", column]) if row[column] is not None)
    return heapq.nsmallest(
        WEAKEST, rows, key=lambda r: (mean_rating(r[column]) if column == "ratings" else r[column], r["key"])
    )


def _side(segments: list[Json], src: Callable[[str], str | None], fold: bool) -> Side:
    """All blocks; in a long side, those after the first image and SHOWN_CHARACTERS are folded."""
    blocks, left = [], SIDE_CHARACTERS if fold else None
    for segment in segments:
        if segment["type"] == "image":
            blocks.append(_picture(segment, src(segment["image"])))
            continue
        text = segment["text"] if left is None or len(segment["text"]) <= left else segment["text"][:left] + " …"
        if left is not None:
            left = max(left - len(text), 0)
        blocks.append(Block("text", text))
    end = _fold_at(blocks) if fold else len(blocks)
    rest = blocks[end:]
    images = sum(b.kind == "image" for b in rest)
    more = " and ".join(count(n, word) for n, word in ((len(rest) - images, "paragraph"), (images, "image")) if n)
    return Side(tuple(blocks[:end]), tuple(rest), f"{more} more")


def _fold_at(blocks: list[Block]) -> int:
    """The position of the fold; at least three blocks are folded, or none."""
    characters, seen_image = 0, False
    for i, block in enumerate(blocks):
        if characters > SHOWN_CHARACTERS and seen_image and block.kind == "text" and len(blocks) - i >= 3:
            return i
        characters += len(block.text)
        seen_image |= block.kind == "image"
    return len(blocks)


def _picture(segment: Json, src: str | None) -> Block:
    width, height = segment["width"], segment["height"]
    scale = min(1.0, THUMBNAIL / max(width, height))
    return Block(
        "image",
        src=src,
        width=round(width * scale),
        height=round(height * scale),
        alt=segment["alt"][:400],
        caption=segment["caption"][:400],
    )
