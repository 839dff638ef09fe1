"""Reads and writes folders of answers, which any system can write.

One folder for each answer, with answer.json and images.

    ANSWERS/<key>/answer.json       {"key": "...", "instruction": "...", "context": [SEGMENT, ...],
                                     "output": [SEGMENT, ...], "expects": ["text", "image"]}
    ANSWERS/<key>/00.png ...        the pictures that it names

A segment is {"type": "text", "text": ...} or {"type": "image", "image": FILE}; FILE is null for a picture that the
system began and did not deliver. `expects` are the kinds of segments that the task asks for; without it, both. The key
is the question's: systems are compared key by key. "failed" is the reason why there is no (whole) answer, if the system
was not asked properly, such as a server that refused: the judge leaves the question out, so that this is no score. Other
names in answer.json are ignored.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import os
import pathlib
import re
import shutil
import urllib.parse
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import PIL.Image

from schemas.codec import parse_json
from schemas.errors import UserError
from schemas.images import decode_foreign, opaque, open_foreign
from schemas.records import Text

FILE = "answer.json"
KINDS = ("text", "image")
LEFT = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{32}(?P<old>\.old)?", re.DOTALL)
"""The names that a killed process leaves, see `publish`."""
MOST_FAILED = 0.05
"""The largest share of failed answers, or of questions to a judge without a valid reply; with more, a command stops."""
Segment = Text | PIL.Image.Image | pathlib.Path
Segments = Sequence[Segment]
"""Texts and images; a path is an image that is read when it is needed."""


@dataclasses.dataclass(frozen=True)
class Answered:
    """A question and one system's answer.

    expects: what the task asks for, of KINDS. missing: pictures that the system began and did not deliver. failed: why
    this is no answer to judge; empty if it is one.
    """

    key: str
    instruction: str
    context: Segments
    output: Segments
    expects: tuple[str, ...] = KINDS
    missing: int = 0
    failed: str = ""

    @property
    def texts(self) -> list[str]:
        """The texts that are more than blanks."""
        return [segment.text for segment in self.output if isinstance(segment, Text) and segment.text.strip()]

    @property
    def pictures(self) -> list[PIL.Image.Image | pathlib.Path]:
        return [segment for segment in self.output if not isinstance(segment, Text)]

    @property
    def empty(self) -> bool:
        """Whether there is neither an image nor any text but blanks."""
        return not self.texts and not self.pictures


def other_part(one: Answered, other: Answered) -> str:
    """The part in which two answers' questions differ: "instruction", "context", "expects"; empty if they are the same.

    Blanks around texts do not count; images are the same if their pixels are.
    """
    if one.instruction.strip() != other.instruction.strip():
        return "instruction"
    if len(one.context) != len(other.context) or not all(map(_same, one.context, other.context)):
        return "context"
    return "" if set(one.expects) == set(other.expects) else "expects"


def _same(one: Segment, other: Segment) -> bool:
    if isinstance(one, Text) or isinstance(other, Text):
        return isinstance(one, Text) and isinstance(other, Text) and one.text.strip() == other.text.strip()
    if isinstance(one, pathlib.Path) and isinstance(other, pathlib.Path) and one.read_bytes() == other.read_bytes():
        return True
    return (first := opened(one)).size == (second := opened(other)).size and first.tobytes() == second.tobytes()


def opened(picture: PIL.Image.Image | pathlib.Path) -> PIL.Image.Image:
    """The picture in RGB, upright, white where it is transparent. Raises UserError for a file that cannot be decoded."""
    return opaque(upright(picture))


def upright(picture: PIL.Image.Image | pathlib.Path) -> PIL.Image.Image:
    """The picture as a camera's photo is meant to be seen. Raises UserError for a file that cannot be decoded."""
    try:
        if isinstance(picture, pathlib.Path):
            return decode_foreign(open_foreign(io.BytesIO(picture.read_bytes())))
        return decode_foreign(picture)
    except (OSError, ValueError) as error:
        raise UserError(f"{picture} cannot be read as a picture: {error}") from error


def read(folder: pathlib.Path) -> list[Answered]:
    """The answers of a folder, in the order of their keys.

    Raises UserError, with the name of the file, for an invalid one.
    """
    places = [folder] if (folder / FILE).is_file() else sorted(path.parent for path in folder.glob(f"[!.]*/{FILE}"))
    if not places:
        raise UserError(f"{folder} holds no answers (no {FILE} in it or in its folders)")
    found = sorted((_answer(place) for place in places), key=lambda answer: answer.key)
    for one, other in itertools.pairwise(found):
        if one.key == other.key:
            raise UserError(f"{folder} answers {one.key} twice")
    return found


def check_texts(answer: Answered) -> None:
    """Raise ValueError for a text that cannot be written, because it has half of a surrogate pair (JSON can say so)."""
    texts = [segment.text for segment in (*answer.context, *answer.output) if isinstance(segment, Text)]
    try:
        "".join([answer.key, answer.instruction, answer.failed, *texts]).encode()
    except UnicodeEncodeError:
        raise ValueError("a text has half of a surrogate pair") from None


def files(answer: Answered, more: dict[str, Any] | None = None) -> dict[str, bytes]:
    """The files of an answer's folder: answer.json, with the additional fields `more`, and the images that it names."""
    members: dict[str, bytes] = {}
    record = {
        "key": answer.key,
        "instruction": answer.instruction,
        "context": _written(answer.context, members),
        "output": [
            *_written(answer.output, members),
            *({"type": "image", "image": None} for _ in range(answer.missing)),
        ],
        "expects": list(answer.expects),
        **({"failed": answer.failed} if answer.failed else {}),
        **(more or {}),
    }
    return {FILE: json.dumps(record, indent=2, ensure_ascii=False).encode() + b"\n", **members}


def check_failed(reasons: Sequence[str], advice: str) -> int:
    """How many answers failed; `reasons` is what each of them has in `failed`.

    Raises UserError, with the first reason and the advice, if more than MOST_FAILED did.
    """
    failed = [reason for reason in reasons if reason]
    if len(failed) > MOST_FAILED * len(reasons):
        raise UserError(f"{len(failed)} of {len(reasons)} answers failed (the first: {failed[0]}); {advice}")
    return len(failed)


def name_of(key: str) -> str:
    """The name of the folder of an answer with this key.

    >>> name_of("wikihow/12")
    'wikihow%2F12'
    """
    return urllib.parse.quote(key, safe=" ").replace(".", "%2E") or "answer"


def publish(folder: pathlib.Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write a folder with these files (path in it, content) atomically.

    It replaces an earlier one, which stays if the new one cannot take its place. A process that is killed leaves
    `.NAME.<32 hex digits>` beside the folder, or the earlier folder as `.NAME.<32 hex digits>.old` (see `tidy`).
    """
    folder = folder.absolute()
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    old = partial.with_name(f"{partial.name}.old")
    try:
        partial.mkdir(parents=True)
        for name, content in files:
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_bytes(content)
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(partial, folder)
        except OSError:
            if old.exists():
                os.replace(old, folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def tidy(place: pathlib.Path) -> None:
    """Remove what killed processes left in a folder while they published in it.

    An earlier folder that was moved away and not replaced is put back. Only for a process that publishes there alone:
    what another one is just writing looks the same.
    """
    for path in sorted(place.glob(".*")):
        if not (left := LEFT.fullmatch(path.name)):
            continue
        if left["old"] and not (place / left["name"]).exists():
            os.replace(path, place / left["name"])
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _answer(place: pathlib.Path) -> Answered:
    path = place / FILE
    try:
        if not path.is_file():  # a device would never end
            raise ValueError("it is no file")
        record = parse_json(path.read_bytes())
        context, _ = _read(record.get("context", []), place)
        output, missing = _read(record["output"], place)
        expects = tuple(record.get("expects", KINDS))
        instruction, failed = record["instruction"], record.get("failed", "")
        if not isinstance(instruction, str) or not expects or not set(expects) <= set(KINDS):
            raise ValueError("instruction must be a text, expects a list of text and image")
        if not isinstance(failed, str):
            raise ValueError("failed must be a text")
        answer = Answered(str(record.get("key") or place.name), instruction, context, output, expects, missing, failed)
        check_texts(answer)
        return answer
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no answer as moss/answers/folder.py describes it: {error!r}") from error


def _read(segments: Any, place: pathlib.Path) -> tuple[list[Text | pathlib.Path], int]:
    found: list[Text | pathlib.Path] = []
    missing = 0
    for segment in segments:
        if segment["type"] == "text":
            if not isinstance(segment["text"], str):
                raise ValueError("a text that is none")
            found.append(Text(segment["text"]))
        elif segment["image"] is None:
            missing += 1
        else:
            path = place / segment["image"]
            if not path.resolve().is_relative_to(place.resolve()) or not path.is_file():
                raise ValueError(f"{segment['image']} lies outside, or is no file")
            try:
                with open(path, "rb") as file:
                    open_foreign(file)
            except ValueError as error:
                raise ValueError(f"{segment['image']} cannot be read as a picture: {error}") from error
            found.append(path)
    return found, missing


def _written(segments: Segments, members: dict[str, bytes]) -> list[dict[str, Any]]:
    """The segments as JSON; their images are added to `members`."""
    found: list[dict[str, Any]] = []
    for segment in segments:
        if isinstance(segment, Text):
            found.append({"type": "text", "text": segment.text})
            continue
        picture, file = opened(segment), io.BytesIO()
        picture.save(file, "PNG")
        name = f"{len(members):02d}.png"
        members[name] = file.getvalue()
        found.append({"type": "image", "image": name, "width": picture.width, "height": picture.height})
    return found
