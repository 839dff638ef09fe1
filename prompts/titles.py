"""Makes an instruction of a section's title.

The embedded writer was trained on such instructions, and its prompts ask for the title first, where it names a subject.
"""

from __future__ import annotations

import re

from filters.instruction import AUXILIARIES, QUESTIONS
from filters.text import FUNCTION_WORDS
from filters.words import plain, words
from prompts.readings import read
from prompts.spelling import capitals, spelled
from prompts.wordings import Answers, Wordings

USELESS = re.compile(
    r"^(overview|introduction|summary|set ?up( (and|&) procedure)?|procedures?|see also|steps?|tasks?|notes?|tools?|hardware"
    r"|software|case stud(y|ies)|learning outcomes?"
    r"|standards|conclusion|examples?|code( example)?|prerequisites|requirements|download|materials?|resources?"
    r"|references?"
    r"|compatibility|teacher support|discussion|suggested sequencing|check your understanding|practice problems"
    r"|facilitation notes|solution|strategy|misconception alert|miscellaneous|settings|attributes?|next steps?|more"
    r"|how to|try it out|name|lists?|table|figure|tips?|warning|background|feedback|design|results?|the (team|problem)"
    r"|getting started|get started|get ready|test it|program it|make it|improve it|code it|let's code|activity|scripts?"
    r"|configuration( sample)?|sample code|element information|answers?|hints?|what's new|questions?|ready, set, code!?"
    r"|(short|full) description|abstract|appendix|source link|sourcing questions|contents?|features?|usage|options?)$"
    r"|^(test prep|introductory|by |figure |table |chapter|section |part )"
    r"|^((windows|server|iis|internet information services?|vista|xp|r2|sp\d|or|and|express|[\d.,/()])\s*)+$"
    r"|^(untitled( document)?|index|preface|home( page)?|introduction to)$"
    r"|questions?$|release notes|quiz|unplugged$|^step \S{1,3}$|^tutorials?$|essay|concept items|critical thinking|performance task"
    r"|extended response|what you.ll|^steps to"
    r"|^important$|@|~|^description|discussion for|^figure|^(let.s|your turn|play it|have fun)"
    r"|multiple choice|short answer|student outcomes|sidebar|key terms|review|answers",
    re.I,
)
LONGEST = 300
"""Characters of a title: a heading may have any number."""
LONGEST_WORD = 40
_LABEL = re.compile(
    r"^\W*(?:(?:step|task|part|exercise|lesson|activity|lab|phase|section|module|unit|week|project)\s*\d*\s*[-–—:.)]\s*"
    r"|\d+(?:\.\d+)*[.):]?\s+|[A-H]\.\s+)",
    re.I,
)
_SORT = re.compile(
    r"\W*(?:(?:an? |the )?(?:case study|(?:coding )?activity|advanced|bonus|challenge|day|example|exploration|extension"
    r"|faq|note|optional|problem|project|question|sample|solution|tip|unplugged"
    r"|(?:personal )?history|art|biology|chemistry|engineering|physics|science|technology|profiles?))\s*#?\d*",
    re.I,
)
"""What stands before a title's colon and names no subject."""
_TAG = re.compile(r"\{[^{}]*\}|\\?<[^<>]*>|</?\w+")
_DOT = re.compile(r"(?<!\b[A-Z])(?<!\bDr)(?<!\bvs)\.(?=\s)|\w{2}\.(?!NET\b)[A-Za-z]")  # of a sentence or a file
_YEARS = re.compile(r"(?<=[a-z])\d{4}\s*-\s*(?:\d{4})?$")
_LEARNED = re.compile(
    r"(?:learn(?:ing)?(?: more)? about|understand(?:ing)?|get(?:ting)? to know|about"
    r"|(?:an? |the )?(?:(?:brief|short|quick) )?(?:introduction to|overview of|basics of)) (.+)",
    re.I,
)
INDIRECT = frozenset("how what why when where which who whom whose".split())
"""Words with which a question begins that may be a part of a sentence: "explain how it flies"."""
_NO_THING = re.compile(
    r"(?:in|on|at|to|for|with|from|by|into|after|before|when|if|as|because|not|don't|all|our|my|we|i|it)\b"
    r"|.*\b(?:we|they|i|he|she|there|it's)\b",
    re.I,
)
_TAIL = re.compile(r"\s*(\{[^}]*\}|\(optional\)|@\w+|&lt;.*?&gt;|<[^>]*>|[\s:.,;–—-]+$)\s*", re.I)


def clean(title: str) -> str | None:
    """The title without numbering and labels; None if it names no subject."""
    title = " ".join(title.split())
    if len(title) > LONGEST or USELESS.search(title):
        return None
    title = _TAG.sub(" ", title.replace("&lt;", "<").replace("&gt;", ">"))
    title = " ".join(title.replace("–", "-").replace("’", "'").split())
    title = re.sub(r"[^\w\s.,:;'’&/()?!+#-]", "", plain(title))
    title = _YEARS.sub("", title)  # "Franz Boas1858-1942"
    for _ in range(2):
        title = _LABEL.sub("", title)
    title = _TAIL.sub(" ", title).strip()
    count = len(words(title))
    if (
        USELESS.search(title)
        or not 1 <= count <= 16
        or len(title) < 5
        or not title.isascii()
        or max(map(len, title.split())) > LONGEST_WORD
        or _DOT.search(title)
    ):
        return None
    if re.search(r"[\[\]{}<>=_]|[a-z][A-Z]\w*$", title) and count == 1:
        return None
    return title


def instruction(title: str, text: str, answers: Answers, choice: int = 0, at_least: float = 0.5) -> str | None:
    """An instruction for a text with this title, in one of the forms of `answers`; None if none fits.

    choice: selects the form. at_least: the share of the title's longer words that must occur in the text. Capitals are
    those of `spelling.spelled`.
    """
    subject = clean(title)
    if subject is None or not (answers.do and answers.about):
        return None
    stems = {w[:5].lower() for w in words(text)}
    content = [w for w in words(subject) if len(w) > 3 and w.lower() not in FUNCTION_WORDS]
    if not content or sum(w[:5].lower() in stems for w in content) < at_least * len(content):
        return None
    small = spelled(subject, text)
    first, _, rest = small.partition(" ")
    key = first.lower()
    if key == "how" and rest.startswith("to "):
        return _fill(answers.do, choice, rest[3:].rstrip("?"))
    if key == "to" and rest.partition(" ")[0].lower() not in FUNCTION_WORDS | {""}:  # not "To each their own"
        return _fill(answers.do, choice, rest)
    if follow_up := re.fullmatch(r"(?:what|how) about (.+)", small, re.I):
        return _fill(answers.about, choice, follow_up[1].rstrip("?"))
    if re.match(r"(what|how|why|when|where|who|which|can|is|are|do|does)\b", key):
        asking = rest.partition(" ")[0].lower() in QUESTIONS | AUXILIARIES  # "how does it fly", and not "how it flies"
        if key != "how" and re.search(r"\b(?:we|our|us)\b", small, re.I):
            return None
        if key in INDIRECT and not small.endswith("?") and not asking:
            return f"Explain {key} {rest}."
        if small.endswith("?") or key in ("what", "why", "how"):
            form = ("{}?", "{}? Explain with pictures.", "Explain this to me: {}?")[choice % 3]
            asked = small.rstrip("?")
            return form.format(asked if "this" in form else asked[0].upper() + asked[1:])
        return None
    if learned := _LEARNED.fullmatch(small):
        return _fill(answers.about, choice, learned[1])
    form, subject = read(small, text, *capitals(text))
    if form == "do":
        return _fill(answers.do, choice, subject)
    if not form or small.endswith(("?", "!")) or ":" in small or _SENTENCE.search(small) or _NO_THING.match(small):
        return None
    return _fill(answers.about, choice, small)


def halves(title: str) -> tuple[str, str]:
    """What stands before a title's colon, and behind it: what the text is a part of, and what it is about.

    The first is empty if there is no colon, or if what stands before it says what kind of text it is, and not of what.

    >>> halves("The Hadza: Gathering as a Way of Life"), halves("Lesson 3: Saws"), halves("Saws")
    (('The Hadza', 'Gathering as a Way of Life'), ('', 'Lesson 3: Saws'), ('', 'Saws'))
    >>> halves("History: Galileo's Ship")
    ('', "Galileo's Ship")
    """
    before, _, behind = _LABEL.sub("", title).partition(": ")
    if not behind.strip() or behind.partition(": ")[2]:
        return "", title
    return ("" if _SORT.fullmatch(before) else before.strip(), behind.strip())


def topic(title: str, text: str, wordings: Wordings) -> str:
    """What a document with this title is about, in words that fit behind "about"; empty if it names no subject.

    Of a title with a colon, what stands before it. A title that is a sentence, or speaks to the reader, names none. The
    text, which may be a part of the document, need not have the title's words.
    """
    title = _OPENING.sub("", _LABEL.sub("", title if len(title) <= LONGEST else "").partition(": ")[0])
    answers = wordings.answers
    made = None if _SAYS.search(title) else instruction(title, text, answers, at_least=0.0)
    if made is None:
        return ""
    for form, before in ((answers.do[0], "how to "), (answers.about[0], "")):
        begin, _, end = form.partition("{}")
        if made.startswith(begin) and made.endswith(end):
            return before + made.removeprefix(begin).removesuffix(end)
    return ""


_SENTENCE = re.compile(r"\w(?<!\bthat)(?<!\bwhich)(?<!\bwho) (?:is|are|was|were) \w", re.I)
_OPENING = re.compile(r"^(?:an? )?(?:overview of|introduction to|guide to|about)\s+", re.I)
_SAYS = re.compile(r"\b(?:is|are|was|were|will|can|has|have|you|we|i|your|our|my|let.s)\b", re.I)


def _fill(forms: tuple[str, ...], choice: int, subject: str) -> str:
    return forms[choice % len(forms)].format(subject.strip(" .!"))
