"""Whether a title that begins with a word such as "water" or "building" says what to do, or names a thing.

The word alone does not tell: "Water the plants" is an order, "Water pollution" a thing, and "Change language" may be
either. What stands behind it tells, or the text: whether it has the words as verb and object, or as one noun.
"""

from __future__ import annotations

import re
from typing import Literal

from filters.instruction import ACTIONS
from filters.text import FUNCTION_WORDS
from filters.words import words

Reading = Literal["do", "about", ""]

_NAMES = frozenset(
    """balance build capture care change check clean clear compute control cook copy count cut debug design display
download draw drive dry edit export extract feed filter fold freeze handle host import insert invite join knit
launch load log map measure merge mix monitor move open order pack paint paste pick pitch plan plant play plot
position print program prune push read record register repair request reset restore review run save scale scan
schedule secure set share ship sketch sort split start stop store stretch switch test tie track train transfer
trigger tune turn update upgrade upload view visit walk wash water wire work""".split()
)
"""Verbs that are nouns or adjectives, too, and as such begin names of two words: "plant cells", "open source"."""
_KINDS = frozenset(
    """bake boil build change clean compute control cook count cut debug design develop draw drive dry edit extract
feed filter fold follow freeze grow handle host insert knit launch learn load log map measure mix monitor move
open order pack paint plan plant play plot position print program prune publish record register run save scale
scan schedule serve set sew share sharpen ship sketch sort split start stop store switch teach test tie track
train trigger tune turn view visit walk wash water wire work write""".split()
)
"""Verbs whose -ing form says of what kind a thing is: "washing machines", "learning rate"."""
_LABEL = re.compile(
    r"\w+(?: \w+)? ?\b(?:actions?|buttons?|cases?|dialog(?:ue)?s?|instructions|menus?|panes?|process|tabs?|toolbars?|wizard)",
    re.I,
)
"""What ends in such a word is mostly the name of a thing on the screen, whatever its first word is."""
_OBJECT = re.compile(
    r"(?:an?|the|this|that|these|those|your|our|my|its|their|one's|it|them|us|some|any|each|every|all|both|two|three"
    r"|which|what|how|whether)\b",
    re.I,
)
_APART = re.compile(r"(?:up|off|out)\b|in (?:to|as|with)\b", re.I)  # set up, cut out, log in to
_TOLD = re.compile(
    r"(?:twice|once|early|often|again|directly|carefully|slowly|quickly|safely)\b"
    r"|.*\b(?:while|when|before|after|until|if) you\b",
    re.I,
)
"""What stands behind an order and no name: how to do it, or when."""
_JOINED = re.compile(r"(?:and|or)\b", re.I)
_DETERMINER = r"(?:an?|the|this|these|your|our|its|each|every|all|any|some)"
_BEFORE_VERB = (
    r"(?:can|could|will|would|should|must|may|cannot|not|you|we|they|please"
    r"|(?:how|want|need|able|order|you|used|have) to)"
)
_BEFORE_NOUN = r"(?:an?|the|this|these|your|our|its|each|every|any|some|of|in|for|with|on|from|by|about|into)"
_VERB = r"\s+(?:is|are|was|were|has|have|can|may|must)\b"
_NOUN_NEXT = re.compile(rf"\b{_BEFORE_NOUN}\s+$", re.I)


_NO_VERB = (
    "behind|beside|besides|inside|beyond|beneath|underneath|below|above|throughout|across|outside|along|near|amid|aboard"
    "|past|despite|unlike|versus|plus|minus|via|onto|until|towards?|almost|half|halfway|twice"
)
_ORDER = re.compile(
    rf"(?!(?i:{_NO_VERB}|{'|'.join(sorted(FUNCTION_WORDS))})\b)[A-Za-z][a-z]+(?<!ing)(?<!ed)(?<!ly) (?:a|an|the|your) \w"
)
"""What may be a verb that is in no list, with its object; or a name ("Alexander the Great"), which the text tells."""


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


def read(subject: str, text: str, small: set[str], names: set[str]) -> tuple[Reading, str]:
    """How a subject reads, and as such: of an -ing form that is an action, the verb. Empty: as either.

    small, names: words that the text writes small, and that are names (`spelling.capitals`). Verbs that are in no list are
    looked for in the text.

    >>> read("accepting the terms", "Accept the terms. I accept.", {"accept"}, set()), read("terms", "", set(), set())
    (('do', 'accept the terms'), ('about', 'terms'))
    """
    first, _, rest = subject.partition(" ")
    key, head = first.lower(), rest.partition(" - ")[0]  # behind a dash stands a name, such as the site's
    if verb := _verb(key, head, text, small):
        if activity(verb, key, head, text) == "about":
            return "about", subject
        return "do", f"{verb} " + re.sub(
            r"^(and|or) (\w+)", lambda m: f"{m[1]} {GERUNDS.get(m[2].lower(), m[2])}", head
        )
    if key in ACTIONS:
        found = order(key, head, text, ACTIONS)
        joined = re.sub(r"^(?:and|or) (\w+)", lambda m: m[0].lower() if m[1].lower() in ACTIONS else m[0], head)
        return (found, f"{key} {joined}") if found == "do" else (found, subject)
    if first in names or key in FUNCTION_WORDS or not key.isalpha():
        return "about", subject
    if _ORDER.match(subject):  # "Hang a shelf"
        is_verb = first.islower() or re.match(r"\w+ (?:a|an|your) ", subject)
        return ("do", f"{key} {head}") if is_verb else ("", subject)
    if (
        head.partition(" ")[0].lower() not in FUNCTION_WORDS | {""}
        and not key.endswith(("ing", "ed", "s"))
        and _does(key, rf"{re.escape(key.removesuffix('e'))}\w?ing", head, text)
    ):
        return "do", f"{key} {head}"
    return "about", subject


def _verb(gerund: str, rest: str, text: str, small: set[str]) -> str:
    """The verb of an -ing form that something follows; of one in no list only if the text has the verb with the object."""
    if not rest or not gerund.endswith("ing"):
        return ""
    if gerund in GERUNDS:
        return GERUNDS[gerund]
    stem = gerund.removesuffix("ing")
    forms = (stem, stem + "e", *([stem[:-1]] if stem[-1:] == stem[-2:-1] else []))
    verb = next((form for form in forms if form in small and len(form) > 2), "")
    return verb if verb and (_OBJECT.match(rest) or _does(verb, re.escape(gerund), rest, text)) else ""


def order(verb: str, rest: str, text: str, verbs: frozenset[str]) -> Reading:
    """How a title of a verb and what follows reads: as an order ("do"), as a thing ("about"), or as either ("").

    >>> order("water", "the plants", "", frozenset()), order("water", "pollution", "on water pollution.", frozenset())
    ('do', 'about')
    """
    if rest.lower().startswith("of "):
        return "about"
    if verb not in _NAMES and not _LABEL.fullmatch(f"{verb} {rest}"):
        return "do" if rest else ""
    if not rest:
        return "about"
    if _JOINED.match(rest):
        second, _, last = rest.partition(" ")[2].partition(" ")
        if second.lower() not in verbs:
            return "about"
        return "do" if second.lower() not in _NAMES or _OBJECT.match(last) else ""
    gerund = rf"{re.escape(verb.removesuffix('e'))}\w?ing"
    if _OBJECT.match(rest) or _APART.match(rest) or _TOLD.match(rest):
        return "do"
    if _does(verb, gerund, rest, text) or _follows(gerund, rest, text):
        return "do"
    named = _follows(rf"{_BEFORE_NOUN}\s+{re.escape(verb)}", rest, text) or _follows(re.escape(verb), rest, text, _VERB)
    return "about" if named else ""


def activity(verb: str, gerund: str, rest: str, text: str) -> Reading:
    """How a title of an -ing form and what follows reads; never as either: "about building sites" is right for both.

    >>> activity("wash", "washing", "the dishes", ""), activity("wash", "washing", "machines", "")
    ('do', 'about')
    """
    if rest.lower().startswith("of "):
        return "about"
    first, _, after = rest.lower().partition(" ")
    if _JOINED.match(rest) and not after.partition(" ")[0].endswith("ing"):  # "planning and implementation"
        return "about"
    if verb not in _KINDS or first in FUNCTION_WORDS or _OBJECT.match(rest) or _APART.match(rest):
        return "do"
    return "do" if _does(verb, re.escape(gerund), rest, text) else "about"


def _does(verb: str, gerund: str, rest: str, text: str) -> bool:
    """Whether the text has the verb, or its -ing form, with the same object. `gerund` is a regular expression."""
    found = [re.escape(w) for w in words(rest)[:3]]
    if not found:
        return False
    verb, objects = re.escape(verb), "|".join(w for w in found if w.lower() not in FUNCTION_WORDS) or found[0]
    with_object = rf"(?<![\w-])(?:{verb}|{gerund})[^\S\n]+{_DETERMINER}\s+(?:[\w-]+\s+){{0,2}}?(?:{objects})"
    for one in re.finditer(with_object, text, re.I):
        if not _NOUN_NEXT.search(text, max(one.start() - 12, 0), one.start()):
            return True
    as_verb = rf"\b{_BEFORE_VERB}\s+{verb}\s+{found[0]}\b|(?:^[^\S\n]*|[.:;]\s+)To\s+{verb}\s+{found[0]}\b"
    if len(words(rest)) > 3 and found[0].endswith("s"):  # longer than a name, with an object of which there are several
        as_verb += rf"|\b{verb}\s+them\b"
    return re.search(as_verb, text, re.I | re.M) is not None


def _follows(before: str, rest: str, text: str, after: str = "") -> bool:
    """Whether the text has the rest's first word between what two regular expressions find."""
    near = re.match(r"\W*([\w-]+)", rest)
    return bool(near and re.search(rf"\b{before}\s+{re.escape(near[1])}\b{after}", text, re.I))
