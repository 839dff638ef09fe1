"""Checks the scores of one instance against each other and against the configuration's thresholds."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.checks.rules import threshold
from schemas.codec import Json, mean_coherence, mean_margin

SAME = 0.99
"""The lowest cosine of an image with itself: 1, apart from bfloat16's rounding."""

Fault = tuple[str, str, str]
"""(kind, message, JSON pointer)"""


def check(scores: Json, images: list[Json], manifest: Json) -> Iterator[Fault]:
    """The defects of an instance's scores.

    `images`: its image segments in reading order. Coherence, margin and ratings are compared with the thresholds in the
    check of the index; this function compares the scores of single images.
    """
    lists = ("matched", "mismatched", "max_previous_similarity")
    if set(scores["ratings"]) != set(manifest["rating_aspects"]):
        found, wanted = (", ".join(sorted(names)) for names in (scores["ratings"], manifest["rating_aspects"]))
        yield "scores", f"has {found}; the aspects are {wanted}", "/scores/ratings"
    for name, value in scores.items():
        numbers = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        for number in numbers:
            if number is not None and round(number, 4) != number:
                yield "scores", f"{number} is not rounded to 4 decimals", f"/scores/{name}"
    wrong = [name for name in lists if len(scores[name]) != len(images)]
    for name in wrong:
        yield "scores", f"has {len(scores[name])} entries for {len(images)} images", f"/scores/{name}"
    if scores["coherence"] != mean_coherence(scores["matched"]):
        yield (
            "scores",
            f"is {scores['coherence']}; the mean of matched is {mean_coherence(scores['matched'])}",
            "/scores/coherence",
        )
    if not wrong:
        yield from _several(scores, len(images), manifest["config"])
        yield from _each(scores, images, manifest["config"])


def _several(scores: Json, images: int, config: Json) -> Iterator[Fault]:
    """Check the scores that compare images with each other.

    They are null if only one image was left, or all of them stood at one place, so that there was no other text.
    """
    margin, recall = scores["margin"], scores["recall_at_1"]
    if (margin is None) != (recall is None):
        yield "scores", "margin and recall_at_1 are null together", "/scores/margin"
        return
    if margin is None and images > 1 and scores["mismatched"] != scores["matched"]:
        yield "scores", "is null, although mismatched differs from matched", "/scores/margin"
        return
    if margin is None:
        return
    expected = mean_margin(scores["matched"], scores["mismatched"])
    if margin != expected:
        yield "scores", f"is {margin}; the mean of matched less that of mismatched is {expected}", "/scores/margin"
    most = _most_images(config)
    if most and not any(round(round(recall * n) / n, 4) == recall for n in range(max(images, 2), most + 1)):
        yield "scores", f"{recall} is no share of {images} to {most} images", "/scores/recall_at_1"


def _most_images(config: Json) -> int | None:
    """The most images that a document may have had when it was scored; None if the preset sets no limit."""
    limits = [
        rule["at_most"]
        for rule in config.get("rules", {}).get("after_images", [])
        if rule["rule"] == "text.image_count" and "at_most" in rule
    ]
    return min(int(min(limits)), 1000) if limits else None


def _each(scores: Json, images: list[Json], config: Json) -> Iterator[Fault]:
    similar = scores["max_previous_similarity"]
    if similar[0] != -1:
        yield "scores", "is not -1 for the first image", "/scores/max_previous_similarity/0"
    seen: set[str] = set()
    for i, image in enumerate(images):
        if image["sha256"] in seen and similar[i] < SAME:
            yield "scores", f"is {similar[i]} for an image that is there twice", f"/scores/max_previous_similarity/{i}"
        seen.add(image["sha256"])
    least = threshold(config, "coherence", "matched_at_least")
    most = threshold(config, "coherence", "similarity_at_most")
    for i, (matched, alike) in enumerate(zip(scores["matched"], similar, strict=True)):
        if least is not None and matched < least:
            yield "threshold", f"is {matched}; the configuration keeps from {least} on", f"/scores/matched/{i}"
        if most is not None and alike > most:
            yield (
                "threshold",
                f"is {alike}; the configuration keeps up to {most}",
                f"/scores/max_previous_similarity/{i}",
            )
