"""Stops a run in which most documents fail at a stage: then the cause is usually not the documents."""

from __future__ import annotations

from collections import Counter

from pipeline.images.faults import PASSING
from schemas.errors import AGAIN, ServiceError
from schemas.outcome import Outcome
from schemas.stage_names import STORE_IMAGES, stage_title

FIRST = 100
"""The number of documents at a stage of one worker from which the share of failures is checked."""


class FailedShare:
    """The share of documents that failed at one stage of one worker, and its limit (`limits.failed_at_most`)."""

    def __init__(self, stage: str, at_most: float):
        self.stage, self.at_most = stage, at_most
        self.seen = 0
        self.errors: Counter[str] = Counter()

    def passed(self) -> None:
        """Count a document that did not fail."""
        self.seen += 1

    def failed(self, outcome: Outcome) -> None:
        """Count a document that failed. Raises ServiceError if too many have failed."""
        self.seen += 1
        self.errors[outcome.error] += 1
        failed = self.errors.total()
        if self.seen < FIRST or failed <= self.at_most * self.seen:
            return
        error, count = self.errors.most_common(1)[0]
        retry = "; --retry-failed asks for the images again" if self.stage == STORE_IMAGES and error in PASSING else ""
        raise ServiceError(
            f"{failed} of {self.seen} documents failed at the stage “{stage_title(self.stage)}”, {count} of them with "
            f"{error} (the last: {outcome.detail}); fix the cause and {AGAIN}, or raise limits.failed_at_most{retry}"
        )
