"""Views of the ledger: the funnel of a run, and what happened to one document.

The ledger (`DIR/ledger/part-*.parquet`) has one `Outcome` for every input document. Everything that is shown about the
documents of a run is computed from these rows, so that it cannot disagree with them.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import itertools
import operator
import shutil
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.reader import corruption_as_user_error, tables
from pipeline.dataset.wording import count, number, percent, reason
from pipeline.storage import uris
from schemas.arrow import LEDGER, outcomes_from_table
from schemas.codec import Json, parse_json
from schemas.errors import UserError
from schemas.outcome import DROPPED, FAILED, KEPT, Outcome
from schemas.printable import line
from schemas.records import ImageDrop
from schemas.stage_names import (
    FILTER_COHERENCE,
    FILTER_RATINGS,
    STAGES,
    WRITE_INSTRUCTION,
    stage_title,
    stages_of,
)

SCORE_STAGES = {
    **dict.fromkeys(("coherence", "margin", "recall_at_1"), FILTER_COHERENCE),
    "mean_rating": FILTER_RATINGS,
    "attempts": WRITE_INSTRUCTION,
}
"""The stage that compares a score with its threshold; all other scores are ratings by aspect."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of the funnel: how many documents entered, and how many ended here, by rule and by error."""

    name: str
    entered: int
    dropped: dict[str, int]
    failed: dict[str, int]

    @property
    def left(self) -> int:
        """How many documents passed the stage."""
        return self.entered - sum(self.dropped.values()) - sum(self.failed.values())


@dataclasses.dataclass(frozen=True)
class Funnel:
    """The outcomes of all input documents: input = kept + all of dropped + all of failed; highest counts first.

    `stages` are those that the run had. `images` counts the images that were removed from documents which continued
    without them, by rule or error.
    """

    input: int
    kept: int
    dropped: dict[str, int]
    failed: dict[str, int]
    stages: tuple[Stage, ...]
    images: dict[str, int]

    def to_json(self) -> Json:
        """The funnel as plain JSON types, with what was left after each stage."""
        return {
            "input": self.input,
            "kept": self.kept,
            "dropped": self.dropped,
            "failed": self.failed,
            "stages": [
                {"stage": s.name, "entered": s.entered, "dropped": s.dropped, "failed": s.failed, "left": s.left}
                for s in self.stages
            ],
            "dropped_images": self.images,
        }


def read_outcomes(folder: str, where: pc.Expression | None = None) -> Iterator[Outcome]:
    """The rows of `folder/ledger` (those that `where` selects), one batch in memory at a time, in file order.

    Raises UserError if the ledger is missing or damaged.
    """
    for batch in _batches(folder):
        yield from outcomes_from_table(batch if where is None else batch.filter(where))


def funnel(outcomes: Iterable[Outcome], stages: Sequence[str] = STAGES) -> Funnel:
    """Count the outcomes, in one pass.

    stages: those that the run had (`run_stages`). A stage that was off has let nothing pass, so the funnel leaves it
    out; one at which documents ended is always there.
    """
    total = kept = 0
    dropped: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    images: Counter[str] = Counter()
    ends: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: {DROPPED: Counter(), FAILED: Counter()})
    for outcome in outcomes:
        total += 1
        images.update(lost.drop.rule for lost in outcome.dropped_images)
        if outcome.status == KEPT:
            kept += 1
        elif outcome.status == DROPPED:
            dropped[outcome.rule] += 1
            ends[outcome.stage][DROPPED][outcome.rule] += 1
        else:
            failed[outcome.error] += 1
            ends[outcome.stage][FAILED][outcome.error] += 1
    found, entered = [], total
    for name in STAGES:
        if name in stages or name in ends:
            found.append(Stage(name, entered, _most_first(ends[name][DROPPED]), _most_first(ends[name][FAILED])))
            entered = found[-1].left
    assert entered == kept, f"the ledger does not add up: {entered} documents left all stages, {kept} are kept"
    return Funnel(total, kept, _most_first(dropped), _most_first(failed), tuple(found), _most_first(images))


def funnel_text(counts: Funnel, width: int | None = None) -> str:
    """The funnel for a terminal of `width` columns (default: this one): for each stage a bar, and what ended there."""
    width = min(width or shutil.get_terminal_size().columns, 110)
    room = max(width - 38, 8)
    lines = [_bar_line("Input", counts.input, counts.input, room)]
    for stage in counts.stages:
        lines.append(_bar_line(stage_title(stage.name), stage.left, counts.input, room))
        ended = [line(f"{rule} {n:,}") for rule, n in stage.dropped.items()]
        ended += [line(f"failed: {error} {n:,}") for error, n in stage.failed.items()]
        if ended:
            lines += textwrap.wrap("– " + ", ".join(ended), width, initial_indent=" " * 18, subsequent_indent=" " * 20)
    lines += [
        "",
        f"{counts.input:,} read = {counts.kept:,} kept + "
        f"{sum(counts.dropped.values()):,} dropped + {sum(counts.failed.values()):,} failed",
    ]
    if counts.images:
        images = ", ".join(line(f"{rule} {n:,}") for rule, n in counts.images.items())
        lines += textwrap.wrap(f"Images removed from documents that continued: {images}", width, subsequent_indent="  ")
    return "\n".join(lines)


def read_manifest(folder: str) -> Json:
    """`folder/manifest.json`, which a build publishes last. Raises UserError if it is missing or damaged."""
    path = f"{folder}/manifest.json"
    try:
        with corruption_as_user_error(path):
            return dict(parse_json(uris.read_bytes(path)))
    except FileNotFoundError as error:
        raise UserError(
            f"There is no manifest.json in {folder}. Give the --output folder of a build that has finished."
        ) from error


def run_stages(manifest: Json) -> tuple[str, ...]:
    """The stages that the run had, from the configuration in its manifest. Raises UserError if it is missing."""
    with corruption_as_user_error("manifest.json"):
        return stages_of({**manifest["config"]})  # TypeError if it is not a mapping


def limits(manifest: Json) -> dict[str, float]:
    """The run's thresholds by score, from the configuration in its manifest. Raises UserError if they are missing."""
    with corruption_as_user_error("manifest.json"):
        config, aspects = manifest["config"], manifest["rating_aspects"]
        least = {
            "coherence": config["coherence"]["mean_at_least"],
            "margin": config["coherence"]["margin_at_least"],
            "mean_rating": config["ratings"]["mean_at_least"],
            **dict.fromkeys(aspects, config["ratings"]["lowest_at_least"]),
        }
        return {score: float(value) for score, value in least.items()}


def find(folder: str, name: str) -> Outcome:
    """The outcome of the document with this id, key or location, or with the only location that ends so.

    Raises UserError that names the nearest ids, or the first of several locations.
    """
    named = (pc.field(column) == name for column in ("id", "key", "location"))
    for outcome in read_outcomes(folder, functools.reduce(operator.or_, named)):
        return outcome
    ends = pc.ends_with(pc.field("location"), f"/{name}")
    if found := list(itertools.islice(read_outcomes(folder, ends), 4)):
        if len(found) == 1:
            return found[0]
        places = ", ".join(outcome.location for outcome in found[:3])
        raise UserError(line(f"{name!r} is not one document in {folder}: give more of the path ({places})."))
    ids = (str(id_) for batch in _batches(folder, ["id"]) for id_ in batch["id"].to_pylist())
    near = difflib.get_close_matches(name, itertools.islice(ids, 200_000), n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else "The ids are in the column `id` of its ledger."
    raise UserError(line(f"No document {name!r} in {folder}. {hint}"))


def explain(folder: str, name: str) -> str:
    """What happened to one document, and why, in sentences. `name` is its id, key or location."""
    outcome, manifest = find(folder, name), read_manifest(folder)
    return explain_outcome(outcome, limits(manifest), run_stages(manifest))


def explain_outcome(outcome: Outcome, least: dict[str, float], stages: Sequence[str] = STAGES) -> str:
    """The row as text: how the document ended, and what it passed.

    least: the thresholds by score (`limits`). stages: those that the run had (`run_stages`).
    """
    lines = [
        f"{line(outcome.title) or 'Untitled'}  ({line(outcome.id)})",
        line(f"from {outcome.source}, {outcome.location}"),
        "",
        line(ending(outcome)),
        "",
    ]
    last = STAGES.index(outcome.stage) if outcome.stage in STAGES else len(STAGES) - 1
    measures = defaultdict(list)
    for score, value in outcome.scores:
        measures[SCORE_STAGES.get(score, FILTER_RATINGS)].append(line(_against(score, value, least)))
    for stage in STAGES[: last + 1]:
        if stage not in stages and stage != outcome.stage:
            continue
        stopped = stage == outcome.stage and outcome.status != KEPT
        mark, verdict = ("✗", line(outcome.rule or outcome.error)) if stopped else ("✓", "passed")
        lost = [line(_lost(image)) for image in outcome.dropped_images if image.stage == stage]
        measured = ", ".join(measures.pop(stage, []))
        passed = f"  {mark} {stage_title(stage):<17} {verdict}" + (f": {measured}" if measured else "")
        lines += textwrap.wrap(passed, 110, subsequent_indent=" " * 22)
        lines += [f"      removed {image}" for image in lost]
    return "\n".join(lines)


def ending(outcome: Outcome) -> str:
    """How the document ended and why, as a sentence."""
    stage = stage_title(outcome.stage)
    if outcome.status == KEPT:
        return f"Kept, with {count(outcome.images, 'image')}: {outcome.shard}, key {outcome.key}."
    detail = f" ({outcome.detail})" if outcome.detail else ""
    if outcome.status == DROPPED:
        return f"Dropped at “{stage}”: {reason(outcome.rule, outcome.value, outcome.threshold)}{detail}."
    return f"Failed at “{stage}”: {outcome.error}{detail}. This is an error, not a decision of a rule."


def _against(score: str, value: float, least: dict[str, float]) -> str:
    return f"{score} {number(value)}" + (f" (at least {number(least[score])})" if score in least else "")


def _lost(image: ImageDrop) -> str:
    return (
        f"image {image.index} ({image.uri or 'no address'}): {reason(image.drop.rule, image.drop.value, image.drop.threshold)}"
        + (f"; {image.detail}" if image.detail else "")
    )


def _batches(folder: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
    parts = uris.find(f"{folder}/ledger", (".parquet",))
    if not parts:
        raise UserError(f"There is no ledger in {folder}. Give the --output folder of a build that has finished.")
    for path in parts:
        yield from tables(path, LEDGER.equals, columns)


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _bar_line(title: str, documents: int, total: int, room: int) -> str:
    eighths = round(documents / total * room * 8) if total else 0
    bar = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
    if documents and not bar:
        bar = "▏"
    return f"{title:<17} {bar:<{room}} {documents:>11,} {percent(documents, total):>7}"
