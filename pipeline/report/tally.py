"""The counts of the report besides the funnel, in one pass over the ledger; memory does not grow with the ledger."""

from __future__ import annotations

import collections
import dataclasses
import heapq
from collections import Counter
from collections.abc import Container, Iterable

from pipeline.report.dropped import PER_RULE, rank
from schemas.outcome import DROPPED, FAILED, KEPT, Outcome

MAX_FAILURES = 50


@dataclasses.dataclass
class Tally:
    """The counts of the report.

    kept, others: score -> (value -> documents). sources: source -> [kept, read]. failures: the first MAX_FAILURES.
    dropped: rule -> documents, those with an example first, then by `rank`.
    """

    kept: dict[str, Counter[float]]
    others: dict[str, Counter[float]]
    sources: dict[str, list[int]]
    failures: list[Outcome]
    dropped: dict[str, list[Outcome]]


def tally(outcomes: Iterable[Outcome], sampled: Container[str]) -> Tally:
    """Count the outcomes; `sampled` are the ids of documents with an example (see `dropped.read_samples`)."""
    found = Tally(
        collections.defaultdict(Counter),
        collections.defaultdict(Counter),
        collections.defaultdict(lambda: [0, 0]),
        [],
        {},
    )
    first: dict[str, list[tuple[bool, str, Outcome]]] = collections.defaultdict(list)
    for outcome in outcomes:
        is_kept = outcome.status == KEPT
        found.sources[outcome.source][0] += is_kept
        found.sources[outcome.source][1] += 1
        side = found.kept if is_kept else found.others
        for name, value in outcome.scores:
            side[name][value] += 1
        if outcome.status == FAILED and len(found.failures) < MAX_FAILURES:
            found.failures.append(outcome)
        elif outcome.status == DROPPED:
            entry = (outcome.id not in sampled, rank(outcome.id), outcome)
            first[outcome.rule] = heapq.nsmallest(PER_RULE, [*first[outcome.rule], entry], key=lambda e: e[:2])
    found.dropped = {rule: [entry[2] for entry in entries] for rule, entries in first.items()}
    return found
