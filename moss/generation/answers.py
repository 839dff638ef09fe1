"""Writes our answers as a folder of answers and for the page, and reads them again."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Any

import PIL.Image

from moss.answers import folder
from moss.answers.folder import Answered
from moss.generation import page
from moss.generation.decoding import Answer
from schemas.codec import parse_json
from schemas.errors import UserError
from schemas.records import Text

Segments = list[Text | PIL.Image.Image]
NAMES = {"weights": "model", "decoder": "pixel decoder", "sampling": "sampling"}
"""What decides an answer besides its question: the field in answer.json, and how messages call it."""


@dataclasses.dataclass(frozen=True)
class GenerationResult:
    """A question, the answer (None: not answered yet), and the reference to compare it with, if there is one."""

    key: str
    instruction: str
    context: Segments
    answer: Answer | None
    segments: Segments
    reference: Segments | None = None


def entry(result: GenerationResult) -> page.Entry:
    """A question with its answer and reference, for the page."""
    columns = [page.Column("Answer", result.segments, summary(result))]
    if result.reference is not None:
        columns.insert(0, page.Column("Reference", result.reference))
    return page.Entry(result.key, result.instruction, result.context, columns)


def summary(result: GenerationResult) -> str:
    """One line about an answer, for the terminal."""
    assert result.answer is not None
    images = sum(not isinstance(segment, Text) for segment in result.segments)
    end = "" if result.answer.finished else ", stopped by the budget"
    return f"{len(result.answer.ids):,} tokens, {images} image{'s' * (images != 1)}{end}"


def files(result: GenerationResult, facts: dict[str, Any]) -> dict[str, bytes]:
    """answer.json, with `facts` (model, weights, sampling), and the pictures that it names (moss/answers/folder.py)."""
    assert result.answer is not None
    answered = Answered(result.key, result.instruction, result.context, result.segments)
    more = {"finished": result.answer.finished, "tokens": len(result.answer.ids), **facts}
    return folder.files(answered, more)


def from_disk(question: GenerationResult, output: pathlib.Path) -> GenerationResult:
    """A question with the answer that is in the folder `output`."""
    [found] = folder.read(output / question.key)
    record = parse_json((output / question.key / folder.FILE).read_bytes())
    segments = [s if isinstance(s, Text) else folder.opened(s) for s in found.output]
    written = Answer((0,) * record["tokens"], record["finished"], record["tokens"])
    return dataclasses.replace(question, answer=written, segments=segments)


def shown(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts as (name, value) for the page."""
    named = {**facts, **facts["sampling"]}
    del named["sampling"]
    return [(key.replace("_", " ").capitalize(), str(value)) for key, value in named.items() if value is not None]


def check_same(output: pathlib.Path, facts: dict[str, Any]) -> None:
    """Raise UserError unless existing answers are of the same weights, decoder and sampling."""
    for path in sorted(output.glob(f"[!.]*/{folder.FILE}")):
        folder.read(path.parent)  # refuses one that is damaged
        record = parse_json(path.read_bytes())
        for key in ("weights", "decoder", "sampling"):
            if record.get(key) != facts[key]:
                raise UserError(f"{path} was written with another {NAMES[key]}; name another --output")


def check_question(question: GenerationResult, output: pathlib.Path) -> None:
    """Raise UserError if the answer to a question's key in `output` is one to another question."""
    [found] = folder.read(output / question.key)
    asked = Answered(question.key, question.instruction, question.context, [], found.expects)
    if part := folder.other_part(asked, found):
        raise UserError(
            f"{output / question.key} answers another question: the {part} under this key is another one now; name "
            "another --output"
        )


def check_output(place: pathlib.Path, *, one: bool) -> None:
    """Raise UserError unless the folder is new, or holds what this command may replace.

    one: a single answer, which replaces the whole folder, and so only another single answer. Else answers to instances,
    each in a folder, perhaps beside what a killed process left.
    """
    if not place.exists():
        return
    found = list(place.iterdir()) if place.is_dir() else [place]
    files = rf"page\.html|{re.escape(folder.FILE)}|\d+\.png" if one else r"page\.html|\..*"
    strange = [path for path in found if not re.fullmatch(files, path.name)]
    answered = [path for path in strange if (path / folder.FILE).is_file()]
    if one and answered:
        raise UserError(
            f"{place} holds the answers to {len(answered)} instances, which one answer would replace; name another --output"
        )
    if not one and (place / folder.FILE).is_file():
        raise UserError(f"{place} holds a single answer; name another --output for answers to --shards")
    if strange and (one or answered != strange):
        raise UserError(f"{place} holds something else than answers; name another --output")
