"""The language model's ratings of a text: reading them from its answer, and the rules on them.

A rating is the *expected* grade, sum over d of p(d) * d with the probabilities that the server reports for the grades
1 to 5 at the position of the digit, as in G-Eval (arXiv 2303.16634): a small model's probabilities rank texts far
better than its most likely digit does.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from filters.limits import within
from schemas.records import Drop, RatedDocument, Ratings

GRADES = (1, 2, 3, 4, 5)
TokenLogprob = Mapping[str, Any]
"""One entry of OpenAI's `logprobs.content`: `token`, `logprob`, and perhaps `top_logprobs`."""


@dataclasses.dataclass(frozen=True)
class Aspect:
    """Something that the language model rates.

    name: what the rating is called in instances, index and ledger. key: what it is called in the model's answer.
    question: what the prompt asks about the text; the report shows it as the explanation of the rating.
    """

    name: str
    key: str
    question: str


def read_ratings(
    answer: str, aspects: Sequence[Aspect], token_logprobs: Sequence[TokenLogprob] | None = None
) -> Ratings:
    """The ratings in an answer, by the aspect's name; the answer has an integer from 1 to 5 for each aspect's key.

    `token_logprobs` is the list that OpenAI's chat completions call `logprobs.content`: one dict per token with
    `token`, `logprob` and `top_logprobs`. Without it, or if it does not cover a grade, the integer itself is the rating.
    Raises ValueError with the reason if the answer does not have this form.

    >>> read_ratings('{"coherence": 4}', [Aspect("text_coherence", "coherence", "sentences in a sensible order")])
    {'text_coherence': 4.0}
    """
    try:
        grades = json.loads(answer)
    except ValueError as error:
        raise ValueError(f"the ratings are not JSON: {error}") from None
    if not isinstance(grades, dict):
        raise ValueError(f"the ratings are not an object: {answer[:80]}")
    for aspect in aspects:
        if aspect.key not in grades:
            raise ValueError(f"no rating of {aspect.key}")
        if type(grades[aspect.key]) is not int or grades[aspect.key] not in GRADES:
            raise ValueError(f"the rating of {aspect.key} is {grades[aspect.key]!r}, not an integer from 1 to 5")
    return {aspect.name: _expected(aspect.key, grades[aspect.key], token_logprobs or ()) for aspect in aspects}


def _expected(key: str, grade: int, tokens: Sequence[TokenLogprob]) -> float:
    """The mean grade under the probabilities at the digit after `key`, renormalised over 1 to 5; 2 decimals."""
    place = re.search(rf'"{re.escape(key)}"\s*:\s*(\d)', "".join(token["token"] for token in tokens))
    if place is None:
        return float(grade)
    start, token = 0, tokens[0]
    for token in tokens:
        if start + len(token["token"]) > place.start(1):
            break
        start += len(token["token"])
    text, at = token["token"], place.start(1) - start
    # A token may hold more than the digit (` 5`, `5,`): an alternative counts where only the digit differs.
    seen = {other["token"]: other["logprob"] for other in [*(token.get("top_logprobs") or []), token]}
    weights = {d: math.exp(seen[other]) for d in GRADES if (other := f"{text[:at]}{d}{text[at + 1 :]}") in seen}
    total = sum(weights.values())
    return round(sum(d * weight for d, weight in weights.items()) / total, 2) if total else float(grade)


def lowest_rating(document: RatedDocument, *, at_least: float) -> Drop | None:
    """The lowest of the ratings (1 to 5); the rule has the name of its aspect."""
    aspect, lowest = min(document.ratings.items(), key=lambda rating: rating[1])
    return within(aspect, lowest, at_least=at_least)


def mean_rating(document: RatedDocument, *, at_least: float) -> Drop | None:
    """The mean of the ratings (1 to 5)."""
    ratings = document.ratings.values()
    return within("mean_rating", sum(ratings) / len(ratings), at_least=at_least)
