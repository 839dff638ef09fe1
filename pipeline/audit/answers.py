"""What two readers' answers come to: how far they agree, how many documents are acceptable, and why others are not."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from pipeline.audit.page import REASONS
from pipeline.dataset.wording import count, percent
from pipeline.selftest.result import wilson
from pipeline.storage import uris
from schemas.codec import parse_json
from schemas.errors import UserError
from schemas.outcome import KEPT
from schemas.printable import line

MOST_SHOWN = 20
"""The most documents that the text lists, of those on which the readers do not agree."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """One reader's judgement of one document; `instruction`: whether it answers its instruction, None if not asked."""

    acceptable: bool
    reason: str
    instruction: bool | None


@dataclasses.dataclass(frozen=True)
class Reader:
    """One reader's answers by the documents' keys."""

    name: str
    answers: Mapping[str, Answer]


def read(path: str, dataset: str) -> Reader:
    """The file that the page saved. Raises UserError if it is none, or is about another dataset."""
    try:
        value = parse_json(uris.read_bytes(path))
        if value["dataset"] != dataset:
            raise UserError(f"{path} is about another dataset, or about an earlier build of this one")
        answers = {str(key): _answer(one) for key, one in value["answers"].items()}
        return Reader(line(str(value["reader"])[:60]), answers)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UserError(f"{path} is no file of answers that the page of an audit saved") from None


def _answer(value: Mapping[str, object]) -> Answer:
    right = value.get("instruction")
    if not isinstance(value["acceptable"], bool) or not isinstance(right, bool | None):
        raise ValueError(f"{json.dumps(value)} is no answer")
    if value["reason"] not in ("", *REASONS):
        raise ValueError(f"{value['reason']} is no reason")
    return Answer(value["acceptable"], str(value["reason"]), right)


def text(first: Reader, second: Reader, outcomes: Mapping[str, str]) -> str:
    """The result of an audit for people. outcomes: key -> `kept` or the rule that dropped the document.

    Raises UserError for a document that the dataset does not have, and if no document was judged by both.
    """
    both = sorted(first.answers.keys() & second.answers.keys())
    if strange := (first.answers.keys() | second.answers.keys()) - outcomes.keys():
        raise UserError(f"the answers name {line(min(strange))[:40]}, which is no document of this dataset")
    if not both:
        raise UserError("no document was judged by both readers")
    kept, dropped = ([key for key in both if (outcomes[key] == KEPT) is is_kept] for is_kept in (True, False))
    pairs = [(first.answers[key], second.answers[key]) for key in both]
    asked = [
        (a.instruction, b.instruction) for a, b in pairs if a.instruction is not None and b.instruction is not None
    ]
    lines = [
        f"{count(len(both), 'document')} judged by both readers: {len(kept)} kept, {len(dropped)} dropped",
        f"agreement: {_agreement([(a.acceptable, b.acceptable) for a, b in pairs])}",
        *([f"agreement on instructions: {_agreement(asked)}"] if asked else []),
        "",
        "acceptable, with 95 % intervals (Wilson)",
        *_shares("kept", kept, first, second, lambda a: a.acceptable),
        *_shares("dropped", dropped, first, second, lambda a: a.acceptable),
        "",
        "kept documents that answer their instruction",
        *_shares(
            "kept", [k for k in kept if _both_asked(k, first, second)], first, second, lambda a: bool(a.instruction)
        ),
        "",
        "why documents are not acceptable",
        *_reasons(kept, dropped, (first, second)),
    ]
    differing = [key for key in both if first.answers[key].acceptable != second.answers[key].acceptable]
    if differing:
        lines += ["", f"{count(len(differing), 'document')} on which they do not agree"]
        lines += [f"  {key} ({outcomes[key]})" for key in differing[:MOST_SHOWN]]
    return "\n".join(lines)


def kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Cohen's kappa (1960): the agreement of two readers beyond chance; None where chance alone would agree fully.

    >>> kappa([(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15)
    0.4
    """
    total = len(pairs)
    agreed = sum(a == b for a, b in pairs) / total
    first, second = sum(a for a, _ in pairs) / total, sum(b for _, b in pairs) / total
    chance = first * second + (1 - first) * (1 - second)
    return None if chance == 1 else round((agreed - chance) / (1 - chance), 4)


def _agreement(pairs: Sequence[tuple[bool | None, bool | None]]) -> str:
    judged = [(bool(a), bool(b)) for a, b in pairs]
    found = kappa(judged)
    same = percent(sum(a == b for a, b in judged), len(judged))
    return f"{same}, Cohen's kappa {'not defined: both gave one answer to all' if found is None else f'{found:.2f}'}"


def _both_asked(key: str, first: Reader, second: Reader) -> bool:
    return first.answers[key].instruction is not None and second.answers[key].instruction is not None


def _shares(
    name: str, keys: Sequence[str], first: Reader, second: Reader, good: Callable[[Answer], bool]
) -> Iterable[str]:
    """A line for each reader, and one for what both call good."""
    votes = [(good(first.answers[key]), good(second.answers[key])) for key in keys]
    for who, yes in (
        (first.name, sum(a for a, _ in votes)),
        (second.name, sum(b for _, b in votes)),
        ("both", sum(a and b for a, b in votes)),
    ):
        share = wilson(yes, len(votes))
        between = f", {percent(share.low, 1)} to {percent(share.high, 1)}" if votes else ""
        yield f"  {name}, {who or 'without a name'}: {yes} of {len(votes)} ({percent(yes, len(votes))}{between})"


def _reasons(kept: Sequence[str], dropped: Sequence[str], readers: Sequence[Reader]) -> Iterable[str]:
    """A line for each reason that was given, with how often, over both readers."""
    counts = {
        name: collections.Counter(
            r.answers[key].reason for r in readers for key in keys if not r.answers[key].acceptable
        )
        for name, keys in (("kept", kept), ("dropped", dropped))
    }
    for reason, about in REASONS.items():
        if any(found[reason] for found in counts.values()):
            yield f"  {about}: {counts['kept'][reason]} of kept, {counts['dropped'][reason]} of dropped"
