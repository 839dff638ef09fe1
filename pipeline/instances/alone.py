"""What texts say that shows that they do not stand alone: they name what came before, or announce more.

The lists of words are English, and were made from what readers found (docs/quality.md); so were the lengths in them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from filters.words import words

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
_STEM = 4
"""The letters of a word that its other forms have too: "hammers", "hammering"."""
_NAME = 4
"""The letters from which a word says which of several things is meant."""
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
    r"|\blet[’']s (?:go|come|turn) back to\b(?! (?:the )?\d)|\bas detailed (?:before|above|earlier|previously)\b|\bremember [A-Z]\w+\?"
    r"|\b(?:the previously (?:described|introduced)|previously (?:discussed|mentioned|explained))\b"
    r"|\bwe have (?:thus|now|already) (?:seen|learned)\b"
    r"|\bas (?:noted|mentioned|discussed|stated)(?: above| earlier)?,|\bfor part \([b-z]\)|\bearlier in *[.,]"
    r"|(?:\bhaving|(?<!when you)(?<!once you)(?: have|[’']ve)) (?:completed|finished|done) the [^.!?\n]{0,60}"
    r"\b(?:tutorial|lesson|module|project|activit(?:y|ie)|course)s?\b"
    rf"|\b{_DID} in (?:chapter|part|lesson)\b|\b(?:we|you) \w+(?: to)? (?:earlier|previously)\b"
    r"|\blet[’']s (?:keep|continue) \w+ing\b|\bstep \d+ (?:above|below)\b|\bsteps below\b",
    re.I,
)
_REFERS_ABOVE = re.compile(
    rf"\b(?:previous|preceding|prior|earlier) {_PARTS}s?\b|\b(?:as|like) before\b"
    rf"|\b{_WE} (?:just )?{_DID} (?:\w+ )?(?:above|before)\b|\b{_DID} (?:above|before)\b|\b(?:formula|equation) above\b",
    re.I,
)
_ANNOUNCES_ALL = re.compile(
    rf"\b(?:this|the following) (?:\w+ )?{_WORKS} (?:will |is going to )?(?:also )?(?:{_SHOWS}|helps?|provides? an? (?:walk|step))\b"
    rf"|\bin this {_WORKS}{_WILL}|\bguides you to\b|\bgoes over how\b|\b(?:you|we)(?:[’']ll| will) be making\b",
    re.I,
)
_ANNOUNCES_LATER = re.compile(
    rf"\bin the (?:next|following) (?:\w+ )?(?:{_WORKS}|section)s?\b|\b(?:next|following) {_WORKS} (?:will |we )?{_SHOWS}"
    r"|\bmore (?:on|about) (?:that|this|it) (?:later|below|at the end)\b|\bexplain(?:ed)? (?:later|below)\b"
    r"|\bread the (?:next|following)\b|\b(?:will be|is|are) \w+(?:ed|wn) in the (?:next|following)\b"
    r"|\b(?:following|next) (?:\w+ ){1,4}feature\b|\blastly, we (?:will|shall)\b"
    r"|\b(?:we|you|I)(?:[’']ll| will) [^.!?\n]{0,40}\bsoon\b|\bwill need (?:it|them|this|these|that|those) (?:again|later)\b"
    r"|\beach example below\b|\bwe[’']ll (?:fix|see|come back to) (?:this|that|it|these) (?:problem )?(?:later|with|in the)\b",
    re.I,
)
_STEP = re.compile(r"\W*(?:step|task|part|lesson) (?!0?1\b)\d+\W*(?:@\w+\W*)?\Z", re.I)
_LINKS_TO_OTHER_PAGES = re.compile(r"(?:\s*[-*+] \[[^\]\n]*\]\((?!https?:)[^)\s]*\)[ .]*(?:\n|\Z))+\s*\Z")
_OF_THE_BOOK = re.compile(
    r"\b(?:later|earlier) in (?:the|this) (?:chapter|book|course|series)\b|\bvideo series\b|\bguest (?:blog )?post\b"
    r"|\b(?:with)?in this (?:chapter|book|course)\b"
    r"|\bthis (?:chapter|book|course) (?:covers|presents|introduces|is (?:separated|divided|organi[sz]ed)|will|includes|consists)\b"
    r"|\beditor[s'’]* note\b|\boriginally (?:published|posted|appeared)\b|\b\d+-(?:week|lesson),? (?:\d+-lesson )?curriculum\b"
    r"|\bpart \w+ (?:of|in) (?:a|our|this|the) (?:\w+ )?series\b|\byesterday[’']s post\b|\byour (?:final )?grade\b",
    re.I,
)
_TAB = re.compile(r"\]\(#tab/")
_ANNOUNCES_SECTION = re.compile(
    rf"\bthis {_PARTS} (?:will |of the \w+ )*{_SHOWS}\b|\bin this {_PARTS}{_WILL}"
    r"|\b(?:we|I)(?:[’']ll| will| are going to) (?:now )?(?:walk|go|work) (?:\w+ )?through\b|\bone (?:at a time|by one):",
    re.I,
)
_OF_THE_COURSE = re.compile(
    r"\s*(?:>\s*)?[*_]*(?:sketchnote\b|this lesson was taught\b|click the images? above\b|hearty thanks\b|(?:visit|read|watch) this (?:web ?site|report|article|link|page)\b"
    r"|(?:in|throughout|after) this (?:chapter|section|module|unit|lesson),? (?:you|students|learners)(?:[’']ll| will) (?:learn|be able)[^.!?\n]{0,40}:"
    r"|students (?:should|will)\b|(?:this|these) standards?\b|meet the team\b|project goal:|(?:many|special) thanks to\b|\[!include\b)",
    re.I,
)
_VIDEO = re.compile(
    r"\b(?:watch|view|see) (?:this|these|the following|the)\b[^.!?\n]{0,60}\bvideos?\b"
    r"|\b(?:this|the) (?:following |next )?video(?: that follows| below| above)?\b[^.!?\n]{0,20}\b" + _SHOWS + r"\b",
    re.I,
)
_SEVERAL = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|several|following)\b(?: [\w-]+){1,5}: ([^:;.!?\n]+)", re.I
)
_ANNOUNCES_SEVERAL = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|several|few|couple of|many|various|multiple|different|some|number of|following)"
    r" (?:[\w-]+ ){0,2}(?:ways|types|kinds|options|methods|examples|approaches|techniques|steps|stages|phases|forms"
    r"|categories|parts|sections|reasons|causes|modes|tools|factors|principles|rules|tasks|features|components|elements"
    r"|parameters|settings|properties|levels|groups|strategies|functions|areas|characteristics)\b",
    re.I,
)
_AND = re.compile(r",\s*(?:and )?|\s(?:and|&)\s")
_FIRST_OF = re.compile(
    r"\bfirst (?:step|stage|phase|type|kind|category|method|way|reason|approach|option|possibility)\b"
    r"|\bone (?:possibility|option|explanation)\b|\(1\)",
    re.I,
)
_NEXT_OF = re.compile(r"\b(?:second|third|next|then|after that|finally|last|another|other|also)\b|\(2\)", re.I)


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


def announces_several(text: str) -> bool:
    """Whether a text says that there are several of something, each of which may have a part of its own.

    >>> announces_several("There are two main ways to saw."), announces_several("There is one way to saw.")
    (True, False)
    """
    return bool(_ANNOUNCES_SEVERAL.search(text))


def announces_later(text: str) -> bool:
    """Whether a text says that something follows in another part.

    >>> announces_later("Glue is explained in the next chapter."), announces_later("Glue follows.")
    (True, False)
    """
    return bool(_ANNOUNCES_LATER.search(text))


def of_the_book(text: str) -> bool:
    """Whether a text speaks of the book, the course or the site that it belongs to.

    >>> of_the_book("This chapter is divided into three sections."), of_the_book("The saw is divided into three parts.")
    (True, False)
    """
    return bool(_OF_THE_BOOK.search(text))


def leads_elsewhere(text: str) -> bool:
    """Whether a text is a list of links to other pages of its site, and nothing else.

    >>> leads_elsewhere("- [Saws](saws.md)\\n- [Glue](#glue)"), leads_elsewhere("- [Saws](https://example.org)")
    (True, False)
    """
    return bool(_LINKS_TO_OTHER_PAGES.match(text))


def is_tab(heading: str) -> bool:
    """Whether a heading is that of one of several tabs, which say the same for several systems.

    >>> is_tab("# [macOS](#tab/macos)"), is_tab("# macOS")
    (True, False)
    """
    return bool(_TAB.search(heading))


def is_step(heading: str) -> bool:
    """Whether a heading says the number of a later step and nothing else.

    >>> is_step("## {Step 3}"), is_step("## Step 3: Saw")
    (True, False)
    """
    return bool(_STEP.match(heading))


def points_to_video(text: str) -> bool:
    """Whether a text sends its reader to a video, which an excerpt does not have.

    >>> points_to_video("Watch this video on saws."), points_to_video("Save the video.")
    (True, False)
    """
    return bool(_VIDEO.search(text))


def counts_and_stops(texts: Sequence[str]) -> bool:
    """Whether texts tell the first of several steps or kinds, and no other.

    >>> counts_and_stops(["The first step is to saw."]), counts_and_stops(["The first step is to saw.", "Then sand it."])
    (True, False)
    """
    for at, text in enumerate(texts):
        if first := _FIRST_OF.search(text):
            return not any(map(_NEXT_OF.search, (text[first.end() :], *texts[at + 1 :])))
    return False


def leaves_out(names: str, told: str) -> bool:
    """Whether a text tells of some of the things that `names` names, and not of all: the longest word of each decides.

    >>> leaves_out("Saws and hammers", "A saw cuts."), leaves_out("Saws and hammers", "A saw cuts. A hammer hits.")
    (True, False)
    >>> leaves_out("Saws and hammers", "Tools are useful.")
    False
    """
    here = " " + " ".join(words(told)).casefold()
    for side in names.split(":"):
        items = [max(words(item), key=len, default="").casefold() for item in _AND.split(side)]
        found = {f" {item.rstrip('s')[:_STEM]}" in here for item in items if len(item) >= _NAME}
        if len(found) > 1:
            return True
    return False


def lists_and_stops(text: str) -> bool:
    """Whether a text names several things and goes on with some of them, and not with all.

    >>> lists_and_stops("Use two tools: saws, and hammers. Saws cut."), lists_and_stops("Use two tools: saws, and hammers.")
    (True, False)
    """
    return any(leaves_out(found[1], text[found.end() :]) for found in _SEVERAL.finditer(text))


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
