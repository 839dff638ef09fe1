"""Makes untrusted text safe to show: no character of it controls a terminal, reorders a line or is invisible.

Removed is everything that Unicode classifies as a control (Cc: ESC, CSI and OSC of C1, NUL), a format (Cf:
bidirectional overrides and isolates, zero-width spaces and joiners, tags), a surrogate, private or unassigned. Every
kind of space becomes a plain space.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKDOWN = re.compile(r"([\\`*<>\[\]|~!#$&])|(?<![^\W_])(_)|(_)(?![^\W_])")
_LINKS = re.compile(r":(?=//)|@(?=[\w-]+\.)|(?<=www)\.", re.I)  # GitHub and the hub make links of these without markup


def printable(text: str) -> str:
    """The text without unsafe characters; line breaks stay.

    >>> printable("a\\x1b[31mred\\u202e\\u00a0word\\n")
    'a[31mred word\\n'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else " " for c in text if c.isprintable() or c.isspace())


def shown(value: object) -> object:
    """What a template's `finalize` makes of a value: a text becomes printable, and HTML stays as it is."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def some(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are.

    >>> some(["a", "b", "c"], 2), some(["a", "b"], 2)
    ('a, b and 1 more', 'a, b')
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def line(text: str) -> str:
    """The printable text on one line, so that it cannot look like another line of the output.

    >>> line("title\\n  ✓ Assemble   passed")
    'title ✓ Assemble passed'
    """
    return " ".join(printable(text).split())


def markdown(text: str) -> str:
    r"""The printable text as plain words in Markdown, also in a table cell: it makes no image, link, HTML or column.

    >>> markdown("![x](http://a) | <script>")
    '\\!\\[x\\](http&#58;//a) \\| \\<script\\>'
    """
    escaped = _MARKDOWN.sub(lambda found: f"\\{found[0]}", line(text))
    return _LINKS.sub(lambda found: f"&#{ord(found[0])};", escaped)
