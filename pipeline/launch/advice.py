"""What to do about a run that kept nothing, or that lost images or documents which could be had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pipeline.dataset import ledger
from pipeline.graph.repeats import ID_TAKEN
from pipeline.images.faults import PASSING
from schemas.errors import one_line
from schemas.outcome import KEPT, Outcome
from schemas.stage_names import STORE_IMAGES


def of(counts: ledger.Funnel) -> tuple[str, ...]:
    """The sentences for a run that was published."""
    return tuple(filter(None, (retry(counts), _taken(counts.dropped.get(ID_TAKEN, 0)))))


def _taken(count: int) -> str:
    return (
        f"{count:,} documents were left out because another one, of a corpus that is named earlier, has their id and "
        f"another text ({ID_TAKEN} in the ledger); to keep them, give the documents of each corpus ids that begin with a "
        "name of its own, and build again"
        if count
        else ""
    )


def retry(counts: ledger.Funnel) -> str:
    """The images that a temporary fault of the web has cost, and how to ask for them again; empty if there are none.

    A model server's faults may have the same names, so documents count only if they failed where images are fetched.
    """
    lost = Counter(counts.images)
    for stage in counts.stages:
        if stage.name == STORE_IMAGES:
            lost.update(stage.failed)
    kinds = ", ".join(f"{kind} {lost[kind]:,}" for kind in sorted(PASSING & lost.keys()))
    return (
        f"these faults of the web may have passed: {kinds}; --retry-failed asks for those images again" if kinds else ""
    )


def nothing_kept(counts: ledger.Funnel, outcomes: Iterable[Outcome]) -> str:
    """Why no document was kept: the funnel, one document for each rule and error, and what can be done."""
    examples = dict[tuple[str, str, str], str]()
    for outcome in outcomes:
        if outcome.status != KEPT:
            key = (outcome.stage, outcome.rule, outcome.error)
            examples.setdefault(key, one_line(f"{outcome.id}: {ledger.ending(outcome)}"))
    shown = "\n".join(f"  {text}" for text in examples.values())
    again = retry(counts)
    return (
        f"no document was kept, so nothing was published:\n\n{ledger.funnel_text(counts)}\n\n"
        + (f"One document for each of these:\n{shown}\n\n" if shown else "")
        + "Relax the rules that dropped most, fix what failed, or give --allow-empty, which publishes the ledger and the "
        "report of all documents, and a dataset without instances" + (f"; {again}" if again else "")
    )
