"""Checks that one row of the ledger is consistent with itself and with the configuration."""

from __future__ import annotations

import math
from collections.abc import Iterator

from schemas.checks.rules import Rules, threshold
from schemas.codec import Json
from schemas.outcome import DROPPED, FAILED, KEPT
from schemas.records import MOST_CANDIDATES
from schemas.stage_names import (
    FILTER_COHERENCE,
    FILTER_RATINGS,
    RATE_TEXT,
    SCORE_COHERENCE,
    STAGES,
    STORE_IMAGES,
    TAKE_EXCERPT,
    WRITE_INSTRUCTION,
)

PLACE = {stage: place for place, stage in enumerate(STAGES)}
FIELDS = {KEPT: ("stage", "shard", "key"), DROPPED: ("stage", "rule", "value", "threshold"), FAILED: ("stage", "error")}
"""The fields that a row has by its status, besides those that all rows have. `detail` says more about a drop or a
failure."""
ENDS = ("stage", "rule", "value", "threshold", "error", "shard", "key")
RANGES = {
    "coherence": (-1.0, 1.0),
    "margin": (-2.0, 2.0),
    "recall_at_1": (0.0, 1.0),
    "mean_rating": (1.0, 5.0),
    "attempts": (0.0, float(MOST_CANDIDATES)),
}
MOST_DETAIL = 4000
"""The longest detail in characters: the end of a traceback."""

Fault = tuple[str, str]
"""(message, JSON pointer to the column)"""


def check(row: Json, manifest: Json, rules: Rules) -> Iterator[Fault]:
    """The defects of a row (a dict with the columns of `schemas.arrow.LEDGER`) in itself.

    Other rows are not looked at.
    """
    status = row["status"]
    if status not in FIELDS:
        yield f"has the status {status!r}", "/status"
        return
    if not row["id"].strip():
        yield "has no id", "/id"
    missing = [name for name in FIELDS[status] if row[name] in ("", None)]
    beside = [name for name in ENDS if name not in FIELDS[status] and row[name] not in ("", None)]
    if status == KEPT and row["detail"]:
        beside.append("detail")
    if missing:
        yield f"is {status} without {', '.join(missing)}", f"/{missing[0]}"
    elif beside:
        yield f"is {status}, and yet has {', '.join(beside)}", f"/{beside[0]}"
    elif row["stage"] not in PLACE or (status == KEPT and row["stage"] != STAGES[-1]):
        yield f"is {status} at the stage {row['stage']!r}", "/stage"
    elif row["images"] < (status == KEPT):
        yield f"is {status} with {row['images']} images", "/images"
    elif len(row["detail"]) > MOST_DETAIL:
        yield f"has {len(row['detail']):,} characters of detail; {MOST_DETAIL:,} are kept", "/detail"
    else:
        scores = {score["name"]: score["value"] for score in row["scores"]}
        wrong = list(_scores(row, scores, manifest["rating_aspects"]))
        yield from wrong
        if not wrong:
            yield from _passed(row, scores, manifest["config"])
        if status == DROPPED:
            yield from _drop(row, scores, rules)
        yield from _images(row, rules)


def _scores(row: Json, scores: Json, aspects: Json) -> Iterator[Fault]:
    """Check that the row has each score that was measured before the document ended, once and in its range."""
    place = PLACE[row["stage"]]
    scored, rated = place > PLACE[SCORE_COHERENCE], place > PLACE[RATE_TEXT]
    wanted = {"coherence"} if scored and row["images"] else set()
    if scored and (row["images"] > 1 or scores.keys() & {"margin", "recall_at_1"}) and row["images"]:
        wanted |= {"margin", "recall_at_1"}
    wanted |= {*aspects, "mean_rating"} if rated else set()
    wanted |= {"attempts"} if place > PLACE[WRITE_INSTRUCTION] else set()
    if scores.keys() != wanted or len(row["scores"]) != len(scores):
        yield (
            f"has the scores {', '.join(s['name'] for s in row['scores'])}, not {', '.join(sorted(wanted))}",
            "/scores",
        )
        return
    for name, value in scores.items():
        low, high = RANGES.get(name, (1.0, 5.0))
        if not low <= value <= high or round(value, 4) != value:
            yield f"has {name} {value}; it is from {low:g} to {high:g}, with 4 decimals", "/scores"
    if rated and abs(scores["mean_rating"] - sum(scores[a] for a in aspects) / len(aspects)) > 1e-4:
        yield f"has mean_rating {scores['mean_rating']}, which is not the mean of the ratings", "/scores"


def _passed(row: Json, scores: Json, config: Json) -> Iterator[Fault]:
    """Check the thresholds that the document must have passed before the stage at which it ended."""
    place, rule = PLACE[row["stage"]], row["rule"]

    def passed(stage: str, *earlier: str) -> bool:
        return place > PLACE[stage] or (place == PLACE[stage] and rule in earlier)

    limits = []
    if passed(TAKE_EXCERPT) or (row["stage"] == FILTER_COHERENCE and rule == "margin"):  # between: images are removed
        limits.append(("coherence", scores.get("coherence"), threshold(config, "coherence", "mean_at_least")))
    if passed(TAKE_EXCERPT):
        limits.append(("margin", scores.get("margin"), threshold(config, "coherence", "margin_at_least")))
    if passed(FILTER_RATINGS, "mean_rating"):
        lowest = min(value for name, value in scores.items() if name not in RANGES)
        limits.append(("lowest rating", lowest, threshold(config, "ratings", "lowest_at_least")))
    if passed(FILTER_RATINGS):
        limits.append(("mean rating", scores["mean_rating"], threshold(config, "ratings", "mean_at_least")))
    for name, value, least in limits:
        if value is not None and least is not None and value < least - 1e-4 * (name == "mean rating"):
            yield f"has {name} {value}, below the threshold {least}, and went on", "/scores"


def _drop(row: Json, scores: Json, rules: Rules) -> Iterator[Fault]:
    rule, value, limit = row["rule"], row["value"], row["threshold"]
    allowed = rules.documents.get(row["stage"])
    if not (math.isfinite(value) and math.isfinite(limit)):
        yield f"has the value {value} and the threshold {limit}", "/value"
    elif allowed is None:
        yield f"is dropped at the stage {row['stage']}, which drops nothing", "/stage"
    elif fault := allowed.fault(rule, value, limit):
        yield fault, "/value"
    elif rule == "image_count" and value != row["images"]:
        yield f"is dropped for {value:g} images and has {row['images']}", "/images"
    measured = scores.get("coherence" if rule == "mean_score" else rule)
    if row["stage"] in (FILTER_COHERENCE, FILTER_RATINGS) and measured is not None:
        if abs(value - measured) > 1e-4 * (rule == "mean_rating"):
            yield f"is dropped for {rule} {value}, and has {measured}", "/value"
        elif rule not in RANGES and rule in scores and measured > min(v for n, v in scores.items() if n not in RANGES):
            yield f"is dropped for {rule}, which is not its lowest rating", "/rule"


def _images(row: Json, rules: Rules) -> Iterator[Fault]:
    """Check the removed images: each once, in order, before the document's own end, by a rule of that stage."""
    last, most = -1, math.inf
    if PLACE[row["stage"]] <= PLACE[TAKE_EXCERPT]:  # images outside of an excerpt are not recorded
        most = row["images"] + len(row["dropped_images"])
    for at, lost in enumerate(row["dropped_images"]):
        pointer, drop = f"/dropped_images/{at}", lost["drop"]
        allowed = rules.images.get(lost["stage"])
        if not last < lost["index"] < most:
            yield f"lost image {lost['index']} twice, out of order, or out of range", f"{pointer}/index"
        if allowed is None or PLACE[lost["stage"]] > PLACE[row["stage"]]:
            yield f"lost an image at {lost['stage']!r}, which takes out none or comes later", f"{pointer}/stage"
        elif not (drop["rule"] and math.isfinite(drop["value"]) and math.isfinite(drop["threshold"])):
            yield f"lost an image by {drop['rule']!r} {drop['value']}", f"{pointer}/drop"
        elif fault := allowed.fault(drop["rule"], drop["value"], drop["threshold"]):
            yield fault, f"{pointer}/drop"
        elif lost["stage"] == STORE_IMAGES and (drop["value"], drop["threshold"]) != (0.0, 1.0):
            yield f"lost an image that could not be had with the value {drop['value']}", f"{pointer}/drop"
        last = lost["index"]
