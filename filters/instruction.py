"""Rules that check whether what the language model wrote is an instruction for this document; `check` runs them all.

The thresholds are this project's own. They were set with instructions made from section titles of howto.tar, nearly all
of which must pass, and with sentences of the texts and instructions of other texts, which must not
(tests/filters/test_instruction.py; shares in docs/models.md).
"""

from __future__ import annotations

import difflib
import re

from filters.limits import within
from filters.text import FUNCTION_WORDS
from filters.words import is_heading, plain, sentences, words
from schemas.records import Document, Drop, Text

REQUESTS = frozenset(
    """answer clarify compare complete compose continue define demonstrate describe design discuss draft elaborate explain
explore finish give guide help identify illustrate introduce list make outline plan prepare present produce provide recommend
review show suggest summarise summarize talk teach tell walk write""".split()
)
"""Verbs that request a text."""

ACTIONS = frozenset(
    """add adjust analyze animate apply arrange assemble assess assign attach bake balance boil browse build buy
calculate calibrate capture care change check choose clean clear collect combine compare compute configure
connect control convert cook copy count create customize cut debug decorate define delete deny deploy describe
design detect determine develop disable display distribute download draw drive dry edit enable enter evaluate
examine execute export extend extract feed filter find fix fold follow freeze generate get give grow handle host
identify implement import improve insert install integrate interpret invite join keep knit launch learn load log
make manage map measure mend merge migrate mix modify monitor move navigate open order organize pack paint paste
pick pitch plan plant play plot poach position prepare prevent print program provision prune publish push put
read record reduce register remove rename repair replace request reset restore review rotate run save scale scan
schedule secure select send serve set sew share sharpen ship show simulate sketch solve sort split start stop
store stretch switch take teach test tie track train transfer translate trigger troubleshoot tune turn
understand uninstall update upgrade upload use validate verify view visit visualize walk wash water wire
withdraw work write""".split()
)
"""Verbs that a how-to text is about, and with which a request may begin."""

QUESTIONS = frozenset(
    "how what why when where which who whose whom can could is are do does did should will would".split()
)
AUXILIARIES = frozenset("am did had has have is may might must shall was were".split())
"""Verbs with which a question begins only if a question mark ends it."""
TELL = frozenset(
    """clarify compare demonstrate describe elaborate explain give guide help illustrate outline provide show summarise
summarize teach tell walk write""".split()
)
"""Verbs that still request a text behind a phrase such as "In this guide,"."""
WANTS = re.compile(
    r"(?:i|we) (?:want|need|would like|wish|am trying|have to|am looking)\b"
    r"|i['’]d like\b|let['’]?s ",
    re.I,
)
POLITE = re.compile(r"^(?:please|kindly|in (?:a few|simple|your own) \w+|step[- ]by[- ]step|with pictures)[, ]+", re.I)
LEADING = re.compile(
    r"(?:as|at|based on|by|for|from|given|in|looking at|on|to|using|with)\s[^,.:;!?]{1,100},\s+(?=\S)", re.I
)
"""One phrase that may stand before a request or a question."""
ASKING = re.compile(
    r"^(?:(?:please|can you|could you|would you|kindly)\s+)*"
    r"(?:(?:explain|describe|show|teach|tell|give|help|walk|write|guide)"
    r"(?: to)?(?: me| us| a beginner)?)?(?:[, ]+with pictures,?| step by step| through the steps to| illustrated "
    r"instructions to| an illustrated \w+(?: that shows)?)?(?:\s*(?:how (?:to|do i|can i)|what is|about|to))?\s+",
    re.I,
)
PLACEHOLDERS = re.compile(
    r"\.\.\.|…|[\[\]{}<>]|@\w+@|\b(?:(?:this|(?:the )?(?:above|following|given|provided)) "
    r"(?:text|passage|document|excerpt|article)"
    r"|(?:the )?text above|the instruction that|names? its subject|its domain|(?:this|the) topic|one sentence that"
    r"|(?:the|this) following (?:image|picture)s?|insert \w+ here|your instruction here"
    r"|asks for it|json object)(?!\w)",
    re.I,
)
"""Signs of text that is not an instruction: gaps to fill in, and phrases of the prompt itself."""

FRAME = (
    frozenset(
        """article beginner detail detailed explanation guide guideline guidelines illustrated illustration
illustrations image images instruction instructions introduction know lesson look looks overview photo photos picture
pictures please short simple step steps text tutorial want understand work works way ways example examples""".split()
    )
    | REQUESTS
)
"""Words of the request itself, which say nothing about the subject."""
_NO_SUBJECT = FUNCTION_WORDS | FRAME


def check(instruction: str, document: Document) -> Drop | None:
    """The first reason why this is not an instruction for the document (an excerpt); None if it is one."""
    for rule in (length, asks, placeholder):
        if drop := rule(instruction):
            return drop
    for comparison in (about, copied_step, gives_away):
        if drop := comparison(instruction, document):
            return drop
    return None


def length(instruction: str, *, at_least: int = 3, at_most: int = 40) -> Drop | None:
    """The number of words: two only name a topic, more than forty contain the answer."""
    return within("instruction_length", len(words(instruction)), at_least, at_most)


def asks(instruction: str) -> Drop | None:
    """1 if it is a question or a wish, or begins with a verb in the imperative; else 0.

    >>> asks("Explain how to prune a tree."), asks("Pruning trees")
    (None, Drop(rule='instruction_asks', value=0.0, threshold=1.0))
    >>> asks("What's a saw?"), asks("Using the pictures, describe a saw.")
    (None, None)
    """
    text = POLITE.sub("", instruction.strip())
    asked = AUXILIARIES | QUESTIONS if text.endswith("?") else frozenset()
    good = _first(text) in REQUESTS | ACTIONS | QUESTIONS | asked or WANTS.match(text) is not None
    if not good and (leading := LEADING.match(text)):
        good = _first(POLITE.sub("", text[leading.end() :])) in TELL | asked
    return within("instruction_asks", float(good), at_least=1.0)


def _first(text: str) -> str:
    """The first word, in small letters and without what an apostrophe joins to it: `what` of `What's`."""
    return (words(text) or [""])[0].lower().replace("’", "'").partition("'")[0]


def placeholder(instruction: str) -> Drop | None:
    """The number of gaps to fill in and of phrases of the prompt; none is allowed."""
    return within("instruction_placeholder", len(PLACEHOLDERS.findall(instruction)), at_most=0)


def about(instruction: str, document: Document, *, at_least: float = 0.5) -> Drop | None:
    """The share of the instruction's content words that the document has too, compared by their first 5 letters."""
    subject = {stem(w) for w in subject_words(instruction)}
    known = {stem(w) for w in words(_everything(document))}
    return within("instruction_about", len(subject & known) / len(subject) if subject else 0.0, at_least=at_least)


def subject_words(instruction: str) -> list[str]:
    """The words that say what the instruction is about.

    >>> subject_words("Explain how to fold a paper boat.")
    ['fold', 'paper', 'boat']
    >>> subject_words("What's a boat's keel?")
    ["boat's", 'keel']
    """

    def of_the_request(word: str) -> bool:
        small = word.lower().replace("’", "'")
        return small in _NO_SUBJECT or small.partition("'")[0] in _NO_SUBJECT

    return [w for w in words(instruction) if not of_the_request(w)]


def copied_step(instruction: str, document: Document, *, at_most: float = 0.8) -> Drop | None:
    """The similarity of the instruction (without its "explain how to") to the most similar sentence of the document.

    difflib's ratio over words, 0 to 1. Sentences of fewer than five words and headings are not compared: they are names
    rather than steps.
    """
    asked = _folded(ASKING.sub("", instruction.strip()))
    steps = [_folded(s) for text in document.texts if not is_heading(text) for s in sentences(plain(text))]
    alike = max(
        (difflib.SequenceMatcher(None, asked, step, autojunk=False).ratio() for step in steps if len(step) >= 5),
        default=0.0,
    )
    return within("instruction_copied", alike, at_most=at_most)


def gives_away(instruction: str, document: Document, *, at_most: int = 8) -> Drop | None:
    """The longest sequence of words that the instruction shares with the document's text (without headings)."""
    asked = _folded(instruction)
    body = [w for text in document.texts if not is_heading(text) for w in _folded(plain(text))]
    match = difflib.SequenceMatcher(None, asked, body, autojunk=False).find_longest_match()
    return within("instruction_gives_away", match.size, at_most=at_most)


def _everything(document: Document) -> str:
    return "\n".join(s.text if isinstance(s, Text) else f"{s.alt} {s.caption}" for s in document.segments)


def _folded(text: str) -> list[str]:
    return [w.casefold() for w in words(text)]


def stem(word: str) -> str:
    """The first five letters of a word, in small ones: by them an instruction's words are compared with others."""
    return word.casefold()[:5]
