"""Conversations with the placeholder `<image>` for images: M4-Instruct, for training, and InterleavedBench, for tests.

{"id" or "sample_id", "image": [names], "conversations": [{"from": "human" | "gpt", "value"}]}. The placeholders stand
for the named images in their order, over all turns; images without a placeholder come last. Images are in `images/`,
under their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.corpora import json_array
from pipeline.corpora.fields import identifier, objects, string, title
from pipeline.corpora.parts import Format, Place
from schemas.records import Document, Image, Segment, Text

_MARK = re.compile(r"(?:<BEGIN>\s*)?<image>(?:[^\S\n]*\.(?!\w))?|<BEGIN>")  # a full stop often follows the placeholder


def documents(record: dict[str, Any], place: Place) -> Iterator[Document]:
    """One conversation, as one text with images."""
    named = record.get("image")
    names = [named] if isinstance(named, str) else named or []
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ValueError("image must be a name or a list of names")
    waiting = iter(names)
    segments: list[Segment] = []
    for turn in objects(record, "conversations"):
        value, at = string(turn, "value"), 0
        for mark in _MARK.finditer(value):
            segments += _text(value[at : mark.start()])
            at = mark.end()
            if "<image>" in mark[0]:
                name = next(waiting, None)
                if name is None:
                    raise ValueError(f"more than {len(names)} placeholders for {len(names)} images")
                segments.append(Image(place.uri(name)))
        segments += _text(value[at:])
    segments += [Image(place.uri(name)) for name in waiting]
    yield Document(
        id=identifier(record, "id" if "id" in record else "sample_id"),
        source=place.format,
        segments=tuple(segments),
        title=title(record, "goal"),
        location=place.location,
    )


def _text(value: str) -> list[Segment]:
    return [Text(value.strip())] if value.strip() else []


M4_INSTRUCT = Format(
    documents,
    (".json",),
    files=json_array.FILES,
    about="1.18 million samples of instructions over several images (LLaVA-NeXT-Interleave)",
    get="m4_instruct_annotations.json and its zips, unpacked to images/ (Hugging Face: lmms-lab/M4-Instruct-Data)",
    terms="each of its sources has its own; several allow research only",
)

INTERLEAVEDBENCH = Format(
    documents,
    (".json",),
    files=json_array.FILES,
    benchmark=True,
    about="815 tasks with reference answers, for evaluation only",
    get="interleaved_bench.json and zipped_images/, unpacked to images/ (Hugging Face: mqliu/InterleavedBench)",
    terms="Apache-2.0; never to be trained on",
)
