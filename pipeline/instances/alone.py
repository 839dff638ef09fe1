"""What texts say that shows that they do not stand alone: they name what came before, or announce more.

The lists of words are English, and were made from what readers found (docs/quality.md); so were the lengths in them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORKS = (
    r"(?:walkthrough|tutorial|article|guide|lesson|chapter|document|page|post|module|project|activity|appendix|unit)"
)
_PARTS = r"(?:section|part|example|exercise|step|discussion|video|figure|table|paragraph)"
_DID = (
    r"(?:noted?|mentioned|discussed|saw|seen|learned|learnt|read|described|created|installed|built|wrote|written"
    r"|retrieved|used|made|set up|assembled|defined|added|chose|chosen|configured|downloaded)"
)
_WE = r"(?:we|you|I)(?:['’]ve| have| had)?"
_BEFORE = r"(?:earlier|before|previously|already|above)"
_SHOWS = (
    r"(?:guides?|shows?|explains?|describes?|walks?|teach(?:es)?|covers?|demonstrates?|discuss(?:es)?|delves?|explores?"
    r"|introduces?|presents?|focuses)"
)
_WILL = r"[^.!?\n]{0,40}\b(?:you|we|I)(?:['’]ll| will| are going| want|['’]re going)\b"
_REFERS_BACK = re.compile(
    rf"\b(?:previous|preceding|prior|earlier|(?:the|our|your) last) {_WORKS}s?\b"
    rf"|\b{_WE} (?:\w+ )?{_DID}\b[^.!?\n]{{0,80}}\b(?:earlier|previously|in (?:the )?(?:last|previous)"
    r"|in (?:lesson|part|chapter|section|step|task|exercise) \d+)\b"
    rf"|\b{_WE} {_BEFORE} {_DID}\b|\b{_BEFORE},? {_WE} {_DID}\b"
    r"|\bour (?:earlier|previous|last)\b|\bas (?:we|I) (?:noted|mentioned|discussed|saw|have seen)\b"
    r"|\bnot yet (?:discussed|covered|introduced)\b|\bhaving (?:discussed|seen|learned|covered|looked)\b"
    r"|\bwe now turn\b|\bexample earlier\b|\bcoming back now\b|\[above\]\(#"
    rf"|\bas {_DID} (?:previously|earlier|before|above)\b|\b(?:discussed|covered) in the (?:previous|last) \w+"
    rf"|\b{_DID} in (?:chapter|part|lesson)\b",
    re.I,
)
_REFERS_ABOVE = re.compile(
    rf"\b(?:previous|preceding|prior|earlier) {_PARTS}s?\b|\b(?:as|like) before\b"
    rf"|\b{_WE} (?:just )?{_DID} (?:\w+ )?(?:above|before)\b|\b{_DID} (?:above|before)\b",
    re.I,
)
_ANNOUNCES_ALL = re.compile(
    rf"\b(?:this|the following) {_WORKS} (?:will |is going to )?(?:also )?(?:{_SHOWS}|provides? an? (?:walk|step))\b"
    rf"|\bin this {_WORKS}{_WILL}",
    re.I,
)
_ANNOUNCES_LATER = re.compile(
    rf"\bin the (?:next|following) (?:{_WORKS}|section)s?\b|\b(?:next|following) {_WORKS} (?:will |we )?{_SHOWS}"
    r"|\bmore (?:on|about) (?:that|this|it) (?:later|below|at the end)\b|\bexplain(?:ed)? (?:later|below)\b"
    r"|\beach example below\b|\bwe[’']ll (?:fix|see|come back to) (?:this|that|it|these) (?:problem )?(?:later|with|in the)\b",
    re.I,
)
_LOST_CODE = re.compile(r"```[^\n`]*\n\s*```|\.\. code-tab::[^\n]*\s*\Z|\[!(?:code|include)", re.I)
_ANNOUNCES_SECTION = re.compile(rf"\bthis {_PARTS} (?:will |of the \w+ )*{_SHOWS}\b|\bin this {_PARTS}{_WILL}", re.I)
_OF_THE_COURSE = re.compile(
    r"\s*(?:>\s*)?[*_]*(?:sketchnote\b|this lesson was taught\b|click the images? above\b|hearty thanks\b"
    r"|meet the team\b|project goal:|(?:many|special) thanks to\b|\[!include\b)",
    re.I,
)
_PRESUMES = re.compile(
    r"\s*(?:but|while|when the|several|few|more than|looking at|after you)\b"
    r"|\s*the (?:[\w-]+ )?[\w-]+ (?:was|were|is|are|had|has)\b"
    r"|.*\b(?:also(?! (?:called|known))\b|too\s*(?:[,.;!?]|$))",
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
    return bool(_REFERS_ABOVE.search(text))


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


def announces_later(text: str) -> bool:
    """Whether a text says that something follows in another part.

    >>> announces_later("Glue is explained in the next chapter."), announces_later("Glue follows.")
    (True, False)
    """
    return bool(_ANNOUNCES_LATER.search(text))


def lost_code(text: str) -> bool:
    """Whether a text has a place for code, and no code in it: the corpus has lost it.

    >>> lost_code("Run this: ```sh\\n```"), lost_code("Run this: ```sh\\nls\\n```")
    (True, False)
    """
    return bool(_LOST_CODE.search(text))


def lacks_solution(headings: Sequence[str]) -> bool:
    """Whether a worked example has a strategy and no solution.

    >>> lacks_solution(["Strategy", "Discussion"]), lacks_solution(["Strategy", "Solution"])
    (True, False)
    """
    found = [heading.casefold() for heading in headings]
    return any(h.startswith("strategy") for h in found) and not any(h.startswith("solution") for h in found)


def of_the_course(text: str) -> bool:
    """Whether a paragraph is about the course or the book, and not about its subject.

    >>> of_the_course("This lesson was taught in a series."), of_the_course("Sawing was taught in a series.")
    (True, False)
    """
    return bool(_OF_THE_COURSE.match(text))
