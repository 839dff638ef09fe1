"""What texts say that shows that they do not stand alone: they name what came before, or announce more. Knows English."""

from __future__ import annotations

import re

_WORKS = (
    r"(?:walkthrough|tutorial|article|guide|lesson|chapter|document|page|post|module|project|activity|appendix|unit)"
)
_PARTS = r"(?:section|part|example|exercise|step|discussion|video|figure|table|paragraph)"
_DID = (
    r"(?:noted?|mentioned|discussed|saw|seen|learned|learnt|read|described|created|installed|built|wrote|written"
    r"|retrieved|used|made|set up|assembled|defined|added|chose|chosen|configured|downloaded)"
)
_BEFORE = r"(?:earlier|before|previously|already|above)"
_REFERS_BACK = re.compile(
    rf"\b(?:previous|preceding|prior|earlier|last) (?:{_WORKS}|{_PARTS})s?\b"
    rf"|\b(?:we|you|I)(?:['’]ve| have| had)? (?:\w+ )?{_DID}\b[^.!?\n]{{0,80}}\b(?:earlier|previously|in (?:the )?(?:last|previous)"
    rf"|in (?:lesson|part|chapter|section|step|task|exercise) \d+)\b"
    rf"|\b(?:we|you)(?:['’]ve| have| had)? {_BEFORE} {_DID}\b"
    rf"|\b{_BEFORE},? (?:we|you)(?:['’]ve| have| had)? {_DID}\b"
    r"|\bour (?:earlier|previous|last)\b|\bas (?:we|I) (?:noted|mentioned|discussed|saw|have seen)\b"
    r"|\bnot yet (?:discussed|covered|introduced)\b|\bhaving (?:discussed|seen|learned|covered|looked)\b"
    r"|\bwe now turn\b|\bexample earlier\b",
    re.I,
)
_JUST_ABOVE = re.compile(
    rf"\b(?:as|like) before\b|\b(?:we|you)(?:['’]ve| have| had)? (?:just )?{_DID} (?:\w+ )?(?:above|before)\b"
    rf"|\b{_DID} (?:above|before)\b",
    re.I,
)
_ANNOUNCES_ALL = re.compile(
    rf"\b(?:this|the following) {_WORKS} (?:will |is going to )?(?:also )?(?:guides?|shows?|explains?|describes?|walks?|teach(?:es)?"
    r"|covers?|demonstrates?|discuss(?:es)?|delves?|explores?|introduces?|presents?|provides? (?:a|an) (?:walk|step))\b"
    rf"|\bin this {_WORKS}[^.!?\n]{{0,40}}\b(?:you|we|I)(?:['’]ll| will| are going| want|['’]re going)\b",
    re.I,
)
_ANNOUNCES_SECTION = re.compile(
    rf"\bthis {_PARTS} (?:will |of the \w+ )*(?:guides?|shows?|explains?|describes?|walks?|covers?|demonstrates?|discuss(?:es)?"
    r"|explores?|introduces?|focuses)\b"
    rf"|\bin this {_PARTS}[^.!?\n]{{0,40}}\b(?:you|we|I)(?:['’]ll| will| are going| want|['’]re going)\b",
    re.I,
)
_OF_THE_COURSE = re.compile(
    r"\s*(?:>\s*)?(?:[*_]*sketchnote\b|this lesson was taught\b|[*_]*click the images? above\b|hearty thanks\b|meet the team\b"
    r"|[*_]*project goal:|\[?!?\[?include)",
    re.I,
)
_PRESUMES = re.compile(
    r"\s*(?:but|while|when the|several|few|more than|looking at|after you)\b|\s*the (?:[\w-]+ )?[\w-]+ (?:was|were|is|are|had|has)\b"
    r"|.*\b(?:also(?! (?:called|known))|too)\b",
    re.I | re.S,
)


def refers_back(text: str) -> bool:
    """Whether a text names a lesson, a part or a deed that came before this text.

    >>> refers_back("Open the scene from the previous tutorial."), refers_back("As we noted, boards warp.")
    (True, True)
    >>> refers_back("Open the scene."), refers_back("Boards warp more than before.")
    (False, False)
    """
    return bool(_REFERS_BACK.search(text))


def refers_above(text: str) -> bool:
    """Whether a text names a deed that stands above it, in an excerpt or before it.

    >>> refers_above("Use the file that you created above."), refers_above("Use a file.")
    (True, False)
    """
    return bool(_JUST_ABOVE.search(text))


def presumes(sentence: str) -> bool:
    """Whether the first sentence of a paragraph adds to something, or speaks of something as known.

    >>> presumes("The canal was long."), presumes("Saws help, too."), presumes("The Panama canal, once dug, was long.")
    (True, True, False)
    """
    return bool(_PRESUMES.match(sentence))


def announces_all(text: str) -> bool:
    """Whether a text says what the whole document will do.

    >>> announces_all("This article explains how to saw."), announces_all("This article is about saws.")
    (True, False)
    """
    return bool(_ANNOUNCES_ALL.search(text))


def announces_section(text: str) -> bool:
    """Whether a text says what its section will do.

    >>> announces_section("In this section, we will saw."), announces_section("This section is about saws.")
    (True, False)
    """
    return bool(_ANNOUNCES_SECTION.search(text))


def of_the_course(text: str) -> bool:
    """Whether a paragraph is about the course or the book, and not about its subject.

    >>> of_the_course("This lesson was taught in a series."), of_the_course("Sawing was taught in a series.")
    (True, False)
    """
    return bool(_OF_THE_COURSE.match(text))
