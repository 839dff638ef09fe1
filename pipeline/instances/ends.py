"""Where an excerpt may begin and end: what goes on, what leans back, what is finished, and what belongs to a box."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator, Sequence

from filters.headings import box, perhaps_box
from filters.words import heading_level, plain, words
from pipeline.instances.alone import of_the_course
from schemas.records import Image, Segment, Text

SECTION, LEAD, PARTS, SENTENCE = 4, 3, 2, 1
"""How finished an excerpt is: it ends with its section, before the first part of it, with some of its parts, or sooner."""
LESSON_AGAIN = 60
"""The words of a paragraph with which the lesson goes on below a box for teachers, whose own are shorter (our choice)."""
CAPTION = 30
"""The most words of a caption below an image, which needs no full stop."""
MOST_SEGMENTS = 200
"""The most segments of an excerpt: those without words count for no other limit."""
_TAIL = 400  # characters: of a longer text only so many are searched for what its last sentence announces

_NUMBER = r"(?:\d+|[a-z]|(?i:one|two|three|four|five|six|seven|eight|nine|ten))"
_LATER = r"(?i:task|part|option|phase|method) (?:[2-9]|\d\d+|[b-zB-Z])\b(?:[.:)]|\s*$|\s+[-–—])"
_ITEM = (
    r"(?:(?:[-*+•]|\\(?=[-*])|\d{1,3}[.)]|[a-z][.)]|(?i:step|question|problem) "
    rf"{_NUMBER}\b[.:)]?)(?:\s|$)|{_LATER})"
)
_FIRST = re.compile(r"\s*(?:(?i:step|question|problem) (?i:1|one|a)|1)\b[.:)]?(?:\s|$)")
_LATE = re.compile(r"\s*(?:(?i:step|question|problem) (?!0?[01]\b)\d{1,3}\b|(?!0?[01]\b)\d{1,3}[.)](?:\s|$))")
_NUMBERED = re.compile(r"\s*(?:\d{1,3}|[a-z])[.)]\s")
_GOES_ON = re.compile(rf"\s*(?:{_ITEM}|[a-z]|[)}}\]>.,;])")
_FROM_AFAR = (
    r"however|but|last but not least|also|therefore|thus|hence|finally|similarly|likewise|moreover|furthermore|secondly|thirdly"
    r"|(?:second|third|fourth|fifth)(?=,)|for (?:example|instance)|in (?:contrast|addition|other words)"
    r"|as (?:discussed|mentioned|noted|a result|(?:the|our) \w+ (?:suggest|show)s?)|just as|to test (?:this|that|it|these)|one (?:final|last|more) thing"
    r"|the task is (?:complete|done)|the (?:\w+ )?reasons? for (?:this|that|these)|\w+ (?:can )?also"
)
_CONTINUES = (
    rf"{_FROM_AFAR}|and|or|then|next|instead|so|in fact|as (?:shown|with)|again"
    r"|now (?:that|suppose|imagine|consider|let|we|you|it)|(?:because of|based on) (?:this|these)|if (?:so|not)|with similar"
)
_REFERS = (
    r"this|these|that|those|it|its|they|their|he|his|she|her|such|now|as (?:you|we)|in (?:this|these)|another|here"
    r"|once|the (?:following|above|same|second|third|next|other|figure|table|graph|diagram)|after (?:this|that|these)"
    r"|when (?:this|it|they)|of (?:this|these|those)|at (?:this|that)|during (?:this|that)|in one|having|there"
    r"|an example of (?:this|these|that)|note(?: that)?|notice|while (?:this|that|it|they)"
    r"|to (?:wrap up|continue|finish)|still|if you still"
)
_CUT = re.compile(rf"\s*(?:{_FROM_AFAR})\b", re.I)
_LEANS_BACK = re.compile(rf"\s*(?:{_CONTINUES}|{_REFERS})\b", re.I)
_SPEAKS_OF_ITSELF = re.compile(
    r"\s*(?:(?:in|on|throughout) )?(?:this|these|here) (?:\w+ )?(?:chapter|section|lesson|module|tutorial|guide"
    r"|article|part|topic|unit|page|document|walkthrough|activity|project|step|post|example|exercise|lab|course"
    r"|is (?:how|a|an)|are)\b",
    re.I,
)
_RESULT = re.compile(r"(?:strategy|solution|discussion|answers?|results?)\b", re.I)
_ANNOUNCES = re.compile(
    r"\blet(?:[’']s| us) (?:get started|(?:\w+ )?(?:begin|start|go|discuss|look|consider|see|examine|think|turn|explore))\b"
    r"[^.!?]*[.!?]?[\s*_]*$|\b(?:we|you)(?:[’']re| are) (?:now )?ready to\b[^.!?]*[.!?]?[\s*_]*$"
    r"|\b(?:this|the following|the next|these) (?:chapter|section|lesson|module|tutorial|guide|article|part|topic|unit"
    r"|figure|table|example|paragraph|video)s?\b[^.!?]*\b(?:will|shows?|explains?|covers?|describes?|demonstrates?|want"
    r" to)\b[^.!?]*[.!?]?[\s*_]*$|\b(?:below|(?:next|subsequent|following) \[?(?:chapter|section|lesson|step|paragraph)s?"
    r"|later (?:on )?in this \w+)(?:\]\([^()\s]*\))?[.!][\s*_]*$|\b(?:read|see|watch) the following\b[^.!?]*[.!?]?[\s*_]*$"
    r"|\bwe(?:['’]ll| will| shall) (?:see|discuss|explore|look|examine)\b[^.!?]*\b(?:below|later|next|following)\b[^.!?]*"
    r"[.!?]?[\s*_]*$|\b(?:like|as) (?:this|follows)[.!]?[\s*_]*$|\bnow we(?:['’]ll| will| shall) [^.!?]*[.!?]?[\s*_]*$",
    re.I,
)
"""The last sentence says that something follows. Knows English alone."""
_NOTHING_COMES = re.compile(r":$|\bthe following(?: [\w-]+){1,5}\.?$", re.I)
_SENTENCE_ENDS = re.compile(r"[.!?…。！？](?:\[\d+\]|[\"'”’»)\]*_`|\s])*$")
_WHOLE = re.compile(r"\s*(?:```|\||\$\$|\[!code|" + _ITEM + ")")  # code, tables, formulas, lists
_BYLINE = re.compile(r"\s*[*_]*(?:written |posted )?by:? \W{0,9}[A-Z]", re.I)


def goes_on(text: str) -> bool:
    """Whether a text continues what stands above it: an item of a list but the first, or a sentence.

    >>> goes_on("2. Sand it."), goes_on("1. Cut the board."), goes_on("and sand it.")
    (True, False, True)
    """
    return bool(_GOES_ON.match(text)) and not _FIRST.match(text)


def breaks_in(text: str) -> bool:
    """Whether a text, no item of a list, begins with a small letter or a closing mark.

    >>> breaks_in("and sand it."), breaks_in("2. Sand it."), breaks_in("b) Sand it.")
    (True, False, False)
    """
    return bool(_GOES_ON.match(text)) and not _WHOLE.match(text)


def leans_back(text: str) -> bool:
    """Whether a text begins with a word that refers to what stands above it. Knows English alone.

    >>> leans_back("These boards are dry."), leans_back("Boards are dry.")
    (True, False)
    """
    return bool(_LEANS_BACK.match(text))


def in_the_middle(text: str) -> bool:
    """Whether a document that begins so was cut from a longer one. Knows English alone.

    >>> in_the_middle("Third, the boards are dry."), in_the_middle("This guide is about boards.")
    (True, False)
    """
    return bool(_CUT.match(text))


def leads_on(text: str) -> bool:
    """Whether the first text below a heading refers to what stands above the heading. Knows English alone.

    >>> leads_on("This option saws it."), leads_on("This chapter is about saws."), leads_on("A saw cuts.")
    (True, False, False)
    """
    return leans_back(text) and not _SPEAKS_OF_ITSELF.match(text)


def begins_late(text: str) -> bool:
    """Whether a text is a numbered item of a list, but not the first.

    >>> begins_late("6. Sand it."), begins_late("## Step 2"), begins_late("1. Cut the board."), begins_late("- Sand it.")
    (True, True, False, False)
    """
    return bool(_LATE.match(text.lstrip("#")))


def boxed(segments: Sequence[Segment], recurs: Callable[[str], bool] = lambda _: False) -> frozenset[int]:
    """The positions of all segments in boxes: from the box's heading to the next heading of its level or a higher one.

    A box for teachers also ends before a paragraph of `LESSON_AGAIN` words, if it is not the first one: the text around
    it goes on without a heading. A document's byline is a box too, and so is a paragraph about the course. A heading that may be a lesson's ("Exercises") begins a box if it recurs across the
    source, or if nothing but boxes and no image follow it.
    """
    found = set()
    last = _last_boxes(segments)
    kind, level, began = "", 0, 0
    for i, segment in enumerate(segments):
        if isinstance(segment, Text):
            here = heading_level(segment.text)
            if here and (not kind or here <= level):
                kind, level, began = box(segment.text), here, i
                if not kind and (perhaps := perhaps_box(segment.text)) and (i >= last or recurs(segment.text)):
                    kind = perhaps
            elif kind == "teaching" and i > began + 1 and _is_lesson(segment.text):
                kind = ""
            elif of_the_course(segment.text) or (
                i < 4 and len(words(segment.text)) <= 12 and _BYLINE.match(segment.text)
            ):
                found.add(i)
        if kind:
            found.add(i)
    return frozenset(found)


def _last_boxes(segments: Sequence[Segment]) -> int:
    """Where the document's last boxes begin, taking every heading for a box that may be one; they have no image."""
    found, highest = len(segments), 9
    for i in range(len(segments) - 1, -1, -1):
        segment = segments[i]
        if isinstance(segment, Image):
            break
        if (level := heading_level(segment.text)) and not (box(segment.text) or perhaps_box(segment.text)):
            highest = min(highest, level)
        elif level:
            if level >= highest:  # a lesson follows
                break
            found, highest = i, 9
    return found


def _is_lesson(text: str) -> bool:
    return not goes_on(text) and not text.lstrip().startswith("[") and len(words(text)) >= LESSON_AGAIN


@dataclasses.dataclass(frozen=True)
class Form:
    """What the segments of a document are, position by position.

    levels: of headings, 0 for all else. sections: the level of the nearest heading at a position or above it. counts:
    of words. boxed: the positions in boxes. has_siblings: whether the first segment is a heading, and another of its
    level or a higher one follows, but no box's. written: whether any text ends like a sentence; else endings and small
    letters say nothing (captions, spoken steps).
    """

    segments: Sequence[Segment]
    levels: Sequence[int]
    sections: Sequence[int]
    counts: Sequence[int]
    boxed: frozenset[int]
    has_siblings: bool
    written: bool

    @classmethod
    def of(cls, segments: Sequence[Segment], recurs: Callable[[str], bool] = lambda _: False) -> Form:
        """The form of these segments; recurs: whether a heading recurs across the document's source."""
        texts = [s.text if isinstance(s, Text) else "" for s in segments]
        levels = [heading_level(text) for text in texts]
        sections: list[int] = []
        for level in levels:
            sections.append(level or (sections[-1] if sections else 0))
        written = any(ends_like_a_sentence(text) for text in texts)
        inside = boxed(segments, recurs)
        siblings = any(0 < level <= levels[0] for i, level in enumerate(levels) if i and i not in inside)
        return cls(segments, levels, sections, [len(words(text)) for text in texts], inside, siblings, written)

    def ends(self, start: int, max_words: int, max_images: int) -> Iterator[tuple[int, int]]:
        """(how finished, the end) of the longest excerpts from `start` within the limits: one of each there is.

        Each ends where something is finished. None ends with a heading or has a part of a box. One stays in the section
        in which it starts, which its title names, unless it is the whole document.
        """
        floor = 1 if start == 0 and not self.has_siblings else self.sections[start] + 1
        left = False  # whether it has left that section: only the whole document will do
        found: dict[int, int] = {}
        count = images = 0
        bare = False  # whether nothing but images stands below the last heading
        numbered = False  # whether a list whose items are all "1." has begun below the last heading
        for i in range(start, min(len(self.segments), start + MOST_SEGMENTS)):
            segment, level = self.segments[i], self.levels[i]
            images += isinstance(segment, Image)
            count += self.counts[i]
            left = left or (i > start and 0 < level < floor)
            if images > max_images or count > max_words or i in self.boxed or (left and start):
                break
            bare = bool(level) or (bare and isinstance(segment, Image))
            numbered = not level and (numbered or _is_first(segment))
            goes_on_below = numbered and i + 1 < len(self.segments) and _is_first(self.segments[i + 1])
            untold = bare and self.written and i + 1 < len(self.segments) and not self.levels[i + 1]
            if level or untold or goes_on_below or (left and not self.ends_with_document(i + 1)):
                continue
            if grade := self._finished(start, i):
                found[grade] = i + 1
        yield from sorted(found.items(), reverse=True)

    def ends_with_document(self, stop: int) -> bool:
        """Whether nothing but boxes follows from `stop` on."""
        return self._behind_box(stop) == len(self.segments)

    def _behind_box(self, at: int) -> int:
        return next(i for i in itertools.count(at) if i not in self.boxed)

    def _finished(self, start: int, last: int) -> int:
        """How finished an excerpt is from the segment at `start` to that at `last`; 0: not at all."""
        if last + 1 == len(self.segments):
            return SECTION
        segment, after = self.segments[last], self.segments[last + 1]
        said = next((s.text for s in reversed(self.segments[max(last - 9, 0) : last + 1]) if isinstance(s, Text)), "")
        quoting = said.count("“") > said.count("”")
        said = said.rstrip()[-_TAIL:]
        asks = self.written and said.endswith("?")
        if quoting or asks or _ANNOUNCES.search(said) or (isinstance(segment, Text) and _NOTHING_COMES.search(said)):
            return 0
        if self.ends_with_document(last + 1):
            return SECTION
        below = self._behind_box(last + 1)
        if self.levels[below]:
            heading = self.segments[below]
            name = plain(heading.text) if isinstance(heading, Text) else ""
            if goes_on(name) or _RESULT.match(name):  # the next step, or the answer
                return 0
            if self.levels[below] <= self.sections[start]:
                return SECTION
            return PARTS if any(self.levels[start + 1 : last]) else LEAD
        if below > last + 1:  # a box in the middle of a text
            return LEAD
        if isinstance(after, Image):
            return SENTENCE if isinstance(segment, Image) else 0  # of several images for one text some may be left out
        if not self.written:
            return SENTENCE
        if goes_on(after.text):
            return 0
        if isinstance(segment, Image):  # what follows may explain it, or go on with the text above it
            return 0 if leans_back(after.text) or self._breaks_off(last - 1) else SENTENCE
        if _NUMBERED.match(segment.text):  # what follows may belong to the item
            return 0
        is_caption = last > 0 and isinstance(self.segments[last - 1], Image) and self.counts[last] <= CAPTION
        return SENTENCE if is_caption or _WHOLE.match(segment.text) or ends_like_a_sentence(segment.text) else 0

    def _breaks_off(self, at: int) -> bool:
        """Whether the segment is a paragraph, longer than a caption, that ends in the middle of a sentence."""
        segment = self.segments[max(at, 0)]
        if not isinstance(segment, Text) or self.levels[at] or self.counts[at] <= CAPTION:
            return False
        return not (
            _WHOLE.match(segment.text) or ends_like_a_sentence(segment.text) or segment.text.rstrip()[-1:] == ":"
        )


def ends_like_a_sentence(text: str) -> bool:
    return bool(_SENTENCE_ENDS.search(text[-_TAIL:]))


def _is_first(segment: Segment) -> bool:
    return isinstance(segment, Text) and bool(_FIRST.match(segment.text))
