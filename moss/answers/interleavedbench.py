"""Reads InterleavedBench's JSON (arXiv 2406.14643).

Its questions with reference answers, or a system's answers in the same form.

A list of {"id" or "sample_id", "image": [names], "conversations": [{"from": "human" | "gpt", "value"}, ...]}. Each
`<image>` stands for the next name, over all turns; the remaining images come at the end of the last turn. The first
turn is the question, the first `gpt` turn the answer. The part of a question before its first image is its instruction;
the rest is its context.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from typing import Any

from moss.answers.folder import Answered
from schemas.codec import parse_json
from schemas.errors import UserError
from schemas.records import Text

MARK = re.compile(r"(?:<BEGIN>\s*)?<image>(?:[^\S\n]*\.(?!\w))?|<BEGIN>")  # a full stop often follows the placeholder
IMAGE_ONLY = ("editing", "composition", "subject")
"""Parts of the names of use cases whose answer is only an image; the benchmark leaves out the two text aspects for them
(its data card). The names were not checked against the published file, which may spell them differently."""

Segments = list[Text | pathlib.Path]


def read(path: pathlib.Path, images: pathlib.Path) -> Iterator[Answered]:
    """The questions and answers of a file. Raises UserError, with the record's number, for an invalid record."""
    try:
        records = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not isinstance(records, list):
        raise UserError(f"{path} must hold a list of conversations")
    for number, record in enumerate(records):
        try:
            yield _answer(record, images)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UserError(f"{path}, record {number}: {error!r}") from error


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
    task = str(record.get("task_name") or record.get("task") or record.get("use_case") or "").lower()
    expects = ("image",) if any(word in task for word in IMAGE_ONLY) else ("text", "image")
    return Answered(str(record.get("id", record.get("sample_id"))), instruction.text, context, answer, expects)


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
