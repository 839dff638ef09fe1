"""Makes an instruction of a section's title.

The embedded writer was trained on such instructions, and its prompts ask for the title first, where it names a subject.
"""

from __future__ import annotations

import re

from filters.instruction import ACTIONS, AUXILIARIES, QUESTIONS
from filters.text import FUNCTION_WORDS
from filters.words import plain, words
from prompts.readings import activity, order
from prompts.wordings import Answers, Wordings, capitals, long_names

USELESS = re.compile(
    r"^(overview|introduction|summary|setup|set ?up|see also|steps?|tasks?|notes?|tools?|hardware|software"
    r"|learning outcomes?"
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
_NO_VERB = (
    "behind|beside|besides|inside|beyond|beneath|underneath|below|above|throughout|across|outside|along|near|amid|aboard"
    "|past|despite|unlike|versus|plus|minus|via|onto|until|towards?|almost|half|halfway|twice"
)
_ORDER = re.compile(
    rf"(?!(?i:{_NO_VERB}|{'|'.join(sorted(FUNCTION_WORDS))})\b)[A-Za-z][a-z]+(?<!ing)(?<!ed)(?<!ly) (?:a|an|the|your) \w"
)
"""What may be a verb that is in no list, with its object; or a name ("Alexander the Great"), which the text tells."""
_TAG = re.compile(r"\{[^{}]*\}|\\?<[^<>]*>|</?\w+")
_DOT = re.compile(r"(?<!\d)\.(?!NET\b)|\.(?!\d|NET\b)")  # no dot of a number
_TAIL = re.compile(r"\s*(\{[^}]*\}|\(optional\)|@\w+|&lt;.*?&gt;|<[^>]*>|[\s:.,;–—-]+$)\s*", re.I)


def _gerunds() -> dict[str, str]:
    """All possible spellings of the verbs' -ing forms, with their verbs."""
    forms = {}
    for verb in ACTIONS:
        forms[verb + "ing"] = verb
        if verb.endswith("e"):
            forms[verb[:-1] + "ing"] = verb
        forms[verb + verb[-1] + "ing"] = verb
    return forms


GERUNDS = _gerunds()


def clean(title: str) -> str | None:
    """The title without numbering and labels; None if it names no subject."""
    title = " ".join(title.split())
    if len(title) > LONGEST or USELESS.search(title):
        return None
    title = _TAG.sub(" ", title.replace("&lt;", "<").replace("&gt;", ">"))
    title = " ".join(title.replace("–", "-").replace("’", "'").split())
    title = re.sub(r"[^\w\s.,:;'’&/()?!+#-]", "", plain(title))
    for _ in range(2):
        title = _LABEL.sub("", title)
    title = _TAIL.sub(" ", title).strip()
    count = len(words(title))
    if (
        USELESS.search(title)
        or not 1 <= count <= 11
        or len(title) < 5
        or not title.isascii()
        or max(map(len, title.split())) > LONGEST_WORD
        or _DOT.search(title[:-1])
    ):
        return None
    if re.search(r"[\[\]{}<>=_]|[a-z][A-Z]\w*$", title) and count == 1:
        return None
    if re.search(r"[a-z]{2}\d{4}", title):  # "Franz Boas1858-1942"
        return None
    return title


def instruction(title: str, text: str, answers: Answers, choice: int = 0, at_least: float = 0.5) -> str | None:
    """An instruction for a text with this title, in one of the forms of `answers`; None if none fits.

    choice: selects the form. at_least: the share of the title's longer words that must occur in the text. Words that are
    lower-case in the text become lower-case, and in a title whose longer words all have capitals, all that are no names;
    words with capitals that stand together stay together.
    """
    subject = clean(title)
    if subject is None or not (answers.do and answers.about):
        return None
    stems = {w[:5].lower() for w in words(text)}
    content = [w for w in words(subject) if len(w) > 3 and w.lower() not in FUNCTION_WORDS]
    if not content or sum(w[:5].lower() in stems for w in content) < at_least * len(content):
        return None
    lower, names = capitals(text)
    in_title_case = len(content) > 1 and all(w[0].isupper() for w in content)
    long = long_names(text)
    small = _in_small_letters(subject, lower, names | {w for name in long for w in name.split()}, long, in_title_case)
    first, _, rest = small.partition(" ")
    key = first.lower()
    if key == "how" and rest.startswith("to "):
        return _fill(answers.do, choice, rest[3:].rstrip("?"))
    if key == "to" and rest:
        return _fill(answers.do, choice, rest)
    if re.match(r"(what|how|why|when|where|who|which|can|is|are|do|does)\b", key):
        asking = rest.partition(" ")[0].lower() in QUESTIONS | AUXILIARIES  # "how does it fly", and not "how it flies"
        if key == "how" and not small.endswith("?") and not asking:
            return f"Explain {key} {rest}."
        if small.endswith("?") or key in ("what", "why", "how"):
            form = ("{}?", "{}? Explain with pictures.", "Explain this to me: {}?")[choice % 3]
            asked = small.rstrip("?")
            return form.format(asked if "this" in form else asked[0].upper() + asked[1:])
        return None
    learned = re.fullmatch(
        r"(?:learn(?:ing)?(?: more)? about|understand(?:ing)?|get(?:ting)? to know|about) (.+)", small, re.I
    )
    if learned:
        return _fill(answers.about, choice, learned[1])
    head = rest.partition(" - ")[0]  # behind a dash stands a name, such as the site's
    if key in GERUNDS and rest and activity(GERUNDS[key], key, head, text) == "do":
        head = re.sub(r"^(and|or) (\w+)", lambda m: f"{m[1]} {GERUNDS.get(m[2].lower(), m[2])}", head)
        return _fill(answers.do, choice, f"{GERUNDS[key]} {head}")
    if key in ACTIONS:
        reading = order(key, head, text, ACTIONS)
        if reading == "do":
            head = re.sub(r"^(?:and|or) (\w+)", lambda m: m[0].lower() if m[1].lower() in ACTIONS else m[0], head)
            return _fill(answers.do, choice, f"{key} {head}")
        if not reading:  # "explain change language" is as wrong as "how to water pollution"
            return None
    if small.endswith(("?", "!")) or ":" in small or _SENTENCE.search(small):
        return None
    if key not in ACTIONS and first not in names and _ORDER.match(subject):  # "Hang a shelf"
        is_verb = key in lower or re.match(r"\w+ (?:a|an|your) ", subject)
        return _fill(answers.do, choice, f"{key} {head}") if is_verb else None
    return _fill(answers.about, choice, small)


def _in_small_letters(subject: str, lower: set[str], names: set[str], long: frozenset[str], in_title_case: bool) -> str:
    """Each run of words with capitals as it is, if one of them is a name, and otherwise in small letters.

    A verb at the beginning is in no run, unless one of the `long` names begins with it ("Display Settings").
    """

    def is_name(word: str) -> bool:
        owner = word.removesuffix("'s")
        return not names.isdisjoint((owner, *word.split("-"))) or (owner != word and owner.lower() not in lower)

    def fitting(run: list[str]) -> list[str]:
        bare = [word.strip(_MARKS) for word in run]
        if any(map(is_name, bare)) or not (in_title_case or all(word.lower() in lower for word in bare)):
            return run
        return [word.lower() for word in run]

    found: list[str] = []
    run: list[str] = []
    for at, word in enumerate(given := subject.split()):
        bare = word.strip(_MARKS)
        verb = [w.lower() for w in given[:at]] in ([], ["to"], ["how", "to"]) and bare.lower() in _VERBS
        verb = verb and not any(given[at:][: len(name)] == name for name in map(str.split, long))
        small = verb or bare.lower() in _SMALL
        if small or not _CAPITAL.fullmatch(bare) or word[:1] in _MARKS:
            found, run = [*found, *fitting(run)], []
        if small or not _CAPITAL.fullmatch(bare):
            found.append(word.lower() if small else word)
        else:
            run.append(word)
        if word[-1:] in _MARKS:
            found, run = [*found, *fitting(run)], []
    return " ".join([*found, *fitting(run)])


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


_VERBS = ACTIONS | GERUNDS.keys()
_SENTENCE = re.compile(r"\w(?<!\bthat)(?<!\bwhich)(?<!\bwho) (?:is|are|was|were) \w", re.I)
_CAPITAL = re.compile(r"[A-Z][a-z]+(?:'s|-[A-Za-z][a-z]*)*")
_MARKS = ".,:?!()"
_OPENING = re.compile(r"^(?:an? )?(?:overview of|introduction to|guide to|about)\s+", re.I)
_SAYS = re.compile(r"\b(?:is|are|was|were|will|can|has|have|you|we|i|your|our|my|let.s)\b", re.I)
_SMALL = frozenset("a an the and or of for with to in on from by at your how as into using is are do does".split())


def _fill(forms: tuple[str, ...], choice: int, subject: str) -> str:
    return forms[choice % len(forms)].format(subject.strip(" .!"))
