"""How instructions are worded: the kinds of request, which of them a document gets, and an answer in these words.

Left alone, a model words most instructions in the same way. So a hash of the document's id chooses the kind and the
words, in the shares that the configuration names. A prompt set says in `write/wordings.yaml` what the words are: either
`ask`, a sentence for the question to the model, which words the instruction itself; or the frames `do` and `about`, into
which the subject of the model's answer is put. Frames are for small models, which name a subject well and follow no
advice; `answers` are the forms in which such a model was trained to answer, from which the subject is taken.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Sequence
from typing import Literal

from filters.instruction import asks, length, placeholder
from filters.words import plain
from prompts.readings import read
from prompts.spelling import HEADING, capitals, long_names, spelled, with_article
from schemas import settings
from schemas.errors import UserError
from schemas.records import Document

Kind = Literal["how_to", "question", "explanation", "continuation", "comparison"]
BASIC: tuple[Kind, ...] = ("how_to", "question", "explanation")
_COMPARES = re.compile(
    r"\b(?:compar\w+|differ|differs|different|differences?|differently|versus|vs|unlike|whereas|than)\b", re.I
)
_OPENING = re.compile(
    r"^(?:an? |the )?(?:(?:brief|short|quick) )?(?:introduction to|overview of|basics of|learn(?:ing)? about|about) ",
    re.I,
)
_TO_YOU = re.compile(r"\b(?:you|your|yours|yourself)\b", re.I)
_BY_ME = re.compile(r"\bI\b|\bme (?:to )?\{|\bwho wants to\b|^Let's")  # frames in which the asker does it
_PAIR = re.compile(r"\S (?:and|or|versus|vs\.?) (?:the |an? )?\S")


@dataclasses.dataclass(frozen=True)
class Kinds:
    """The share of each kind of instruction, from 0 to 1.

    continuation: of documents with a context; such an instruction asks for what follows. comparison: of the documents
    that compare things. The others are shares of the rest, and their sum is 1.
    """

    how_to: float = 0.35
    question: float = 0.35
    explanation: float = 0.3
    continuation: float = 1.0
    comparison: float = 0.4


@dataclasses.dataclass(frozen=True)
class Wording:
    """One way to word an instruction of a kind; `pictures`: whether it asks for pictures.

    ask: a sentence for the question. do, about: frames with `{}` for the subject, if it is an action ("fold a boat"),
    and if it is a thing ("boats").
    """

    kind: Kind
    pictures: bool = False
    ask: str = ""
    do: str = ""
    about: str = ""


@dataclasses.dataclass(frozen=True)
class Answers:
    """The forms of a model's answers, with `{}` for the subject: an action or a thing."""

    do: tuple[str, ...] = ()
    about: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Wordings:
    """The file `write/wordings.yaml`; without it, a model's own words are kept."""

    wordings: tuple[Wording, ...] = ()
    answers: Answers = Answers()
    wholes: tuple[str, ...] = ()
    """Sentences with `{}` for the subject of the whole document, if the text is a part of it."""

    def choose(
        self, document: Document, kinds: Kinds, with_pictures: float, salt: str, *, context: bool
    ) -> tuple[Wording, ...]:
        """The wordings for a document, in the order in which they are tried; empty if there are none.

        The hash of salt and id decides, so that every run chooses the same. `with_pictures` is the share that asks for
        pictures. context: whether the instance will have a context.
        """
        digest = hashlib.blake2b(document.id.encode(), digest_size=40, key=salt.encode(), person=b"wording").digest()
        draws = [int.from_bytes(digest[at : at + 8]) / 2**64 for at in range(0, 40, 8)]
        kind = _drawn(kinds, draws[2])
        if compares(document) and draws[1] < kinds.comparison:
            kind = "comparison"
        if context and draws[0] < kinds.continuation:
            kind = "continuation"
        pictures = draws[3] < with_pictures
        found: list[Wording] = []
        for one in dict.fromkeys((kind, "explanation")):
            rows = [w for w in self.wordings if w.kind == one and w.pictures == pictures]
            first = int(draws[4] * len(rows))
            found += rows[first:] + rows[:first]
        return tuple(found)

    def reworded(self, answer: str, document: Document, wordings: Sequence[Wording]) -> str:
        """The answer's subject in the first of `wordings` with a frame for it.

        The answer as it is, if there is no such frame, if it has none of the known forms, or if the result would not
        be an instruction.
        """
        form, subject = self.subject(answer)
        text = plain(HEADING.sub("", "\n".join(document.texts)))
        subject = _written(_OPENING.sub("", subject) or subject, text)
        if form == "about":
            reading, said = read(subject, text, *capitals(text))
            form, subject = ("do", said) if reading == "do" else (form, with_article(subject, text))
        if form == "do":
            subject = _small(subject)
        for wording in wordings:
            frame = wording.do if form == "do" else wording.about if form == "about" else ""
            if form == "do" and _TO_YOU.search(subject) and _BY_ME.search(frame):
                continue  # "so that I can build a sundial for your garden"
            if frame and (wording.kind != "comparison" or _PAIR.search(subject)):
                made = frame.replace("{}", subject)
                return answer if length(made) or asks(made) or placeholder(made) else made
        return answer

    def subject(self, answer: str) -> tuple[str, str]:
        """What an answer is about, and whether that is an action (`do`) or a thing (`about`); two empty texts if unknown.

        >>> Wordings(answers=Answers(do=("How do I {}?",), about=("Explain {}.",))).subject("Explain tea.")
        ('about', 'tea')
        """
        forms = [("do", form) for form in self.answers.do] + [("about", form) for form in self.answers.about]
        ends = sorted({form.partition("{}")[2].rstrip(".?!") for _, form in forms} - {""}, key=len, reverse=True)
        for name, form in sorted(forms, key=lambda form: -len(form[1].partition("{}")[0])):
            before = form.partition("{}")[0]
            if answer.casefold().startswith(before.casefold()):
                rest = _without(answer[len(before) :], ends)
                if name == "about" and rest.lower().startswith("how to "):
                    name, rest = "do", rest[len("how to ") :]
                return (name, rest) if rest else ("", "")
        return "", ""


def compares(document: Document) -> bool:
    """Whether the text has at least three words with which things are compared."""
    return len(_COMPARES.findall(plain("\n".join(document.texts)))) >= 3


def load(path: pathlib.Path) -> Wordings:
    """The wordings in a YAML file; none if there is no file. Raises UserError."""
    if not path.is_file():
        return Wordings()
    found = settings.build(Wordings, settings.read(str(path)), str(path))
    frames = [frame for wording in found.wordings for frame in (wording.do, wording.about) if frame]
    for frame in (*frames, *found.answers.do, *found.answers.about, *found.wholes):
        if frame.count("{}") != 1:
            raise UserError(f"{path}: {frame!r} must have {{}} once, where the subject stands")
    for number, wording in enumerate(found.wordings):
        if not (wording.ask or wording.do or wording.about):
            raise UserError(f"{path}: wordings[{number}] needs `ask`, or the frames `do` and `about`")
    return found


def _drawn(kinds: Kinds, draw: float) -> Kind:
    for kind in BASIC:
        draw -= getattr(kinds, kind)
        if draw < 0:
            return kind
    return BASIC[-1]


def _without(text: str, ends: Sequence[str]) -> str:
    """The text without the ends of forms, however many follow each other."""
    before = ""
    while text != before:
        before = text
        text = text.strip(" .?!,")
        for end in ends:
            text = text.removesuffix(end)
    return text


def _written(subject: str, text: str) -> str:
    """The subject with a small first letter, if the text has its first word in small letters and it begins no name.

    One that begins small and goes on with a capital is spelled as the text has it ("privacy Act").
    """
    if re.match(r"[a-z]+,? [A-Z][a-z]", subject):
        return spelled(subject, text)
    first = re.match(r"[A-Z][a-z'’-]*(?!\w)", subject)
    if re.match(r"(?!\w+ing )\S+ [A-Z][a-z]", subject):  # what has capitals together keeps them together
        return subject
    if any(subject.startswith(name) for name in long_names(text)):
        return subject
    if first and re.search(rf"(?<![\w-]){re.escape(first[0].lower())}(?![\w-])", text):
        return subject[0].lower() + subject[1:]
    return subject


def _small(action: str) -> str:
    """The action with a small first letter: it begins with a verb, which is no name, unless it has other capitals."""
    first = action.partition(" ")[0]
    return action if first[1:] != first[1:].lower() else action[:1].lower() + action[1:]
