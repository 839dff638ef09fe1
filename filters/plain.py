"""Markdown to plain text, in time linear in its length.

A mark is taken away only where it means something in Markdown, so `C#`, `set_plot`, `gtk>=3` and `a | b` stay as they
are.
"""

from __future__ import annotations

import html
import re
from html.entities import html5

_FENCED = re.compile(r"```.*?```", re.S)
_SPAN = re.compile(r"(?<![`\\])(`{1,2})(?!`)(.+?)(?<!`)\1(?!`)", re.S)
_HELD = re.compile("\0(\\d+)\0")  # stands for a code span while marks are taken away
_LINK = re.compile(r"!?\[([^\[\]]*)\]\((?:[^()]|\([^()]*\))*\)")
_PIPE = re.compile(r"(?<!\\)[ \t]?\|")
_RULE = re.compile(r"^(?:[\s|:+-]+|[ \t]*(?:[*_][ \t]*){3,}|={3,}|~{3,}|\^{3,}|\"{3,}|'{3,})$", re.M)
_CLOSING = re.compile(r"^([ \t>]*#{1,6}[ \t][^\n]*?)(?<!\s)[ \t]+#+[ \t]*$", re.M)
_OPENING = re.compile(
    r"^(?=[^\S\n]*[>#*+\d-])[^\S\n]*(?:>[^\S\n]*)*"  # quotes
    r"(?:(?:[-+*]|\d+[.)])[^\S\n]+)?"  # an item of a list
    r"(?:#{1,6}(?:[^\S\n]+|$))?",  # a heading
    re.M,
)
# Stars may end inside a word (`**S**earch`), but not begin there (`2*3`), nor end before a number.
_STARS = re.compile(r"(?<![A-Za-z0-9*\\])(\*+)(?=[^\s*])([^*]*)(?:(?<=\w)\1(?![*\d])|(?<=[^\w\s\\])\1(?![\w*]))")
# Underscores inside words stand for themselves, also between others (`_set_plot_`).
_UNDERSCORES = re.compile(r"(?<![\w\\])(_+)(?=[^\s_])([^_]*(?:(?<=[^\W_])_+(?=[^\W_])[^_]*)*)(?<=[^\s\\])\1(?!\w)")
_LEFT = re.compile(r"(?<![_\\])_+(?!\w)")  # behind a link of reStructuredText, and lines to write on
_ESCAPE = re.compile(r"\\([*_#>|`])|`")
_ENTITY = re.compile(r"&(?:#(?:\d{1,7}|[xX][0-9A-Fa-f]{1,6})|([A-Za-z][A-Za-z0-9]{1,30}));")


def plain(text: str) -> str:
    """The text without Markdown syntax: links keep their text, code blocks are removed, entities are decoded.

    >>> plain("## See [the manual](manual.html) of **C#** ##")
    'See the manual of C#'
    >>> plain("> Call `f(_a_ | b)` or _set_plot_ &gt; 3"), plain("gtk>=3, 2*3*4, __main_loop")
    ('Call f(_a_ | b) or set_plot > 3', 'gtk>=3, 2*3*4, __main_loop')
    """
    spans: list[str] = []

    def hold(span: re.Match[str]) -> str:
        spans.append(span[2])
        return f"\0{len(spans) - 1}\0"

    text = _FENCED.sub(" ", text)
    if "`" in text:
        text = _SPAN.sub(hold, text.replace("\0", ""))
    text = _LINK.sub(r"\1", _LINK.sub(r"\1", text))  # twice, for an image inside a link
    text = _RULE.sub("", _without_pipes(text) if "|" in text else text)
    text = _OPENING.sub("", _CLOSING.sub(r"\1", text) if "#" in text else text)
    if "*" in text:
        text = _STARS.sub(r"\2", _STARS.sub(r"\2", text))  # twice, for one emphasis inside another
    if "_" in text:
        text = _LEFT.sub("", _UNDERSCORES.sub(r"\2", text))
    text = _ENTITY.sub(_character, _ESCAPE.sub(r"\1", text))
    if spans:
        text = _HELD.sub(lambda held: spans[int(held[1])], text)
    return text.strip()


def _without_pipes(text: str) -> str:
    """The text with spaces between the cells of tables: of lines that begin with `|`, or stand with a `---|---`."""
    lines = text.split("\n")
    end = 0
    for start, first in enumerate(lines):
        if start < end or "|" not in first:
            continue
        end = next((i for i in range(start, len(lines)) if "|" not in lines[i]), len(lines))
        table = any("-" in line and not line.strip(" \t|:-") for line in lines[start:end])
        for i in range(start, end):
            if table or lines[i].lstrip().startswith("|"):
                lines[i] = _PIPE.sub(" ", lines[i])
    return "\n".join(lines)


def _character(entity: re.Match[str]) -> str:
    """What an entity stands for, if it can be seen; no control character comes in this way."""
    found = html5.get(f"{entity[1]};", entity[0]) if entity[1] else html.unescape(entity[0])
    return found if found.isprintable() else " " if found.isspace() else ""
