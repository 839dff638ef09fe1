"""The one marker of the trainer's text template, and texts in which it cannot occur."""

from __future__ import annotations

import re

MARKER = "\n\n### Answer\n\n"
"""What stands between what is given and what is learnt (`moss/data/samples.py`)."""

_ALONE = re.compile(r"^###(?=[^\S\n]+Answer[^\S\n]*$)", re.M)


def without_marker(text: str) -> str:
    r"""The text with such a heading one rank lower: a reader sees little of it, and a model learns no second marker.

    >>> without_marker("Why?\n\n### Answer\n\nBecause.")
    'Why?\n\n#### Answer\n\nBecause.'
    """
    return _ALONE.sub("####", text)
