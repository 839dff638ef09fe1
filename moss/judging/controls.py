"""Controls: answers that were damaged on purpose must score lower, or the judge's scores mean nothing.

A judge may give full scores to fluent nonsense. So good answers are judged once more with one kind of damage, and the
affected aspect has to fall: the 95 % bootstrap interval of the paired difference must lie below 0.
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
from moss.servers.transport import Server
from schemas.errors import UserError
from schemas.records import Text

MOST, LEAST = 40, 5
"""The most answers that are damaged, and the fewest with which the result means anything."""
KEPT = 0.4
"""The share of a text's characters that is kept when it is cut."""
GREY = (127, 127, 127)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The effect of one kind of damage.

    The change of each aspect (damaged minus undamaged), in the order of ASPECTS, and whether the aspect that it should
    lower has certainly fallen. answers: how many were damaged.
    """

    name: str
    target: str
    answers: int
    change: tuple[Estimate, ...]
    passed: bool


def shuffled_pictures(answers: Sequence[Answered], n: int) -> Answered:
    """An answer's own text, with the next answer's images (repeated if there are fewer)."""
    others = answers[(n + 1) % len(answers)].pictures
    taken = iter([others[i % len(others)] for i in range(len(answers[n].pictures))])
    output = [s if isinstance(s, Text) else next(taken) for s in answers[n].output]
    return dataclasses.replace(answers[n], output=output)


def swapped_answers(answers: Sequence[Answered], n: int) -> Answered:
    """The next answer, which is an answer to another request."""
    return dataclasses.replace(answers[n], output=answers[(n + 1) % len(answers)].output)


def cut_text(answers: Sequence[Answered], n: int) -> Answered:
    """The answer with every text cut off, possibly inside a word."""
    output = [Text(s.text[: max(1, int(KEPT * len(s.text)))]) if isinstance(s, Text) else s for s in answers[n].output]
    return dataclasses.replace(answers[n], output=output)


def blank_pictures(answers: Sequence[Answered], n: int) -> Answered:
    """The answer with every image replaced by plain grey."""
    output = [s if isinstance(s, Text) else PIL.Image.new("RGB", opened(s).size, GREY) for s in answers[n].output]
    return dataclasses.replace(answers[n], output=output)


Damage = Callable[[Sequence[Answered], int], Answered]
CONTROLS: tuple[tuple[str, str, Damage], ...] = (
    ("shuffled images", "text_image_coherence", shuffled_pictures),
    ("swapped answers", "helpfulness", swapped_answers),
    ("cut text", "text_quality", cut_text),
    ("blank images", "perceptual_quality", blank_pictures),
)


def suitable(answers: Sequence[Answered]) -> list[int]:
    """The numbers of up to MOST answers, spread evenly, that have text and pictures and were asked for both.

    Raises UserError for fewer than LEAST.
    """
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
    """Judge damaged copies of some answers; `whole` (N, 5): the scores of all undamaged answers."""
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
