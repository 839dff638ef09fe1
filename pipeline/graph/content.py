"""Removes images by what they show, if the preset has rules about that (`content`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from filters.drop_images import drop_images
from pipeline.content import Detector
from pipeline.run import Run, image_store
from pipeline.storage.store import Store, content_key
from schemas.errors import UserError
from schemas.records import Drop, ScoredDocument
from schemas.stage_names import SCORE_COHERENCE

if TYPE_CHECKING:
    from pipeline.coherence.scorer import Scorer

Check = Callable[[list[ScoredDocument]], list[ScoredDocument]]


def check_images(run: Run, scorer: Callable[[], Scorer]) -> Check:
    """A function that removes the images that break one of the preset's `content` rules.

    It belongs to *Score coherence*, whose scorer still has the images' vectors. Values are cached by image and version of
    the detector. Raises UserError if a package that a rule needs is not installed.
    """
    rules = {rule.function.__name__: rule for rule in run.preset.content_rules}
    detectors = {name: _detector(name, run, scorer) for name in rules}
    cache, images = Store(run.store("content")), image_store(run)

    def measured(name: str, hashes: Iterable[str]) -> dict[str, float]:
        keys = {sha256: content_key("content", name, detectors[name].version, sha256) for sha256 in hashes}
        found = {sha256: value for sha256, key in keys.items() if isinstance(value := cache.read_json(key), float)}
        missing = [sha256 for sha256 in keys if sha256 not in found]
        for sha256, value in zip(missing, detectors[name].measure(missing, images.open), strict=True):
            found[sha256] = value
            cache.write(keys[sha256], json.dumps(value).encode())
        return found

    def check(documents: list[ScoredDocument]) -> list[ScoredDocument]:
        hashes = dict.fromkeys(image.sha256 for document in documents for image in document.images)
        values = {name: measured(name, hashes) for name in rules} if hashes else {}

        def first_drop(sha256: str) -> Drop | None:
            return next((drop for name, rule in rules.items() if (drop := rule(values[name][sha256]))), None)

        return [
            drop_images(
                document,
                {at: drop for at, image in enumerate(document.images) if (drop := first_drop(image.sha256))},
                SCORE_COHERENCE,
            )
            for document in documents
        ]

    return check


def _detector(name: str, run: Run, scorer: Callable[[], Scorer]) -> Detector:
    """The detector that measures what the rule of that name compares."""
    try:
        if name == "faces":
            from pipeline.content import faces

            return faces.detector()
        if name == "nudity":
            from pipeline.content import nudity

            return nudity.detector()
    except ModuleNotFoundError as error:
        package = {"faces": "'leafinstruct[faces]'", "nudity": "nudenet"}[name]
        raise UserError(f"the rule content.{name} of the preset needs {error.name}: pip install {package}.") from error
    from pipeline.content import clip

    return clip.detector(name, run.provenance.clip, scorer)
