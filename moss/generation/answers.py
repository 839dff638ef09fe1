"""An answer on disk: output.json with its segments, the pictures that it names, and the folder as a whole."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib
import re
import shutil
import uuid

import PIL.Image

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
    """output.json and the pictures that it names."""
    members: dict[str, bytes] = {}
    segments: list[dict[str, str | int]] = []
    for segment in result.segments:
        if isinstance(segment, Text):
            segments.append({"type": "text", "text": segment.text})
            continue
        name, file = f"{len(members):02d}.png", io.BytesIO()
        segment.save(file, "PNG")
        members[name] = file.getvalue()
        segments.append({"type": "image", "image": name, "width": segment.width, "height": segment.height})
    record = {
        "instruction": result.instruction,
        "output": segments,
        "finished": result.answer.finished,
        "tokens": len(result.answer.ids),
        "model": model,
        "sampling": dataclasses.asdict(sampling),
    }
    return {"output.json": json.dumps(record, indent=2, ensure_ascii=False).encode() + b"\n", **members}


def check_output(folder: pathlib.Path) -> None:
    """Earlier answers may be replaced, and nothing else. Raises UserError."""
    if folder.exists() and not (folder.is_dir() and all(map(_ours, folder.iterdir()))):
        raise UserError(f"{folder} holds something else than answers; name another --output")


def publish(folder: pathlib.Path, files: dict[str, bytes]) -> None:
    """The folder with these files, whole or not at all, in the place of an earlier one."""
    folder = folder.absolute()
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        for name, content in files.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_bytes(content)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _ours(path: pathlib.Path) -> bool:
    return bool(re.fullmatch(r"page\.html|output\.json|\d+\.png", path.name)) or (path / "output.json").is_file()
