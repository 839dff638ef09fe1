"""CoMM (HKUST-LongGroup/CoMM): how-to articles and visual stories in steps, of texts and images.

The files are lists written by `torch.save`, that is, pickles. They are read in a child process
(`storage/pickles.py`), which makes plain values alone and runs no code. Images are in `images/` under their
`image_path`, or else are fetched from `url`.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from typing import Any

from pipeline.corpora.fields import BadRecord, array, identifier, objects, string, title
from pipeline.corpora.parts import Format, Place
from pipeline.corpora.whole import Records, bounded, whole
from pipeline.storage.child import Child, Lost
from pipeline.storage.uris import is_http
from schemas.records import Document, Image, Segment, Text

_MOST_BYTES = (4 << 30) - 1  # the whole of CoMM has about 1.5 GB
_MEMORY, _BYTES_A_BYTE = 256 << 20, 16
"""The memory limit for reading a file: 256 MiB, and 16 bytes for each of its own; ordinary ones take 5."""
_SECONDS, _BYTES_A_SECOND = 10, 1_000_000
"""The limit of processor time for reading a file: 10 s, and 1 s for each megabyte."""


def documents(record: dict[str, Any], place: Place) -> Iterator[Document]:
    """One document: the steps in their order. `summary_info` repeats images of the steps and is left out."""
    segments: list[Segment] = []
    for number, step in enumerate(array(record, "step_info")):
        items = objects({f"step_info[{number}]": step}, f"step_info[{number}]")
        segments += [segment for item in items if (segment := _segment(item, place))]
    yield Document(
        id=identifier(record, "data_id"),
        source=place.format,
        segments=tuple(segments),
        title=title(record, "title"),
        location=place.location,
    )


def _segment(item: dict[str, Any], place: Place) -> Segment | None:
    kind = string(item, "type")
    if kind == "text":
        text = string(item, "content", "").strip()
        return Text(text) if text else None
    if kind != "image":
        raise ValueError(f"type must be text or image, not {kind!r}"[:200])
    name, address = string(item, "image_path", ""), string(item, "url", "")
    if is_http(address) and not (name and place.has(name)):
        return Image(address)
    return Image(place.uri(name) if name else "")


def _load(path: str) -> Records:
    data = bounded(path, _MOST_BYTES)
    request = {"memory": _MEMORY + _BYTES_A_BYTE * len(data), "seconds": _SECONDS + len(data) // _BYTES_A_SECOND}
    child = Child("pipeline.storage.pickles")
    found: Records = []
    try:
        child.send(request, data)
        del data
        head, row = child.receive()
        while "last" not in head:
            record = marshal.loads(row)
            found.append(BadRecord(*record) if isinstance(record, tuple) else record)
            head, row = child.receive()
    except Lost as lost:
        raise BadRecord("unreadable", lost.detail) from None
    finally:
        child.end()
    if head["last"]:
        raise BadRecord(*head["last"])
    return found


FORMAT = Format(
    documents,
    (".pth",),
    files=whole(_load),
    about="227,000 how-to articles and visual stories with 2.28 million images (arXiv 2406.10462)",
    get="train/val/test .pth of github.com/HKUST-LongGroup/CoMM; images are fetched from their sites",
    terms="none stated for the annotations; texts and images belong to their sites (wikiHow: CC BY-NC-SA 3.0)",
)
