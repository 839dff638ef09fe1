"""Where an excerpt may begin and end: what goes on, what leans back, what is finished, and what belongs to a box."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence

from filters.headings import box
from filters.words import heading_level, plain, words
from schemas.records import Image, Segment, Text

SECTION, SENTENCE = 2, 1
"""How finished an excerpt is: it ends with a section or the document, or with a sentence, a list or an image."""
LESSON_AGAIN = 60
"""The number of words in a paragraph with which the lesson goes on below a box for teachers: this project's choice. In
physics chapters and history lessons of the development corpus, the paragraphs of such boxes are shorter."""
CAPTION = 30
"""The most words of a caption below an image, which needs no full stop."""

_ITEM = r"(?:[-*+•]|\\(?=[-*])|\d{1,3}[.)]|[a-z][.)]|(?i:step|question|problem) (?:\d+|[a-z]+)\b[.:)]?)\s"
_FIRST = re.compile(r"\s*(?:(?:(?i:step|question|problem) )?1\b[.:)]?|(?i:step|question|problem) (?i:one|a)\b[.:)]?)\s")
_NUMBERED = re.compile(r"\s*(?:\d{1,3}|[a-z])[.)]\s")
_GOES_ON = re.compile(rf"\s*(?:{_ITEM}|[a-z]|[)}}\]>.,;])")
_CONTINUES = (
    r"however|but|and|or|also|then|next|instead|therefore|thus|hence|so|finally|similarly|likewise|moreover|furthermore"
    r"|for (?:example|instance)|in (?:contrast|addition|fact|other words)|as (?:discussed|mentioned|noted|a result|shown"
    r"|with)|again|now (?:that|suppose|imagine|consider|let|we|you|it)|because of (?:this|these)|if (?:so|not)|with similar"
)
_REFERS = (
    r"this|these|that|those|it|its|they|their|he|his|she|her|such|now|as (?:you|we)|in (?:this|these)|another|here|once"
    r"|the (?:following|above|same|second|third|next|other|figure|table|graph|diagram)|after (?:this|that|these)"
    r"|when (?:this|it|they)|of (?:this|these|those)|at (?:this|that)|during (?:this|that)|in one|having|there|note(?: that)?|while (?:this|that|it|they)|to (?:wrap up|continue|finish)|still|if you still"
)
_LEANS_BACK = re.compile(rf"\s*(?:{_CONTINUES}|{_REFERS})\b", re.I)
_SPEAKS_OF_ITSELF = re.compile(
    r"\s*(?:(?:in|on|throughout) )?(?:this|these|here) (?:\w+ )?(?:chapter|section|lesson|module|tutorial|guide|article|part|topic"
    r"|unit|page|document|walkthrough|activity|project|step|post|example|exercise|lab|course|is (?:how|a|an)|are)\b",
    re.I,
)
_RESULT = re.compile(r"(?:solution|discussion|answers?|results?)\b", re.I)
_ANNOUNCES = re.compile(
    r"\blet[’']s (?:get started|begin|start|go|discuss|look|consider|see|examine|turn|explore)\b[^.!?]*[.!?]?[\s*_]*$"
    r"|\b(?:this|the following|the next|these) (?:chapter|section|lesson|module|tutorial|guide|article|part|topic|unit"
    r"|figure|table|example|paragraph|video)s?\b[^.!?]*\b(?:will|shows?|explains?|covers?|describes?|demonstrates?|want"
    r" to)\b[^.!?]*[.!?]?[\s*_]*$"
    r"|\b(?:below|(?:next|subsequent|following) (?:chapter|section|lesson|step|paragraph)s?|later (?:on )?in this \w+)"
    r"[.!][\s*_]*$|\b(?:like|as) (?:this|follows)[.!]?[\s*_]*$",
    re.I,
)
"""The last sentence says that something follows. Knows English alone."""
_SENTENCE_ENDS = re.compile(r"[.!?…。！？](?:\[\d+\]|[\"'”’»)\]*_`|\s])*$")
_DEFINITE = {"the", "this", "that", "these", "those", "his", "her", "their", "its", "both", "all"}
_WHOLE = re.compile(
    r"\s*(?:```|\|.*\||\$\$|\[!code|{_item})".replace("{_item}", _ITEM)
)  # code, tables, formulas, lists


def goes_on(text: str) -> bool:
    """Whether a text continues what stands above it: an item of a list but the first, or a sentence.

    >>> goes_on("2. Sand it."), goes_on("1. Cut the board."), goes_on("and sand it.")
    (True, False, True)
    """
    return bool(_GOES_ON.match(text)) and not _FIRST.match(text)


def leans_back(text: str) -> bool:
    """Whether a text begins with a word that refers to what stands above it. Knows English alone.

    >>> leans_back("These boards are dry."), leans_back("Boards are dry.")
    (True, False)
    """
    return bool(_LEANS_BACK.match(text))


def knows(first: str, above: str, title: str) -> bool:
    """Whether a paragraph's first sentence speaks of what stands above it as known.

    It has a name or, behind an article or pronoun, a noun that is there, but not in the title. Knows English alone.

    >>> knows("The blockade was long.", "They planned a blockade.", "Berlin")
    True
    >>> knows("A blockade was long.", "They planned a blockade.", "Berlin")
    False
    """
    before, named = set(map(str.casefold, words(above))), set(map(str.casefold, words(title)))
    found = words(first)
    for at, word in enumerate(found):
        said = word.casefold() in before and word.casefold() not in named
        behind = {w.casefold() for w in found[max(at - 2, 0) : at]} & _DEFINITE
        if said and ((at and word[0].isupper()) or (behind and len(word) > 3)):
            return True
    return False


def leads_on(text: str) -> bool:
    """Whether the first text below a heading refers to what stands above the heading. Knows English alone.

    >>> leads_on("This option saws it."), leads_on("This chapter is about saws."), leads_on("A saw cuts.")
    (True, False, False)
    """
    return leans_back(text) and not _SPEAKS_OF_ITSELF.match(text)


_BYLINE = re.compile(r"\s*[*_]*(?:written |posted )?by:? \W*[A-Z]", re.I)


def boxed(segments: Sequence[Segment]) -> frozenset[int]:
    """The positions of all segments in boxes: from the box's heading to the next heading of its level or a higher one.

    So are a document's bylines. A box for teachers also ends before a paragraph of `LESSON_AGAIN` words, if it is not the first one: such boxes
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
            elif i < 4 and len(words(segment.text)) <= 12 and _BYLINE.match(segment.text):
                found.add(i)
        if kind:
            found.add(i)
    return frozenset(found)


def _is_lesson(text: str) -> bool:
    return not goes_on(text) and not text.lstrip().startswith("[") and len(words(text)) >= LESSON_AGAIN


def is_written(segments: Sequence[Segment]) -> bool:
    """Whether any text ends like a sentence. Where none does (captions, spoken steps), endings say nothing."""
    return any(isinstance(s, Text) and _SENTENCE_ENDS.search(s.text) for s in segments)


def ends(
    segments: Sequence[Segment], start: int, floor: int, boxed: Container[int], max_words: int, max_images: int
) -> Iterator[tuple[int, int]]:
    """(SECTION or SENTENCE, the end) of the longest excerpts from `start` within the limits: one of each that there is.

    Each ends where something is finished. None ends with a heading or has a segment of `boxed`, and none goes beyond a
    heading of a level above `floor`.
    """
    found: dict[int, int] = {}
    count = images = 0
    written = is_written(segments)
    level = next((above for s in reversed(segments[:start]) if (above := _level(s))), 0)
    numbered = False  # whether a list whose items are all "1." has begun below the last heading
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
        level, numbered = here or level, not here and (numbered or _is_first(segment))
        after = segments[i + 1] if i + 1 < len(segments) else None
        if here or (numbered and _is_first(after)):
            continue
        if grade := _finished(segments, i, level, boxed, written):
            found[grade] = i + 1
    yield from sorted(found.items(), reverse=True)


def _level(segment: Segment) -> int:
    """The level of a heading, 0 for all else."""
    return heading_level(segment.text) if isinstance(segment, Text) else 0


def _is_first(segment: Segment | None) -> bool:
    return isinstance(segment, Text) and bool(_FIRST.match(segment.text))


def _finished(segments: Sequence[Segment], last: int, level: int, boxed: Container[int], written: bool) -> int:
    """How finished an excerpt is that ends with the segment at `last`, below a heading of this level; 0: not at all."""
    segment, after = segments[last], segments[last + 1] if last + 1 < len(segments) else None
    if after is None:
        return SECTION
    said = next((s.text for s in reversed(segments[: last + 1]) if isinstance(s, Text)), "")
    if _ANNOUNCES.search(said) or (isinstance(segment, Text) and said.rstrip().endswith(":")):
        return 0
    if last + 1 in boxed:
        return SECTION
    if isinstance(after, Text) and (below := heading_level(after.text)):
        name = plain(after.text)
        if goes_on(name) or _RESULT.match(name):  # the next step, or the answer
            return 0
        return SENTENCE if below > level else SECTION
    if isinstance(after, Image):
        return SENTENCE if isinstance(segment, Image) else 0  # of several images for one text some may be left out
    if not written:
        return SENTENCE
    if (
        goes_on(after.text)
        or said.rstrip().endswith("?")
        or (said == getattr(segment, "text", "") and _NUMBERED.match(said))
    ):
        return 0
    if isinstance(segment, Image):
        return 0 if leans_back(after.text) else SENTENCE  # it may explain the image
    is_caption = last > 0 and isinstance(segments[last - 1], Image) and len(words(segment.text)) <= CAPTION
    done = is_caption or _WHOLE.match(segment.text) or _SENTENCE_ENDS.search(segment.text)
    return SENTENCE if done else 0
