"""An answer of ours as a folder of answers holds it, and as a page shows it."""

from __future__ import annotations

import dataclasses
import pathlib
import re

import PIL.Image

from moss.answers import folder
from moss.answers.folder import Answered
from moss.generation import page
from moss.generation.decoding import Answer, Sampling
from schemas.errors import UserError
from schemas.records import Text

Segments = list[Text | PIL.Image.Image]


@dataclasses.dataclass(frozen=True)
class GenerationResult:
    """A question, what was answered, and the reference to compare it with, where there is one."""

    key: str
    instruction: str
    context: Segments
    answer: Answer
    segments: Segments
    reference: Segments | None = None


def entry(result: GenerationResult) -> page.Entry:
    columns = [page.Column("Answer", result.segments, summary(result))]
    if result.reference is not None:
        columns.insert(0, page.Column("Reference", result.reference))
    return page.Entry(result.key, result.instruction, result.context, columns)


def summary(result: GenerationResult) -> str:
    images = sum(not isinstance(segment, Text) for segment in result.segments)
    end = "" if result.answer.finished else ", stopped by the budget"
    return f"{len(result.answer.ids):,} tokens, {images} image{'s' * (images != 1)}{end}"


def files(result: GenerationResult, model: str, sampling: Sampling) -> dict[str, bytes]:
    """answer.json and the pictures that it names (see moss/answers/folder.py)."""
    answered = Answered(result.key, result.instruction, result.context, result.segments)
    more = {
        "finished": result.answer.finished,
        "tokens": len(result.answer.ids),
        "model": model,
        "sampling": dataclasses.asdict(sampling),
    }
    return folder.files(answered, more)


def check_output(place: pathlib.Path) -> None:
    """Earlier answers may be replaced, and nothing else. Raises UserError."""
    if place.exists() and not (place.is_dir() and all(map(_ours, place.iterdir()))):
        raise UserError(f"{place} holds something else than answers; name another --output")


def _ours(path: pathlib.Path) -> bool:
    return (
        bool(re.fullmatch(rf"page\.html|{re.escape(folder.FILE)}|\d+\.png", path.name))
        or (path / folder.FILE).is_file()
    )
