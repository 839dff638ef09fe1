"""What texts lack of what their source had: code, formulas, tables, images, answers, and names of figures.

The lists of words are English, and were made from what readers found (docs/quality.md); so were the lengths in them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

_LOST_CODE = re.compile(r"```[^\n`]*\n\s*```|\.\. code-tab::[^\n]*\s*\Z|\[!(?:code|include)|(?<!`)``(?!`) with\b", re.I)
_LEADS_TO_FORMULA = re.compile(
    r"\b(?:(?:is|are|gives?|get|write|by|becomes?|yields?|equations?|obtain|have|find|then)|(?:like this|as follows|as):)\s*\Z"
)
_CUT = re.compile(r"[\w,:]\s*\Z")
_NAMES_SYMBOLS = re.compile(r"\s*(?:where|in which)\b")
_LACKS_SUBJECT = re.compile(r"\s*(?:is|are|was|were|shows?|illustrates?|presents?|depicts?|lists?)\b")
_PICTURE_BELOW = re.compile(
    r"\b(?:images?|figures?|pictures?|screen ?shots?|diagrams?) below\b"
    r"|\bfollowing (?:images?|figures?|pictures?|screen ?shots?|diagrams?)\b",
    re.I,
)
_ASKS = re.compile(r".*\?|\s*(?:explain|describe|which|what|why|how)\b", re.I | re.S)
_CHOICE = 40
"""The most words of one choice of a quiz."""
_NO_CELL = re.compile(r"\s*(?:[-*+•]|\(?\w{1,2}[.)])\s|.*[.!?:;…。！？।]\s*\Z", re.S)
"""An item of a list, or a sentence."""
_CELL = 5
"""The most words of a cell of a table that has become lines."""
_CELL_LENGTH = 40
"""The most characters of one: some languages write no spaces between words."""


def code(text: str) -> bool:
    """Whether a text has a place for code, and no code in it: the corpus has lost it.

    >>> code("Run this: ```sh\\n```"), code("Run this: ```sh\\nls\\n```")
    (True, False)
    """
    return bool(_LOST_CODE.search(text))


def formula(text: str, below: str) -> bool:
    """Whether a text leads to a formula, and the text below it is none: the corpus has lost it.

    >>> formula("The force is", "where m is the mass."), formula("The force is", "$F = ma$")
    (True, False)
    """
    if _CUT.search(text) and _NAMES_SYMBOLS.match(below):
        return True
    return bool(_LEADS_TO_FORMULA.search(text)) and below.lstrip()[:1].isalpha()


def table(texts: Sequence[str]) -> bool:
    """Whether texts begin with the cells of a table that has become lines.

    >>> table(["Wood", "Weight", "Oak", "0.7"]), table(["- Wood", "- Glue", "- Saws", "- Nails"])
    (True, False)
    """
    cells = texts[:4]
    return len(cells) == 4 and all(
        len(text) <= _CELL_LENGTH and len(text.split()) <= _CELL and not _NO_CELL.match(text) for text in cells
    )


def picture(texts: Sequence[str]) -> bool:
    """Whether texts that no image follows send their reader to one below.

    >>> picture(["See the image below."]), picture(["See below."])
    (True, False)
    """
    return any(map(_PICTURE_BELOW.search, texts))


def answers(texts: Sequence[str]) -> bool:
    """Whether texts have a question with three choices, of which each has half of the next one's words: its answer is elsewhere.

    >>> answers(["Why does it cut?", "The saw is hot and thin.", "The saw is hot and old.", "The saw is old and thin."])
    True
    >>> answers(["Why does it cut?", "The saw has teeth in it.", "The wood is soft and dry.", "The hand is strong enough."])
    False
    """
    for at in range(len(texts) - 3):
        choices = [text.casefold().split() for text in texts[at + 1 : at + 4]]
        if _ASKS.match(texts[at]) and all(_CELL <= len(choice) <= _CHOICE for choice in choices):
            sets = list(map(set, choices))
            if all(2 * len(one & other) >= max(len(one), len(other)) for one, other in itertools.pairwise(sets)):
                return True
    return False


def subject(text: str) -> bool:
    """Whether a text begins with a verb in small letters, before which the corpus has lost the name of a figure.

    >>> subject("shows a saw."), subject("Shows are fun.")
    (True, False)
    """
    return bool(_LACKS_SUBJECT.match(text))
