"""The part of a document that becomes the instance.

Manuals and textbook chapters have thousands of words and dozens of images; the context of a model that trains on
interleaved sequences has space for a few images (Chameleon: 3 in 4,096 tokens). An excerpt is a sequence of whole
segments within the given numbers of words and images. It begins where a reader could begin: at the document's beginning
or at a heading; headings that recur across the source's documents do not count. If no such excerpt has an image,
because the first image is too far below its heading, it begins at a paragraph that continues nothing. It ends where
something is finished (`pipeline/instances/ends.py`), names nothing that came before and has all that it announces
(`alone.py`), and it never has a part of a box for teachers or about the book (`filters/headings.py`).
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import re
from collections.abc import Callable, Container, Iterator
from typing import Generic

from filters.drop_images import AnyDocument
from filters.headings import heading_key
from filters.words import plain, sentences, words
from pipeline.instances import alone
from pipeline.instances.ends import SECTION, Form, goes_on, in_the_middle, knows, leads_on, leans_back
from schemas.codec import mean_margin
from schemas.records import Coherence, Image, ScoredDocument, Text

FIRST = 3
"""The number of texts with which an excerpt begins: what these say is above is outside of it. This project's choice."""
_PROSE = re.compile(r"\s*[\"'“‘«(¿¡*_]*[^\W\d_a-z]\S*\s(?:\s*\S+\s){10}")
"""A paragraph of prose: it begins with a letter, and not a small one, and has at least twelve words."""


@dataclasses.dataclass(frozen=True)
class _Limits:
    max_words: int
    max_images: int
    min_words: int


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
    comes before a longer one that does not. The title of an excerpt that does not start at the beginning is its first
    heading. Excerpts may overlap. recurring: the keys of the headings that do not count (`filters.headings`).
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
    fits: Callable[[AnyDocument], bool] = lambda _: True,
) -> AnyDocument | None:
    """The best excerpt; None if there is none.

    One that ends with a section, then the one with the most images, then the best mean coherence, then the earliest.
    Only if no excerpt starts at a heading, one may start at a paragraph, unless that continues a list or a sentence or
    refers to what came before. Its title is the nearest heading above. recurring: as in `excerpts`. fits: whether an
    excerpt comes into question.
    """
    page, limits = _Page(document, recurring), _Limits(max_words, max_images, min_words)
    found: list[tuple[int, AnyDocument]] = []
    for starts in (page.beginnings(), page.paragraphs()):
        found = found or list(page.starting_at(starts, limits))

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
) -> str:
    """Why `best_excerpt` finds nothing in a document, for its ledger row: the first cause of these that holds."""
    if not document.images:
        return "it has no image"
    page = _Page(document, recurring)
    if not (shortest := page.shortest(min_words)):
        return f"no part with an image has {min_words:,} words, which excerpt.min_words asks for"
    if shortest > max_words:
        return f"the shortest part with an image has {shortest:,} words, and excerpt.max_words is {max_words:,}"
    if best_excerpt(document, max_words=max_words, max_images=max_images, min_words=min_words, recurring=recurring):
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
        cached = (alone.refers_back, alone.announces_section, alone.announces_later, alone.lost_code)
        self._refers_back, self._announces_section, self._announces_later, self._lost_code = map(
            functools.cache, cached
        )
        self._heading = functools.cache(lambda i: plain(self._text(i)))
        self.images = [i for i, s in enumerate(self.segments) if isinstance(s, Image)]

    def beginnings(self) -> list[int]:
        """The document's beginning, the headings that do not recur, and what follows a box.

        No heading of a later step, and none whose text refers to what stands above.
        """
        boxed, levels = self.form.boxed, self.form.levels
        behind = {i for i, text in self.texts if i - 1 in boxed and not levels[i] and not in_the_middle(text)}
        headings = {
            i for i, text in self.titles.items() if not goes_on(plain(text)) and not leads_on(self._text(i + 1))
        }
        is_cut = any(not levels[i] and in_the_middle(text) for i, text in self.texts[:1])
        return sorted((headings | behind | (set() if is_cut else {0})) - boxed)

    def paragraphs(self) -> list[int]:
        """The texts that are prose and do not refer to what came before."""
        found: list[int] = []
        above: set[str] = set()
        for i, text in self.texts:
            inside = self.form.levels[i] or i in self.form.boxed
            prose = not self.form.written or (_PROSE.match(text) and not goes_on(text) and not leans_back(text))
            first = _first_sentence(text)
            if prose and not inside and not alone.presumes(first) and not knows(first, above, self.document.title):
                found.append(i)
            above.update(map(str.casefold, words(text)))
        return found

    def starting_at(self, starts: list[int], limits: _Limits) -> Iterator[tuple[int, AnyDocument]]:
        """(how finished it is, the excerpt) for these starts: those that have an image and enough words."""
        for start in starts:
            for grade, stop in self.form.ends(start, limits.max_words, limits.max_images):
                enough = sum(self.form.counts[start:stop]) >= limits.min_words
                illustrated = any(isinstance(s, Image) for s in self.segments[start:stop])
                if enough and illustrated and self._alone(start, stop, grade):
                    yield grade, self._excerpt(start, stop)

    def shortest(self, min_words: int) -> int:
        """The words of the shortest part that has an image and enough words, wherever it ends; 0 if there is none."""
        found = []
        for start in {0, *self.beginnings(), *self.paragraphs()}:
            count = images = 0
            for i in range(start, len(self.segments)):
                count += self.form.counts[i]
                images += isinstance(self.segments[i], Image)
                if images and count >= min_words:
                    found.append(count)
                    break
        return min(found, default=0)

    def _alone(self, start: int, stop: int, grade: int) -> bool:
        """Whether the texts of an excerpt name nothing that came before it, and it has all that they announce."""
        texts = [s.text for s in self.segments[start:stop] if isinstance(s, Text)]
        if any(map(self._refers_back, texts)) or any(map(alone.refers_above, texts[:FIRST])):
            return False
        headings = [i for i in range(start, stop) if self.form.levels[i]]
        if any(map(self._lost_code, texts)) or alone.lacks_solution(list(map(self._heading, headings))):
            return False
        last = range(headings[-1] if headings else start, stop)
        if stop < len(self.segments) and any(self._announces_later(self._text(i)) for i in last):
            return False
        if stop < len(self.segments) and any(map(alone.announces_all, texts[: 2 * FIRST])):
            return False
        return grade == SECTION or not any(map(self._announces_section, texts))

    def _text(self, at: int) -> str:
        segment = self.segments[at] if at < len(self.segments) else None
        return segment.text if isinstance(segment, Text) else ""

    def _excerpt(self, start: int, stop: int) -> AnyDocument:
        document = self.document
        title = self._title(start)
        part_of = document.title if title != document.title else ""
        excerpt = dataclasses.replace(document, segments=self.segments[start:stop], title=title, part_of=part_of)
        if isinstance(excerpt, ScoredDocument):
            first = bisect.bisect_left(self.images, start)
            scores = _part(excerpt.coherence, first, first + len(excerpt.images))
            excerpt = dataclasses.replace(excerpt, coherence=scores)
        return excerpt

    def _title(self, start: int) -> str:
        """The document's title at its beginning, otherwise the nearest of its own headings at the start or above it."""
        nearest = bisect.bisect_right(self.headings, start) - 1
        own = plain(self.titles[self.headings[nearest]]) if start and nearest >= 0 else ""
        return own or self.document.title


def _first_sentence(text: str) -> str:
    return next(iter(sentences(plain(text[:2000]))), "")


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
