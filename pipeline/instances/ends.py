"""Where an excerpt may begin and end: what goes on, what leans back, what is finished, and what belongs to a box."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence

from filters.headings import box
from filters.words import heading_level, words
from schemas.records import Image, Segment, Text

SECTION, SENTENCE, UNFINISHED = 2, 1, 0
"""How finished an excerpt is: it ends with a section or the document, with a sentence or a picture, or in the middle of
something."""
LESSON_AGAIN = 60
"""The number of words in a paragraph with which the lesson goes on below a box for teachers: this project's choice. In
physics chapters and history lessons of the development corpus, the paragraphs of such boxes are shorter."""
CAPTION = 30
"""The most words of a caption below an image, which needs no full stop."""

_ITEM = r"(?:[-*+•]|\\(?=[-*])|\d{1,3}[.)]|[a-z][.)])\s"
_GOES_ON = re.compile(rf"\s*(?:(?!1[.)]){_ITEM}|[a-z])")
_LEANS_BACK = re.compile(
    r"\s*(?:this|these|that|those|it|its|they|their|he|his|she|her|such|however|but|and|or|also|then|next|now|instead"
    r"|therefore|thus|hence|so|finally|similarly|likewise|moreover|furthermore|for (?:example|instance)|in (?:contrast"
    r"|addition|fact|other words|this|these)|as (?:discussed|mentioned|noted|you|we|a result|shown|with)|again|another"
    r"|here|because of (?:this|these)|the (?:following|above|same|second|third|next|other|figure|table|graph|diagram)"
    r"|if (?:so|not)|note(?: that)?|once|after (?:this|that|these)|when (?:this|it|they)|of (?:this|these|those))\b",
    re.I,
)
_SENTENCE_ENDS = re.compile(r"[.!?…。！？](?:\[\d+\]|[\"'”’»)\]*_`|\s])*$")
_WHOLE = re.compile(
    r"\s*(?:```|\|.*\||\$\$|\[!code|{_item})".replace("{_item}", _ITEM)
)  # code, tables, formulas, lists


def goes_on(text: str) -> bool:
    """Whether a text continues what stands above it: a list item but the first, or a sentence.

    >>> goes_on("2. Sand it."), goes_on("1. Cut the board."), goes_on("and sand it.")
    (True, False, True)
    """
    return bool(_GOES_ON.match(text))


def leans_back(text: str) -> bool:
    """Whether a text begins with a word that refers to what stands above it. Knows English alone.

    >>> leans_back("These boards are dry."), leans_back("Boards are dry.")
    (True, False)
    """
    return bool(_LEANS_BACK.match(text))


def boxed(segments: Sequence[Segment]) -> frozenset[int]:
    """The positions of all segments in boxes: from the box's heading to the next heading of its level or a higher one.

    A box for teachers also ends before a paragraph of `LESSON_AGAIN` words, if it is not the first one: such boxes
    stand in the middle of a text, which goes on below them without a heading.
    """
    found = set()
    kind, level, began = "", 0, 0
    for i, segment in enumerate(segments):
        if isinstance(segment, Text):
            here = heading_level(segment.text)
            if here and (not kind or here <= level):
                kind, level, began = box(segment.text), here, i
            elif kind == "teaching" and i > began + 1 and _is_lesson(segment.text):
                kind = ""
        if kind:
            found.add(i)
    return frozenset(found)


def _is_lesson(text: str) -> bool:
    return not goes_on(text) and not text.lstrip().startswith("[") and len(words(text)) >= LESSON_AGAIN


def ends(
    segments: Sequence[Segment], start: int, floor: int, boxed: Container[int], max_words: int, max_images: int
) -> Iterator[tuple[int, int]]:
    """(how finished, the end) of the longest excerpts from `start` within the limits: one of each kind that there is.

    None ends with a heading or has a segment of `boxed`, and none goes beyond a heading of a level above `floor`. An
    unfinished one is only returned if there is no other.
    """
    found: dict[int, int] = {}
    count = images = 0
    level = next((above for s in reversed(segments[:start]) if (above := _level(s))), 0)
    for i in range(start, len(segments)):
        segment = segments[i]
        if isinstance(segment, Image):
            images += 1
        else:
            count += len(words(segment.text))
        here = _level(segment)
        outside = i > start and 0 < here < floor
        if images > max_images or count > max_words or i in boxed or outside:
            break
        level = here or level
        if not here:
            found[_finished(segments, i, level, boxed)] = i + 1
    if len(found) > 1:
        found.pop(UNFINISHED, None)
    yield from sorted(found.items(), reverse=True)


def _level(segment: Segment) -> int:
    """The level of a heading, 0 for all else."""
    return heading_level(segment.text) if isinstance(segment, Text) else 0


def _finished(segments: Sequence[Segment], last: int, level: int, boxed: Container[int]) -> int:
    """How finished an excerpt is that ends with the segment at `last`, below a heading of this level."""
    segment, after = segments[last], segments[last + 1] if last + 1 < len(segments) else None
    if after is None:
        return SECTION
    if isinstance(segment, Text) and segment.text.rstrip().endswith(":"):
        return UNFINISHED
    if last + 1 in boxed or (below := _level(after)):
        return SENTENCE if last + 1 not in boxed and below > level else SECTION
    if isinstance(after, Image) or goes_on(after.text):
        return UNFINISHED
    if isinstance(segment, Image):
        return UNFINISHED if leans_back(after.text) else SENTENCE  # it may explain the image
    is_caption = last > 0 and isinstance(segments[last - 1], Image) and len(words(segment.text)) <= CAPTION
    done = is_caption or _WHOLE.match(segment.text) or _SENTENCE_ENDS.search(segment.text)
    return SENTENCE if done else UNFINISHED
