"""The judge's verdicts on systems' answers: scores by aspect, and preferences between two systems."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from moss.answers.folder import MOST_FAILED, Answered
from moss.judging import aspects
from moss.judging.aspects import ASPECTS
from moss.servers import client
from moss.servers.transport import Server
from schemas.errors import RecordFault, UserError

TEMPERATURE = 0.7
"""The temperature of repeated questions: at 0 all repeats would get the same answer."""


@dataclasses.dataclass(frozen=True)
class Scores:
    """The scores of N answers.

    value: float64 (N, 5), 0 to 5, the mean over repeats; nan if an aspect does not apply to the task or the judge gave
    no valid answer. spread: the mean over answers and aspects that were asked for of the standard deviation over repeats
    (None for one). failed: the number of questions without a valid answer. reasons: (aspect, score, reason) of the first
    repeat, for each answer.
    """

    value: np.ndarray
    spread: float | None
    failed: int
    reasons: tuple[tuple[tuple[str, int, str], ...], ...]


@dataclasses.dataclass(frozen=True)
class Preference:
    """One system against another over N questions.

    won: float64 (N,), 1 if it was preferred in both orders, -1 if the other was, 0 for a tie or if the orders disagree;
    nan without a valid answer. agreed: the share of questions with the same preference in both orders.
    """

    won: np.ndarray
    agreed: float | None
    failed: int


def score(server: Server, answers: Sequence[Answered], repeats: int, progress: str = "") -> Scores:
    """The scores of every answer.

    Aspects whose segments are missing are 0, without a question. Raises UserError for a judge that fails too often.
    """
    zeros = [set(aspects.scored_as_zero(answer)) for answer in answers]
    asked = [n for n, answer in enumerate(answers) if len(zeros[n]) < len(aspects.judged(answer))]
    jobs = [(n, repeat) for n in asked for repeat in range(repeats)]
    temperature = TEMPERATURE if repeats > 1 else 0.0
    found = client.ask_all(
        server, jobs, lambda job: aspects.score_question(answers[job[0]], job[1], temperature), progress=progress
    )
    value = np.full((len(answers), repeats, len(ASPECTS)), np.nan)
    reasons: list[tuple[tuple[str, int, str], ...]] = [()] * len(answers)
    for n, answer in enumerate(answers):
        for place, aspect in enumerate(ASPECTS):
            if aspect in aspects.judged(answer) and aspect.name in zeros[n]:
                value[n, :, place] = 0
    failed = 0
    for (n, repeat), reply in zip(jobs, found, strict=True):
        if isinstance(reply, RecordFault):
            failed += 1
            continue
        for place, aspect in enumerate(ASPECTS):
            if aspect.name in reply:
                value[n, repeat, place] = reply[aspect.name]["score"]
        if repeat == 0:
            reasons[n] = tuple((name, part["score"], part["reason"]) for name, part in reply.items())
    _check_failed(failed, len(jobs), found)
    known = ~np.isnan(value)
    count = known.sum(1)
    mean = np.where(count > 0, np.where(known, value, 0).sum(1) / np.maximum(count, 1), np.nan)
    spread = None
    if repeats > 1:
        asked_for = np.array([[aspect.name not in zero for aspect in ASPECTS] for zero in zeros])  # zeros never differ
        several = asked_for & (count > 1)
        squared = np.where(known, (value - mean[:, None]) ** 2, 0).sum(1)[several] / (count[several] - 1)
        spread = float(np.sqrt(squared).mean()) if squared.size else None
    return Scores(mean, spread, failed, tuple(reasons))


def prefer(server: Server, answers: Sequence[Answered], others: Sequence[Answered], progress: str = "") -> Preference:
    """One system's answers against another's to the same questions, each pair in both orders.

    An empty answer loses without a question.
    """
    won = np.zeros(len(answers))
    asked = []
    for n, (one, other) in enumerate(zip(answers, others, strict=True)):
        if one.empty or other.empty:
            won[n] = other.empty - one.empty
        else:
            asked.append(n)
    jobs = [(n, swapped) for n in asked for swapped in (False, True)]
    found = client.ask_all(
        server,
        jobs,
        lambda job: (
            aspects.pair_question(others[job[0]], answers[job[0]])
            if job[1]
            else aspects.pair_question(answers[job[0]], others[job[0]])
        ),
        progress=progress,
    )
    failed = sum(isinstance(reply, RecordFault) for reply in found)
    _check_failed(failed, len(jobs), found)
    alike = both = 0
    for place, n in enumerate(asked):
        straight, swapped = found[2 * place : 2 * place + 2]
        if isinstance(straight, RecordFault) or isinstance(swapped, RecordFault):
            won[n] = np.nan
            continue
        first = {"first": 1, "second": -1, "equal": 0}[straight["better"]]
        second = {"first": -1, "second": 1, "equal": 0}[swapped["better"]]
        won[n] = first if first == second else 0
        alike, both = alike + (first == second), both + 1
    return Preference(won, alike / both if both else None, failed)


def _check_failed(failed: int, asked: int, found: Sequence[object]) -> None:
    if failed > MOST_FAILED * asked:
        first = next(fault for fault in found if isinstance(fault, RecordFault))
        raise UserError(
            f"the judge gave no valid answer to {failed} of {asked} questions (the first: {first}); choose a model "
            "that reads pictures and keeps to a JSON schema"
        )
