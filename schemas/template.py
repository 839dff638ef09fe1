"""The marker of the training template, and how it is kept out of texts."""

from __future__ import annotations

import re

MARKER = "\n\n### Answer\n\n"
"""The marker between instruction and context, which are given, and the output, which is learnt
(`moss/data/samples.py`)."""

_ALONE = re.compile(r"^###(?=[^\S\n]+Answer[^\S\n]*$)", re.M)


def without_marker(text: str) -> str:
    r"""The text with the marker's heading one level lower, so that a model does not learn a second marker.

    >>> without_marker("Why?\n\n### Answer\n\nBecause.")
    'Why?\n\n#### Answer\n\nBecause.'
    """
    return _ALONE.sub("####", text)
