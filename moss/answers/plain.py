"""Reads plain folders of texts and images, as the scripts of MiniGPT-5, GILL, Emu2 and others write them.

Each answer is a folder that is named by the question's key. It has texts (.txt, .md) and images, in the natural order
of their names: `1.txt`, `1.png`, `2.txt`, `10.png`. In a text, `<image>` or `[IMG...]` (one or several in a row) stands
for the next image; images without a placeholder are placed by their names. Hidden files, such as macOS's `._1.txt`, are
no part of an answer. An empty folder is an empty answer, a missing one a failed answer: whether the system gave none, or
the copy is not whole, cannot be seen. The questions come from another folder of answers, such as the reference answers.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Sequence

from moss.answers.folder import Answered, check_failed, name_of
from schemas.errors import UserError
from schemas.records import Text

TEXTS = (".txt", ".md")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
MARK = re.compile(r"<image>|(?:\[IMG\d*\]\s*)+")


def read(folder: pathlib.Path, questions: Sequence[Answered]) -> Iterator[Answered]:
    """An answer to every question, a failed one if its folder does not exist.

    Raises UserError if no folder has the name of a key, if one has a name that is not a key, and if too many are missing.
    """
    known = {name: question for question in questions for name in (question.key, name_of(question.key))}
    places = {path.name: path for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else {}
    strangers = sorted(places.keys() - known.keys())
    if not places or strangers:
        raise UserError(
            f"{folder} must hold one folder an answer, named by the question's key"
            + (f"; there is no question {', '.join(strangers[:3])}" if strangers else "")
        )
    found = [places.get(question.key) or places.get(name_of(question.key)) for question in questions]
    absent = ["" if place else f"{folder} has no folder {q.key}" for q, place in zip(questions, found, strict=True)]
    check_failed(absent, "copy the rest; an answer that the system did not give is an empty folder")
    for question, place, failed in zip(questions, found, absent, strict=True):
        output, missing = _output(place) if place else ([], 0)
        yield dataclasses.replace(question, output=output, missing=missing, failed=failed)


def unread(folder: pathlib.Path) -> list[str]:
    """What lies in the answers' folders and is neither a text nor an image, such as folders in them; hidden files apart."""
    found = (
        path for path in folder.glob("[!.]*/[!.]*") if not (path.is_file() and path.suffix.lower() in TEXTS + PICTURES)
    )
    return sorted(str(path.relative_to(folder)) for path in found)


def natural(name: str) -> list[tuple[int, str]]:
    """The sort key of names in natural order: by the numbers in them.

    >>> sorted(["10.png", "2.png"], key=natural)
    ['2.png', '10.png']
    """
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _output(place: pathlib.Path) -> tuple[list[Text | pathlib.Path], int]:
    shown = (path for path in place.glob("[!.]*") if path.is_file())
    found = sorted(shown, key=lambda path: natural(path.name))
    pictures = [path for path in found if path.suffix.lower() in PICTURES]
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in found if path.suffix.lower() in TEXTS}
    marks = sum(len(MARK.findall(text)) for text in texts.values())
    placed = iter(pictures[:marks])
    missing = max(0, marks - len(pictures))
    segments: list[Text | pathlib.Path] = []
    for path in found:
        if path in texts:
            for number, part in enumerate(MARK.split(texts[path])):
                picture = next(placed, None) if number else None
                segments += [picture] if picture else []
                segments += [Text(part.strip())] if part.strip() else []
        elif path in pictures[marks:]:
            segments.append(path)
    return segments, missing
