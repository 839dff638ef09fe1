"""Words, sentences, headings and plain text: the one place to take them from.

Everything here is a pure function of a string, without a language model and without word lists.
"""

from __future__ import annotations

import re

from filters.plain import plain
from schemas.words import words

__all__ = ["heading_level", "is_heading", "plain", "sentences", "words"]

_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9])|\n+")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf|Mr|Mrs|Ms|Dr|Prof|St|No|Fig|approx|[A-Z])\.$")
_HEADING = re.compile(r"\s*(#{1,6})\s+\S")
_UNDERLINED = re.compile(r"\s*\S[^\n]*\n[ \t]*(={3,}|-{3,}|~{3,}|\^{3,}|\"{3,}|'{3,})\s*")
_LEVELS = {"=": 1, "-": 2, "~": 3, "^": 4, '"': 5, "'": 5}


def sentences(text: str) -> list[str]:
    """The sentences of a text; a line break always ends one, the full stop of a common abbreviation does not.

    >>> sentences("Use tools, e.g. a saw. Then measure.")
    ['Use tools, e.g. a saw.', 'Then measure.']
    """
    found: list[str] = []
    pieces: list[str] = []
    for piece in _END.split(text):
        piece = piece.strip()
        if not piece:
            continue
        pieces.append(piece)
        if not _ABBREVIATION.search(piece):
            found.append(" ".join(pieces))
            pieces = []
    return [*found, " ".join(pieces)] if pieces else found


def is_heading(text: str) -> bool:
    """Whether this paragraph is a heading and nothing else: of Markdown, or underlined as in reStructuredText.

    >>> is_heading("## Tools"), is_heading("## Tools\\nA saw."), is_heading("Tools\\n=====")
    (True, False, True)
    """
    return heading_level(text) > 0


def heading_level(text: str) -> int:
    """The level of a heading: 1 (the highest) to 6; 0 for every other text.

    Underlined headings are of level 1 (`===`), 2 (`---`), 3 (`~~~`), 4 (`^^^`) or 5 (quotation marks).

    >>> heading_level("## Tools"), heading_level("Tools\\n~~~~~"), heading_level("Tools")
    (2, 3, 0)
    """
    if (found := _HEADING.match(text)) and "\n" not in text.strip():
        return len(found[1])
    underlined = _UNDERLINED.fullmatch(text)
    return _LEVELS[underlined[1][0]] if underlined else 0
