"""CoMM (HKUST-LongGroup/CoMM): how-to articles and visual stories in steps, of texts and images.

The files are lists written by `torch.save`, that is, pickles. They are read with PyTorch's restricted loader, which
knows tensors and plain containers and runs no code. Images are in `images/` under their `image_path`, or else are
fetched from `url`.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from pipeline.corpora.fields import BadRecord, array, identifier, objects, string, title
from pipeline.corpora.lines import DAMAGE
from pipeline.corpora.parts import Format, Place
from pipeline.corpora.whole import Records, bounded, whole
from pipeline.storage.uris import is_http
from schemas.records import Document, Image, Segment, Text

_MOST_BYTES = 4 << 30  # the whole of CoMM has about 1.5 GB
_REFUSED = "no list that the restricted loader of PyTorch takes"
_BYTEARRAY = re.compile(rb"(?:__builtin__|builtins)\nbytearray\n")


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
    import torch  # slow to import, and only this format needs it

    data = bounded(path, _MOST_BYTES)
    _refuse_bombs(data)
    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{_REFUSED}: {str(error).splitlines()[0]}") from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # the operations of a pickle fail with anything
        raise ValueError(f"{_REFUSED}: {type(error).__name__}") from error
    if not isinstance(found, list):
        raise ValueError(f"the file holds a {type(found).__name__}, not a list of records")
    return [
        record if isinstance(record, dict) else BadRecord("not_an_object", f"a {type(record).__name__}")
        for record in found
    ]


def _refuse_bombs(data: bytes) -> None:
    """Raise ValueError for a file of which PyTorch could make far more than its size; its own writer makes none."""
    if _BYTEARRAY.search(data):  # five bytes say how many to make
        raise ValueError(f"{_REFUSED}: it holds a bytearray")
    if not data.startswith(b"PK\3\4"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            packed = any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist())
    except (*DAMAGE, OSError) as error:
        raise ValueError(f"{_REFUSED}: {type(error).__name__}") from error
    if packed:
        raise ValueError(f"{_REFUSED}: it is compressed")


FORMAT = Format(
    documents,
    (".pth",),
    files=whole(_load),
    about="227,000 how-to articles and visual stories with 2.28 million images (arXiv 2406.10462)",
    get="train/val/test .pth of github.com/HKUST-LongGroup/CoMM; images are fetched from their sites",
    terms="none stated for the annotations; texts and images belong to their sites (wikiHow: CC BY-NC-SA 3.0)",
)
