r"""Removes what converters leave in the text when they take an image out of a link or a template's tag.

`[![a saw](saw.png)](large.png)` has become three segments: a text that ends with `[`, the image, and a text that starts
with `](large.png)`. Neither half means anything without the other. `{% image "saw.png" "a saw" %}` has become the
image, and a text that starts with `"a saw" %}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from schemas.records import Image, Segment, Text

_OPEN = re.compile(r"(?<!\\)\[\s*$")  # not `\[`, which opens a formula
_CLOSE = re.compile(
    r"^\s*\](?:\((?:[^()\n]|\([^()\n]*\))*\)|\[[^\[\]\n]*\])"  # `](target)` or `][name of a target]`,
    r"(?:[^\S\n]*[.,;:](?!\S))?"
)  # and the full stop after it
_TAG_END = re.compile(r'^\s*"[^\n]*?" ?%\}')
_EMPTY_LINK = re.compile(r"(```.*?```|`[^`\n]*`)|(?<!!)\[\s*\]\(https?://[^\s()]*\)", re.S)  # code is left alone


def without_residue(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """The segments without the halves of links and tags around images.

    Links that show nothing, `[](https://...)`, are removed too.

    A half is removed only if the segment next to it is an image or the other half. A text without any word left is
    removed too.
    """
    segments = tuple(segments)

    def beside(at: int, other_half: re.Pattern[str]) -> bool:
        if not 0 <= at < len(segments):
            return False
        segment = segments[at]
        return isinstance(segment, Image) or bool(other_half.search(segment.text))

    found: list[Segment] = []
    for i, segment in enumerate(segments):
        if isinstance(segment, Text):
            text = _EMPTY_LINK.sub(lambda match: match[1] or "", segment.text)
            if i and isinstance(segments[i - 1], Image):
                text = _TAG_END.sub("", text)
            if beside(i - 1, _OPEN):
                text = _CLOSE.sub("", text)
            if beside(i + 1, _CLOSE):
                text = _OPEN.sub("", text)
            if text != segment.text:
                if not re.search(r"\w", text):
                    continue
                segment = Text(text.strip())
        found.append(segment)
    return tuple(found)
