"""Controls: answers that were damaged on purpose must score lower, or the judge's scores mean nothing.

A judge that rates fluent words may give nonsense full marks. So good answers are judged once more with one thing
wrong, and the aspect that it spoils has to fall: the 95 % bootstrap interval of the paired difference must lie below 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image

from moss.answers.folder import Answered, opened
from moss.evaluation import bootstrap
from moss.evaluation.bootstrap import Estimate
from moss.judging import scores
from moss.judging.aspects import ASPECTS
from moss.servers.client import Server
from schemas.errors import UserError
from schemas.records import Text

MOST, LEAST = 40, 5
"""How many answers are damaged; fewer than LEAST say nothing."""
KEPT = 0.4
"""Of every text's characters, when it is cut."""
GREY = (127, 127, 127)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a damage did: the change of each aspect (damaged less whole), in the order of ASPECTS, and whether the one
    that it was to lower has fallen for sure. answers: how many were damaged."""

    name: str
    target: str
    answers: int
    change: tuple[Estimate, ...]
    passed: bool


def shuffled_pictures(answers: Sequence[Answered], n: int) -> Answered:
    """Its own text, with the next answer's pictures (over again, if these are fewer)."""
    others = answers[(n + 1) % len(answers)].pictures
    taken = iter([others[i % len(others)] for i in range(len(answers[n].pictures))])
    output = [s if isinstance(s, Text) else next(taken) for s in answers[n].output]
    return dataclasses.replace(answers[n], output=output)


def swapped_answers(answers: Sequence[Answered], n: int) -> Answered:
    """The next answer, which is to another request."""
    return dataclasses.replace(answers[n], output=answers[(n + 1) % len(answers)].output)


def cut_text(answers: Sequence[Answered], n: int) -> Answered:
    """Every text breaks off, in a word as likely as not."""
    output = [Text(s.text[: max(1, int(KEPT * len(s.text)))]) if isinstance(s, Text) else s for s in answers[n].output]
    return dataclasses.replace(answers[n], output=output)


def blank_pictures(answers: Sequence[Answered], n: int) -> Answered:
    """Every picture is one grey."""
    output = [s if isinstance(s, Text) else PIL.Image.new("RGB", opened(s).size, GREY) for s in answers[n].output]
    return dataclasses.replace(answers[n], output=output)


Damage = Callable[[Sequence[Answered], int], Answered]
CONTROLS: tuple[tuple[str, str, Damage], ...] = (
    ("shuffled pictures", "text_image_coherence", shuffled_pictures),
    ("swapped answers", "helpfulness", swapped_answers),
    ("cut text", "text_quality", cut_text),
    ("blank pictures", "perceptual_quality", blank_pictures),
)


def suitable(answers: Sequence[Answered]) -> list[int]:
    """The numbers of up to MOST answers, spread evenly, that have text and pictures and were asked for both. Raises
    UserError for fewer than LEAST."""
    found = [n for n, a in enumerate(answers) if a.texts and a.pictures and set(a.expects) == {"text", "image"}]
    if len(found) < LEAST:
        raise UserError(
            f"the controls need at least {LEAST} answers with text and pictures, and there are {len(found)}; give more, "
            "or name a system that has them (such as reference answers) to --controls"
        )
    return [found[i * len(found) // min(MOST, len(found))] for i in range(min(MOST, len(found)))]


def check(
    server: Server, answers: Sequence[Answered], whole: np.ndarray, repeats: int, seed: int, progress: bool = False
) -> list[Outcome]:
    """Judge damaged copies of some answers; `whole` (N, 5) are the scores of all of them as they are."""
    numbers = suitable(answers)
    chosen = [answers[n] for n in numbers]
    drawn = bootstrap.draws(len(chosen), seed)
    outcomes = []
    for name, target, damage in CONTROLS:
        damaged = [damage(chosen, n) for n in range(len(chosen))]
        change = scores.score(server, damaged, repeats, f"control: {name}" if progress else "").value - whole[numbers]
        known = ~np.isnan(change)
        found = tuple(
            bootstrap.estimate(np.where(known, change, 0)[:, i], known[:, i].astype(float), drawn)
            for i in range(len(ASPECTS))
        )
        high = found[[aspect.name for aspect in ASPECTS].index(target)].high
        outcomes.append(Outcome(name, target, len(chosen), found, high is not None and high < 0))
    return outcomes
