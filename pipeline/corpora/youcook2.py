"""YouCook2: cooking videos cut into steps, each with a sentence.

Neither frames nor videos are part of the dataset. Next to the annotations are either `frames/<video>/<step>.jpg` (or
.png), with steps counted from 0 in the order of the video, or `videos/<video>.mp4` (.mkv, .webm). From a video, the
frame at the middle of the step's segment is taken, and the image's URI says so (`videos/x.mp4#t=17.000`). Only the
subset `training` is read: `validation` is the field's test set. A `label_foodtype.csv` next to the annotations gives
the titles.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from typing import Any

from pipeline.corpora.fields import BadRecord, array, identifier, mapping, objects, string, title
from pipeline.corpora.parts import Format, Place
from pipeline.corpora.whole import Records, bounded, table, whole
from pipeline.storage.uris import exists, refusal
from schemas.records import Document, Image, Segment, Text

_VIDEOS, _FRAMES = ("mp4", "mkv", "webm"), ("jpg", "png")
_LONGEST = 1_000_000  # seconds; a number of hundreds of digits is no float


def documents(record: dict[str, Any], place: Place) -> Iterator[Document]:
    """The document of one video."""
    video = identifier(record, "id")
    segments: list[Segment] = []
    for number, step in enumerate(sorted(objects(record, "annotations"), key=_segment)):
        text = string(step, "sentence").strip()
        if text:
            segments.append(Text(text))
        segments.append(Image(_frame(video, number, sum(_segment(step)) / 2, place)))
    yield Document(
        id=video,
        source=place.format,
        segments=tuple(segments),
        title=title(record, "title"),
        url=string(record, "video_url", ""),
        location=place.location,
    )


def _segment(step: dict[str, Any]) -> tuple[float, float]:
    """Start and end of a step in seconds."""
    ends = [end for end in array(step, "segment") if isinstance(end, (int, float))]
    if len(ends) != 2 or not 0 <= ends[0] <= ends[1] <= _LONGEST:
        raise ValueError(f"segment {step['segment']!r} is no stretch of time"[:200])
    return float(ends[0]), float(ends[1])


def _frame(video: str, number: int, middle: float, place: Place) -> str:
    for name in (f"frames/{video}/{number}.{ending}" for ending in _FRAMES):
        if place.has(name):
            return place.uri(name)
    for name in (f"videos/{video}.{ending}" for ending in _VIDEOS):
        if place.has(name):
            return f"{place.uri(name)}#t={middle:.3f}"
    return place.uri(f"frames/{video}/{number}.{_FRAMES[0]}")


def _load(path: str) -> Records:
    dishes = _dishes(os.path.dirname(path) or ".")
    found: Records = []
    for video, record in mapping(table(path), "database").items():
        if not isinstance(record, dict):
            found.append(BadRecord("not_an_object", f"{video}: a {type(record).__name__}"))
        elif record.get("subset") == "training":
            found.append({"title": dishes.get(string(record, "recipe_type", "")), **record, "id": video})
    return found


def _dishes(folder: str) -> dict[str, str]:
    """The names of the dishes; none if their table is not there, or must not be opened."""
    path = f"{folder}/label_foodtype.csv"
    if not exists(path) or refusal(path, (folder,)):
        return {}
    try:
        return dict(row[:2] for row in csv.reader(bounded(path, 1 << 20).decode().splitlines()) if len(row) > 1)
    except csv.Error as error:
        raise ValueError(f"label_foodtype.csv: {error}") from error


FORMAT = Format(
    documents,
    (".json",),
    images=".",
    files=whole(_load),
    about="1,333 training videos of 89 dishes in 10,337 steps",
    get="youcookii_annotations_trainval.json (youcook2.eecs.umich.edu); fetch the videos yourself",
    terms="MIT for the annotations; the videos belong to their makers",
)
