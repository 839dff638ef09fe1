"""Reads InterleavedBench's JSON (arXiv 2406.14643).

Its questions with reference answers, or a system's answers in the same form.

A list of {"id" or "sample_id", "image": [names], "conversations": [{"from": "human" | "gpt", "value"}, ...]}. Each
`<image>` stands for the next name, over all turns; the remaining images come at the end of the last turn. The first
turn is the question, the first `gpt` turn the answer. The part of a question before its first image is its instruction;
the rest is its context. A record's task is its "task_name", "task" or "use_case".
"""

from __future__ import annotations

import collections
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from moss.answers.folder import Answered, check_texts
from schemas.codec import parse_json
from schemas.errors import UserError
from schemas.records import Text

MARK = re.compile(r"(?:<BEGIN>\s*)?<image>(?:[^\S\n]*\.(?!\w))?|<BEGIN>")  # a full stop often follows the placeholder
TASK = ("task_name", "task", "use_case")
"""Where a record may name its task; the names were not checked against the published file."""
IMAGE_ONLY = ("editing", "composition", "subject")
"""Parts of the names of use cases whose answer is only an image; the benchmark leaves out the two text aspects for them
(its data card). The names were not checked against the published file, which may spell them differently."""

Segments = list[Text | pathlib.Path]


def read(path: pathlib.Path, images: pathlib.Path) -> Iterator[Answered]:
    """The questions and answers of a file. Raises UserError, with the record's number, for an invalid record."""
    for number, record in enumerate(_records(path)):
        try:
            answer = _answer(record, images)
            check_texts(answer)
            yield answer
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UserError(f"{path}, record {number}: {error!r}") from error


def tasks(path: pathlib.Path) -> str:
    """The tasks of a file's records, with their numbers and what is expected of each, on a line each."""
    counted = collections.Counter(_task(record) for record in _records(path))
    lines = []
    for task, count in sorted(counted.items()):
        if task:
            expected = "images only" if _expects(task) == ("image",) else "text and images"
            lines.append(f"{count} of task {task!r}: {expected} are expected")
        else:
            lines.append(
                f"{count} without a task (none of {', '.join(TASK)} is in the record): text and images are expected, so "
                "an answer of images alone gets 0 in the text aspects"
            )
    return "\n".join(lines)


def _records(path: pathlib.Path) -> list[Any]:
    try:
        records = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not isinstance(records, list):
        raise UserError(f"{path} must hold a list of conversations")
    return records


def _task(record: dict[str, Any]) -> str:
    """The task that a record names; empty if it names none."""
    return next((str(record[name]) for name in TASK if record.get(name)), "")


def _expects(task: str) -> tuple[str, ...]:
    return ("image",) if any(word in task.lower() for word in IMAGE_ONLY) else ("text", "image")


def _answer(record: dict[str, Any], images: pathlib.Path) -> Answered:
    named = record.get("image") or []
    names = iter([named] if isinstance(named, str) else named)
    question: Segments = []
    answer: Segments = []
    for turn in record["conversations"]:
        part = answer if turn["from"] in ("gpt", "assistant") else question
        part += _segments(turn["value"], names, images)
    part += [_path(name, images) for name in names]
    instruction, *context = question if question and isinstance(question[0], Text) else [Text(""), *question]
    assert isinstance(instruction, Text)
    key = str(record.get("id", record.get("sample_id")))
    return Answered(key, instruction.text, context, answer, _expects(_task(record)))


def _segments(value: str, names: Iterator[str], images: pathlib.Path) -> Segments:
    found: Segments = []
    at = 0
    for mark in MARK.finditer(value):
        found += _text(value[at : mark.start()])
        at = mark.end()
        if "<image>" in mark[0]:
            name = next(names, None)
            if name is None:
                raise ValueError("more placeholders than images")
            found.append(_path(name, images))
    return found + _text(value[at:])


def _path(name: str, images: pathlib.Path) -> pathlib.Path:
    path = images / name
    if not path.resolve().is_relative_to(images.resolve()) or not path.is_file():
        raise ValueError(f"{images} has no {name}")
    return path


def _text(value: str) -> list[Text]:
    return [Text(value.strip())] if value.strip() else []
