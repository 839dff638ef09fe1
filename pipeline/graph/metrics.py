"""Beam metrics of every stage, under its name: shown by distributed runners, and printed at the end of a local run."""

from __future__ import annotations

from collections.abc import Mapping

from apache_beam.metrics import Metrics
from apache_beam.metrics.metricbase import Counter, Distribution

PASSED, DROPPED, FAILED = "passed", "dropped", "failed"


class StageMetrics:
    """Counters and distributions of one stage.

    counters of documents: `passed`, `dropped`, `failed`. distributions: `batch_documents`, `milliseconds` (for one
    document, or for one batch). `add_counts` adds what a step counts itself (bytes, questions, tokens).
    """

    def __init__(self, stage: str):
        self.stage = stage
        self._counters: dict[str, Counter] = {}
        self._distributions: dict[str, Distribution] = {}
        self._seen: dict[str, int] = {}

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter."""
        if name not in self._counters:
            self._counters[name] = Metrics.counter(self.stage, name)
        self._counters[name].inc(n)

    def measure(self, name: str, value: int) -> None:
        """Add a value to a distribution."""
        if name not in self._distributions:
            self._distributions[name] = Metrics.distribution(self.stage, name)
        self._distributions[name].update(value)

    def add_counts(self, totals: Mapping[str, int]) -> None:
        """Add the increase of a step's own totals since the last call."""
        for name, total in totals.items():
            if total > (seen := self._seen.get(name, 0)):
                self.count(name, total - seen)
                self._seen[name] = total
