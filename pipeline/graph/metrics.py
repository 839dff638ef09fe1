"""Beam metrics of every stage, under its name: what engines show on their pages and a local run prints at its end."""

from __future__ import annotations

from collections.abc import Mapping

from apache_beam.metrics import Metrics
from apache_beam.metrics.metricbase import Counter, Distribution

PASSED, DROPPED, FAILED = "passed", "dropped", "failed"


class StageMetrics:
    """Counters and distributions of one stage.

    documents: `passed`, `dropped`, `failed`. distributions: `batch_documents`, `milliseconds` (of one document, or of
    one batch). Whatever a step counts itself (bytes, questions, tokens) comes by `add_counts`.
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
        """Add what has come since the last call to a step's own totals, which only grow."""
        for name, total in totals.items():
            if total > (seen := self._seen.get(name, 0)):
                self.count(name, total - seen)
                self._seen[name] = total
