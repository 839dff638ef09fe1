"""How a subject is written within a sentence: with capitals for names alone, and with the article that its text uses."""

from __future__ import annotations

import collections
import re

from filters.instruction import ACTIONS
from filters.text import FUNCTION_WORDS
from filters.words import words
from prompts.readings import GERUNDS

HEADING = re.compile(r"^#.*", re.M)
_LONG_NAME = re.compile(
    r"(?<![\w'’-])[a-z][\w'’-]*[,;]? ([A-Z](?:[\w'’-]|\.(?! ))*(?:(?: of| of the| and| for)? [A-Z]\w[\w'’-]*)+)"
)
_VERBS = ACTIONS | GERUNDS.keys()
_CAPITAL = re.compile(r"[A-Z][a-z]+(?:'s|-[A-Za-z][a-z]*)*")
_MARKS = ".,:?!()"
_BEFORE_NAME = re.compile(r"[A-Z]\.|(?:Dr|Mrs?|Ms|Prof|St)\.")
_LETTERED = re.compile(
    "appendix|button|class|grade|group|hepatitis|influenza|level|option|part|phase|pin|plan|point|port|team|type|vitamin",
    re.I,
)
"""Words behind which "A" is a letter."""
_NAMES = frozenset(
    """Africa African America American Arab Asia Asian Britain British Canada China Chinese Christian Dutch England English
Europe European France French German Germany Greek India Indian Islamic Italian Italy Japan Japanese Jewish Latin Mexico Muslim
Roman Russia Russian Soviet Spain Spanish United""".split()
)
"""Words that have a capital in any text, also one that does not have them."""
_SMALL = frozenset("a an the and or of for with to in on from by at your how as into using is are do does".split())
_JOINED = re.compile(r"\b(?:and|or|vs)\b|[&/(]", re.I)


def long_names(text: str) -> frozenset[str]:
    """Names of two words or more: words with capitals that stand together within a sentence, not in a heading.

    >>> sorted(long_names("Built at Fort McHenry, as the University of California in Rome. The End came."))
    ['Fort McHenry', 'University of California']
    """
    return frozenset(_LONG_NAME.findall(HEADING.sub("", text)))


def capitals(text: str) -> tuple[set[str], set[str]]:
    """Words that are mostly written small within sentences, in small letters, and words that mostly have a capital there.

    Headings do not count, nor does the first word of a sentence.

    >>> small, names = capitals("An egg drops. The Egg Drop is by Max Planck, and Planck's egg broke.")
    >>> "egg" in small, "drop" in small, sorted(names)
    (True, False, ['Drop', 'Max', 'Planck'])
    """
    prose = HEADING.sub("", text)
    small = collections.Counter(re.findall(r"\b[a-z][\w-]*", prose))
    inside = collections.Counter(re.findall(r"(?<=[a-z,;] )[A-Z][a-z]+\b", prose))
    names = {word for word, count in inside.items() if count > small[word.lower()]}
    owners = set(re.findall(r"\b([A-Z][a-z]+)['’]s\b", prose))
    names |= {word for word in owners if inside[word] or not small[word.lower()]}  # "newton" is a unit, too
    return small.keys() - {name.lower() for name in names}, names


def spelled(subject: str, text: str) -> str:
    """The subject with small letters where the text has them, and capitals where it has names.

    Words that are lower-case in the text become lower-case, and in a subject whose longer words all have capitals, all
    that are no names; words with capitals that stand together stay together.

    >>> spelled("Parallel circuits in Rome", "In Rome, parallel circuits are used."), spelled("privacy Act", "the Privacy Act")
    ('parallel circuits in Rome', 'Privacy Act')
    """
    lower, names = capitals(text)
    long = long_names(text)
    content = [w for w in words(subject) if len(w) > 3 and w.lower() not in FUNCTION_WORDS]
    in_title_case = len(content) > 1 and all(w[0].isupper() for w in content)
    made = _in_small_letters(subject, lower, names | {w for name in long for w in name.split()}, long, in_title_case)
    for name in sorted(long, key=lambda name: (len(name), name)):
        begun = name[:1].lower() + name[1:]  # "privacy Act"
        if begun in made and text.count(name) > text.count(name.lower()):
            made = re.sub(rf"(?<![\w-]){re.escape(begun)}(?![\w-])", name, made)
    return made


def _in_small_letters(subject: str, lower: set[str], names: set[str], long: frozenset[str], in_title_case: bool) -> str:
    """Each run of words with capitals as it is, if one of them is a name, and otherwise in small letters.

    A verb at the beginning is in no run, unless one of the `long` names begins with it ("Display Settings").
    """

    def is_name(word: str) -> bool:
        owner = word.removesuffix("'s")
        return (
            owner in _NAMES
            or not names.isdisjoint((owner, *word.split("-")))
            or (owner != word and owner.lower() not in lower)
        )

    def fitting(run: list[str]) -> list[str]:
        bare = [word.strip(_MARKS) for word in run]
        if (
            any(map(_BEFORE_NAME.fullmatch, run))
            or any(map(is_name, bare))
            or not (in_title_case or all(word.lower() in lower for word in bare))
        ):
            return run
        return [word.lower() for word in run]

    found: list[str] = []
    run: list[str] = []
    for at, word in enumerate(given := subject.split()):
        bare = word.strip(_MARKS)
        verb = [w.lower() for w in given[:at]] in ([], ["to"], ["how", "to"]) and bare.lower() in _VERBS
        verb = verb and not any(given[at:][: len(name)] == name for name in map(str.split, long))
        small = verb or (bare.lower() in _SMALL and not (bare == "A" and at and _LETTERED.fullmatch(given[at - 1])))
        if _BEFORE_NAME.fullmatch(word):
            run.append(word)
            continue
        if small or not _CAPITAL.fullmatch(bare) or word[:1] in _MARKS:
            found, run = [*found, *fitting(run)], []
        if small or not _CAPITAL.fullmatch(bare):
            found.append(word.lower() if small else word)
        else:
            run.append(word)
        if word[-1:] in _MARKS:
            found, run = [*found, *fitting(run)], []
    return " ".join([*found, *fitting(run)])


def with_article(subject: str, text: str) -> str:
    """The subject with the article that the text mostly has before it within sentences, and with "and" in a list.

    >>> with_article("brain", "# Brain\\nAt birth, the brain is small, and the brain is soft.")
    'the brain'
    >>> with_article("roses, tulips, dahlias", "The roses bloom.")
    'roses, tulips, and dahlias'
    """
    *items, last = subject.split(", ")
    if len(items) > 1 and not _JOINED.search(subject) and not last[:1].isdigit():
        subject = f"{', '.join(items)}, and {last}"
    heads = words(subject.partition(" of ")[0])
    if not heads or heads[0].lower() in FUNCTION_WORDS:
        return subject
    before: collections.Counter[str] = collections.Counter()
    prose = HEADING.sub("", text)
    for found in re.finditer(
        rf"(?<![\w'’-])([\w'’-]+)[^\S\n]+{re.escape(subject)}(?![\w-])(?: ([\w'’-]+))?", prose, re.I
    ):
        if not found[2] or found[2].lower() in FUNCTION_WORDS:  # otherwise it may be a part of a longer name
            word = found[1].lower()
            before[word if word in ("a", "an") else "the" if word in _THE else ""] += 1
    article, count = max(before.items(), key=lambda one: (one[1], one[0]), default=("", 0))
    head = re.escape(heads[-1])
    countable = re.search(rf"\b(?:an?|each|every|this) {head}\b|\b{head}s\b", prose, re.I)  # not "thermodynamics"
    if not (count > 1 or countable) or before[""] * 3 > before.total() or re.search(r"(?<!s)s$", head):
        return subject
    return f"{article} {subject}".lstrip()


_THE = frozenset("the this your our its their his her my".split())
