"""The LLM's ratings of a text: reading them from its answer, and the rules on them.

A rating is the *expected* grade, sum over d of p(d) * d with the probabilities that the server reports for the grades
1 to 5 at the place of the digit, as in G-Eval (arXiv 2303.16634): a small model's probabilities order texts far
better than its likeliest digit does.
"""

from __future__ import annotations

import json
import math
import re

from filters.limits import within
from schemas.records import Document, Drop, Ratings

ASPECTS = ("fluency", "coherence", "completeness", "usefulness")
GRADES = (1, 2, 3, 4, 5)


def read_ratings(answer: str, token_logprobs: list[dict] | None = None) -> Ratings:
    """The ratings in an answer such as `{"fluency":4,"coherence":5,"completeness":5,"usefulness":3}`.

    `token_logprobs` is the list that OpenAI's chat completions call `logprobs.content`: one dict a token with `token`,
    `logprob` and `top_logprobs`. Without it, or where it does not cover a grade, the integer itself is the rating.
    Raises ValueError with the reason where the answer is not an object of four integers from 1 to 5.
    """
    try:
        grades = json.loads(answer)
    except ValueError as error:
        raise ValueError(f"the ratings are not JSON: {error}") from None
    if not isinstance(grades, dict):
        raise ValueError(f"the ratings are not an object: {answer[:80]}")
    for aspect in ASPECTS:
        if aspect not in grades:
            raise ValueError(f"no rating of {aspect}")
        if type(grades[aspect]) is not int or grades[aspect] not in GRADES:
            raise ValueError(f"the rating of {aspect} is {grades[aspect]!r}, not an integer from 1 to 5")
    return Ratings(**{aspect: _expected(aspect, grades[aspect], token_logprobs or []) for aspect in ASPECTS})


def _expected(aspect: str, grade: int, tokens: list[dict]) -> float:
    """The mean grade under the probabilities at the aspect's digit, renormalised over 1 to 5; 2 decimals."""
    place = re.search(rf'"{aspect}"\s*:\s*(\d)', "".join(token["token"] for token in tokens))
    if place is None:
        return float(grade)
    start = 0
    for token in tokens:
        if start + len(token["token"]) > place.start(1):
            break
        start += len(token["token"])
    text, at = token["token"], place.start(1) - start
    # A token may hold more than the digit (` 5`, `5,`): an alternative counts where only the digit differs.
    seen = {other["token"]: other["logprob"] for other in [*(token.get("top_logprobs") or []), token]}
    weights = {d: math.exp(seen[other]) for d in GRADES if (other := f"{text[:at]}{d}{text[at + 1:]}") in seen}
    total = sum(weights.values())
    return round(sum(d * weight for d, weight in weights.items()) / total, 2) if total else float(grade)


def lowest_rating(document: Document, *, at_least: float) -> Drop | None:
    """The worst of the four ratings (1 to 5); the drop is named after it, for that is the text's fault."""
    ratings = _named(document)
    worst = min(ratings, key=ratings.get)
    return within(worst, ratings[worst], at_least=at_least)


def mean_rating(document: Document, *, at_least: float) -> Drop | None:
    """The mean of the four ratings (1 to 5)."""
    ratings = _named(document)
    return within("mean_rating", sum(ratings.values()) / len(ratings), at_least=at_least)


def _named(document: Document) -> dict[str, float]:
    """The ratings under the names that an instance's scores have: `coherence` is that of the pictures there."""
    return {"text_coherence" if aspect == "coherence" else aspect: getattr(document.ratings, aspect)
            for aspect in ASPECTS}
