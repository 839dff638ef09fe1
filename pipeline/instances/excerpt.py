"""The part of a document that becomes the instance.

Manuals and textbook chapters have thousands of words and dozens of images; the context of a model that trains on
interleaved sequences has space for a few images (Chameleon: 3 in 4,096 tokens). An excerpt is a sequence of whole
segments within the given numbers of words and images. It begins where a reader could begin: at the document's
beginning, at a heading or behind a box; headings that recur across the source's documents do not count. It ends where
something is finished (`pipeline/instances/ends.py`), and before a heading if it does not begin at one: a document's
title names all of it. It names nothing that came before and has all that it announces (`alone.py`), and it never has a
part of a box for teachers or about the book (`filters/headings.py`).
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import itertools
from collections.abc import Callable, Container, Iterator
from typing import Generic

from filters.drop_images import AnyDocument
from filters.headings import heading_key
from filters.words import plain
from pipeline.instances import alone, lost
from pipeline.instances.ends import LEAD, PARTS, SECTION, Form, begins_late, goes_on, in_the_middle, leads_on
from schemas.codec import mean_margin
from schemas.records import Coherence, Image, ScoredDocument, Text

FIRST = 3
"""The number of texts with which an excerpt begins: what these say is above is outside of it. This project's choice."""


@dataclasses.dataclass(frozen=True)
class _Limits:
    max_words: int
    max_images: int
    min_words: int
    whole_sections: bool = False


def excerpts(
    document: AnyDocument,
    *,
    max_words: int,
    max_images: int,
    min_words: int = 40,
    recurring: Container[bytes] = frozenset(),
) -> Iterator[AnyDocument]:
    """Every excerpt that starts at the beginning, at a heading or behind a box, in reading order.

    Each has at least `min_words` words and one image, and is as long as the limits allow; one that ends with a section
    comes before a longer one that does not. The title of the whole document and of its opening is the document's, of
    all others the nearest heading at the start or above it. Excerpts may overlap. recurring: the keys of the headings
    that do not count (`filters.headings`).
    """
    page = _Page(document, recurring)
    for _, excerpt in page.starting_at(page.beginnings(), _Limits(max_words, max_images, min_words)):
        yield excerpt


def best_excerpt(
    document: AnyDocument,
    *,
    max_words: int,
    max_images: int,
    min_words: int = 40,
    recurring: Container[bytes] = frozenset(),
    whole_sections: bool = False,
    fits: Callable[[AnyDocument], bool] = lambda _: True,
) -> AnyDocument | None:
    """The best excerpt; None if there is none.

    One that ends with a section, then the one with the most images, then the best mean coherence, then the earliest.
    recurring: as in `excerpts`. whole_sections: whether none may end within its section. fits: whether an excerpt comes
    into question.
    """
    page = _Page(document, recurring)
    found = page.starting_at(page.beginnings(), _Limits(max_words, max_images, min_words, whole_sections))

    def worth(graded: tuple[int, AnyDocument]) -> tuple[int, int, float]:
        grade, excerpt = graded
        matched = excerpt.coherence.matched if isinstance(excerpt, ScoredDocument) else ()
        coherence = round(sum(matched) / len(matched), 4) if matched else 0.0
        return grade, len(excerpt.images), coherence

    best = max((graded for graded in found if fits(graded[1])), key=worth, default=None)  # the first of equals
    return best[1] if best else None


def why_none(
    document: AnyDocument,
    *,
    max_words: int,
    max_images: int,
    min_words: int = 40,
    recurring: Container[bytes] = frozenset(),
    whole_sections: bool = False,
) -> str:
    """Why `best_excerpt` finds nothing in a document, for its ledger row: the first cause of these that holds."""
    if not document.images:
        return "it has no image"
    page = _Page(document, recurring)
    if not (shortest := page.shortest(min_words)):
        return f"no part with an image has {min_words:,} words, which excerpt.min_words asks for"
    if shortest > max_words:
        return f"the shortest part with an image has {shortest:,} words, and excerpt.max_words is {max_words:,}"
    limits = _Limits(max_words, max_images, min_words, whole_sections)
    if any(page.starting_at(page.beginnings(), limits)):
        return "no part is as coherent as documents must be"
    return "no part within the limits of excerpt is finished, and has all that it speaks of"


class _Page(Generic[AnyDocument]):
    """A document, its form, and the headings of its own that do not recur (its titles)."""

    def __init__(self, document: AnyDocument, recurring: Container[bytes]) -> None:
        self.document, self.segments = document, document.segments

        def recurs(heading: str) -> bool:
            return heading_key(document.source, heading) in recurring

        self.form = Form.of(self.segments, recurs)
        self.texts = [(i, s.text) for i, s in enumerate(self.segments) if isinstance(s, Text)]
        self.titles = {
            i: text for i, text in self.texts if self.form.levels[i] and i not in self.form.boxed and not recurs(text)
        }

        self.headings = sorted(self.titles)
        # A text is in many excerpts.
        self._refers_back = functools.cache(alone.refers_back)
        self._announces_section = functools.cache(alone.announces_section)
        self._announces_several = functools.cache(alone.announces_several)
        self._announces_later = functools.cache(alone.announces_later)
        self._lost_code = functools.cache(lost.code)
        self._points_to_video = functools.cache(alone.points_to_video)
        self._leads_elsewhere = functools.cache(alone.leads_elsewhere)
        self._of_the_book = functools.cache(alone.of_the_book)
        self._heading = functools.cache(lambda i: plain(self._text(i)))
        self.images = [i for i, s in enumerate(self.segments) if isinstance(s, Image)]

    def beginnings(self) -> list[int]:
        """The document's beginning, the headings that do not recur, and what follows a box.

        No heading of a later step, and none whose text refers to what stands above.
        """
        boxed, levels = self.form.boxed, self.form.levels
        behind = {
            i
            for i, text in self.texts
            if i - 1 in boxed and not levels[i] and self._is_first(i) and not in_the_middle(text)
        }
        headings = {
            i
            for i, text in self.titles.items()
            if not goes_on(plain(text))
            and not (alone.is_tab(text) or alone.is_step(text))
            and not (leads_on(self._below(i)) or lost.subject(self._below(i)))
            and not begins_late(self._text(i + 1))
        }
        is_cut = in_the_middle(next((text for i, text in self.texts if not levels[i]), ""))
        return sorted((headings | behind | (set() if is_cut else {0})) - boxed)

    def starting_at(self, starts: list[int], limits: _Limits) -> Iterator[tuple[int, AnyDocument]]:
        """(how finished it is, the excerpt) for these starts: those that have an image and enough words."""
        for start in starts:
            for grade, stop in self.form.ends(start, limits.max_words, limits.max_images):
                if self.form.written and not self._is_finished(start, stop, grade, limits.whole_sections):
                    continue
                enough = sum(self.form.counts[start:stop]) >= limits.min_words
                illustrated = any(isinstance(s, Image) for s in self.segments[start:stop])
                if enough and illustrated and self._alone(start, stop, grade):
                    yield grade, self._excerpt(start, stop)

    def _is_finished(self, start: int, stop: int, grade: int, whole_sections: bool) -> bool:
        """Whether an excerpt ends late enough for what its title names; a document's title names all of it."""
        if not self._is_section(start):
            is_opening = grade == LEAD and not any(self.form.levels[start + 1 : stop])
            return is_opening or self.form.ends_with_document(stop)
        return grade == SECTION or (not whole_sections and (grade >= PARTS or start in self.titles))

    def _is_section(self, start: int) -> bool:
        """Whether a heading of the document's own names what begins here, and not the document's title."""
        return bool(self.headings) and self.headings[0] <= start and (start > 0 or self.form.has_siblings)

    def shortest(self, min_words: int) -> int:
        """The words of the shortest part that has an image and enough words, wherever it ends; 0 if there is none."""
        found, sums = [], [0, *itertools.accumulate(self.form.counts)]
        for start in {0, *self.beginnings()}:
            below = bisect.bisect_left(self.images, start)
            if below < len(self.images):
                stop = max(bisect.bisect_left(sums, sums[start] + min_words), self.images[below] + 1)
                if stop <= len(self.segments):
                    found.append(sums[stop] - sums[start])
        return min(found, default=0)

    def _alone(self, start: int, stop: int, grade: int) -> bool:
        """Whether the texts of an excerpt name nothing that came before it, and it has all that they announce."""
        texts = [s.text for s in self.segments[start:stop] if isinstance(s, Text)]
        if any(map(self._refers_back, texts)) or any(map(alone.refers_above, texts[:FIRST])):
            return False
        headings = [i for i in range(start, stop) if self.form.levels[i]]
        if (
            any(map(self._lost_code, texts))
            or any(map(self._points_to_video, texts))
            or any(map(self._of_the_book, texts))
            or any(map(self._leads_elsewhere, texts))
            or any(self._lost_formula(i) for i in range(start, stop - 1))
            or self._lost_parts(start, stop)
            or alone.lacks_solution(list(map(self._heading, headings)))
        ):
            return False
        last = range(headings[-1] if headings else start, stop)
        if stop < len(self.segments) and any(self._announces_later(self._text(i)) for i in last):
            return False
        if stop < len(self.segments) and any(map(alone.announces_all, texts[: 2 * FIRST])):
            return False
        if grade == PARTS and any(map(self._announces_several, texts)):
            return False
        return grade == SECTION or not (any(map(self._announces_section, texts)) or self._stops_short(start, stop))

    def _stops_short(self, start: int, stop: int) -> bool:
        """Whether an excerpt that ends within its section tells some of the things that it names, and not all."""
        told = list(map(self._text, self._told(start, stop)))
        whole = "\n".join(told)
        return (
            alone.leaves_out(self._title(start, stop), whole)
            or alone.lists_and_stops(whole)
            or alone.counts_and_stops(told)
        )

    def _is_first(self, at: int) -> bool:
        """Whether nothing but boxes stands between a text and the heading above it."""
        above = next((i for i in range(at - 1, -1, -1) if i not in self.form.boxed), -1)
        return above < 0 or bool(self.form.levels[above])

    def _below(self, heading: int) -> str:
        """The text below a heading, if nothing but images stands between."""
        return next((s.text for s in self.segments[heading + 1 :] if isinstance(s, Text)), "")

    def _lost_formula(self, at: int) -> bool:
        """Whether a formula should stand below the text at `at`, and does not."""
        return not self.form.levels[at] and lost.formula(self._text(at), self._text(at + 1))

    def _lost_parts(self, start: int, stop: int) -> bool:
        """Whether a table has become lines, a quiz lacks its answers, or an image is announced that does not come."""
        told = self._told(start, stop)
        body = list(map(self._text, told))
        illustrated = any(told[:1] < [i] < told[3:4] for i in self.images)  # captions are no cells
        last_image = max((i for i in self.images if i < stop), default=start)
        behind = [self._text(i) for i in range(last_image + 1, stop)]
        return (not illustrated and lost.table(body)) or lost.answers(body) or lost.picture(behind)

    def _told(self, start: int, stop: int) -> list[int]:
        """The positions of an excerpt's texts that are no headings."""
        return [i for i in range(start, stop) if self._text(i) and not self.form.levels[i]]

    def _text(self, at: int) -> str:
        segment = self.segments[at] if at < len(self.segments) else None
        return segment.text if isinstance(segment, Text) else ""

    def _excerpt(self, start: int, stop: int) -> AnyDocument:
        document = self.document
        title = self._title(start, stop)
        part_of = document.title if title != document.title else ""
        excerpt = dataclasses.replace(document, segments=self.segments[start:stop], title=title, part_of=part_of)
        if isinstance(excerpt, ScoredDocument):
            first = bisect.bisect_left(self.images, start)
            scores = _part(excerpt.coherence, first, first + len(excerpt.images))
            excerpt = dataclasses.replace(excerpt, coherence=scores)
        return excerpt

    def _title(self, start: int, stop: int) -> str:
        """The document's title for all of it and for its opening, otherwise its nearest own heading at or above the start."""
        if not self._is_section(start) or (start == 0 and self.form.ends_with_document(stop)):
            return self.document.title
        nearest = bisect.bisect_right(self.headings, start) - 1
        own = plain(self.titles[self.headings[nearest]])
        return own or self.document.title


def _part(coherence: Coherence, start: int, stop: int) -> Coherence:
    """The scores of the images from `start` to `stop`, with their margin; the first of them has no earlier image."""
    matched, mismatched = coherence.matched[start:stop], coherence.mismatched[start:stop]
    margin = None
    if coherence.margin is not None and matched:
        margin = mean_margin(matched, mismatched)
    similarity = (-1.0,) * bool(matched) + coherence.max_previous_similarity[start + 1 : stop]
    return dataclasses.replace(
        coherence, matched=matched, mismatched=mismatched, margin=margin, max_previous_similarity=similarity
    )
