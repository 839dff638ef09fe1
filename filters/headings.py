"""Headings that are no beginning of a lesson: those that recur across a source's documents, and those of boxes.

A heading that recurs ("Summary", "Configuration") says nothing about a single document. A box speaks of the book, to
teachers, or of what the reader may do afterwards ("About the authors", "Teacher support", "Review questions").
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

from filters.words import is_heading, plain
from schemas.records import Document

RECURS = 5
"""The number of documents of a source from which a heading recurs: this project's choice.

In the development corpus (1,512 documents), 161 of 7,143 headings do.
"""

_OF_TEACHING = re.compile(
    r"(teacher|instructor|facilitat\w+|teaching)( support| notes?| guide| resources?)?|suggested sequencing"
    r"|standards|(section |chapter )?(learning |student )?(objectives?|outcomes?)"
    r"|(section |chapter |learning |student )+goals?|prior knowledge"
    r"|in this (chapter|section)|.*\bquiz(zes)?( questions?| answers?)?|.*\banswer key|knowledge check"
    r"|check your (understanding|knowledge)|concept items|test prep\b.*|performance task|practice problems|self[- ]check"
    r"|(ap |unit |chapter )*((free|extended|short) response|multiple choice|review|practice|self-check"
    r"|critical thinking|comprehension|sourcing|historical reasoning|discussion|study|essay)? ?questions?"
    r"|critical thinking|full text|source links?|questions for each level of learning|answers?( to .*)?"
    r"|review & self[- ]study|🚀 challenge|project goal|duration ?: .*|educator materials\b.*|~ ?(alert|hint|reminder)"
)
_PERHAPS_OF_TEACHING = re.compile(r"assignments?|challenges?|exercises?|homework|problems")
_OF_THE_BOOK = re.compile(
    r"about (the |this |our )?(authors?|book|series|contributors?|publisher|openstax\b.*)"
    r"|(senior |contributing )*(authors?|reviewers?|contributors?)|(senior |contributing )+editors?|acknowledge?ments?|preface|foreword"
    r"|errata|credits|copyright\b.*|licen[cs]e|attributions?|references|bibliography|works cited|further reading"
    r"|see also|related (links|topics|articles|pages|content|resources)|(external|useful) links"
    r"|primary sources"
    r"|(additional|suggested|student and instructor|more|other) (chapter )?(resources|reading|information)"
    r"|(table of )?contents|on this page|next (steps?|up|topic)|previous( topic)?"
    r"|glossary|changelog|change log|release notes|version history|technology partners"
    r"|community hubs|pedagogical foundation|coverage and scope|updated art|key terms"
    r"|section key terms|academic integrity|ideas for mods|share this( page)?|subscribe\b.*|newsletter"
    r"|contribut(e|ing)|support us|donate|contact(ing)? (us|support)|feedback on (the|this|our) documentation"
)
_PERHAPS_OF_THE_BOOK = re.compile(
    r"comments?|compatibility|customization|editors|feedback|index|links|navigation|resources|sources"
)
"""These are subjects too: of exercises for the back, links in HTML, comments in Python."""


def box(text: str) -> str:
    """The kind of the box that this heading begins: `teaching` or `book`; empty for a heading of a lesson.

    Known by a list of English names, which is this project's choice.

    >>> box("## Teacher Support"), box("# About the Authors"), box("## Teacher training in Ghana")
    ('teaching', 'book', '')
    """
    return _kind(text, _OF_TEACHING, _OF_THE_BOOK)


def perhaps_box(text: str) -> str:
    """The kind of the box that a heading may begin which is as often one of a lesson; empty for all others.

    >>> perhaps_box("## Exercises"), perhaps_box("## Links"), perhaps_box("## Links in HTML"), box("## Links")
    ('teaching', 'book', '', '')
    """
    return _kind(text, _PERHAPS_OF_TEACHING, _PERHAPS_OF_THE_BOOK)


def _kind(text: str, teaching: re.Pattern[str], book: re.Pattern[str]) -> str:
    name = _name(text[:200]).strip(" :.")
    return "teaching" if teaching.fullmatch(name) else "book" if book.fullmatch(name) else ""


def heading_key(source: str, text: str) -> bytes:
    """Eight bytes that are equal for the same heading of the same source, whatever its level, case and spaces.

    >>> heading_key("s", "## Key  terms") == heading_key("s", "# key terms") != heading_key("t", "# key terms")
    True
    """
    return hashlib.blake2b(f"{source}\0{_name(text)}".encode(), digest_size=8).digest()


def _name(text: str) -> str:
    """The words of a heading, whatever its level, case and spaces."""
    return " ".join(plain(text).casefold().split())


def heading_keys(document: Document) -> list[bytes]:
    """The keys of the document's headings, each once, sorted."""
    return sorted({heading_key(document.source, text) for text in document.texts if is_heading(text)})


def recurring(documents: Iterable[Document]) -> frozenset[bytes]:
    """The keys of the headings that recur among these documents."""
    counts = Counter(key for document in documents for key in heading_keys(document))
    return frozenset(key for key, count in counts.items() if count >= RECURS)
