"""Words, sentences and plain text: the one place that decides what counts as which.

Everything here is a pure function of a string; no language model and no word list.
"""

from __future__ import annotations

import re

_CODE = re.compile(r"```.*?```", re.S)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\((?:[^()]|\([^()]*\))*\)")
_MARK = re.compile(r"[*_`#>|]+|^[^\S\n]*(?:[-+]|\d+[.)])\s+", re.M)
_RULE = re.compile(r"^[\s|:+-]+$", re.M)
_WORD = re.compile(r"\w+(?:['’.-]\w+)*")
_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9])|\n+")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf|Mr|Mrs|Ms|Dr|Prof|St|No|Fig|approx|[A-Z])\.$")
_HEADING = re.compile(r"^\s*#{1,6}\s+\S")


def plain(text: str) -> str:
    """The text without Markdown marks: links keep their words, code blocks go."""
    text = _CODE.sub(" ", text)
    text = _LINK.sub(r"\1", _LINK.sub(r"\1", text))       # twice, for a picture inside a link
    text = _RULE.sub("", text)
    return _MARK.sub("", text).strip()


def words(text: str) -> list[str]:
    """The words of a text: runs of letters and digits, inner apostrophes and hyphens kept."""
    return _WORD.findall(text)


def sentences(text: str) -> list[str]:
    """The sentences of a text; a line break always ends one. Common abbreviations do not."""
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
    """Is this paragraph a Markdown heading of one line?"""
    return bool(_HEADING.match(text)) and "\n" not in text.strip()
