"""Corpora: from files of any known format to documents.

`check` before anything runs, `parts` to spread the work, `read` in the workers. A new format is one file with a
function of one record, and one line in FORMATS.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.corpora import mmc4, native, obelics, wikihow
from pipeline.corpora.parts import JSONL, PARQUET, Format, Part, cut
from pipeline.corpora.parts import read as _read
from schemas.errors import UserError, one_line
from schemas.records import Document, Fault

FORMATS = {
    "native": Format(native.documents, JSONL),
    "mmc4": Format(mmc4.documents, JSONL),
    "obelics": Format(obelics.documents, PARQUET, columns=obelics.COLUMNS),
    "omnicorpus": Format(obelics.documents, PARQUET, columns=obelics.COLUMNS),
    "wikihow": Format(wikihow.documents, (*JSONL, ".json"), images="wiki_images"),
}


def check(format: str, path: str) -> None:
    """Raise UserError unless `path` holds at least one document of a known format. Reads no further than that."""
    if format not in FORMATS:
        raise UserError(f"unknown corpus format {format!r}: the known ones are {', '.join(FORMATS)}")
    endings = ", ".join(f"*{suffix}" for suffix in FORMATS[format].suffixes)
    part = fault = None
    try:
        for part in parts(format, path):
            for record in read(part):
                if isinstance(record, Document):
                    return
                fault = fault or record
    except (OSError, ValueError) as error:      # ValueError: an object store that Beam was not installed for
        raise UserError(f"corpus {format}:{path} cannot be read: {error}") from error
    if fault:
        raise UserError(f"corpus {format}:{path}: none of its records can be read; the first: {fault.location}: "
                        f"{fault.error}, {one_line(fault.detail)}")
    if part is None:
        raise UserError(f"corpus {format}:{path} holds no records: looked for a file, a folder or a glob of {endings}")
    raise UserError(f"corpus {format}:{path} is empty: its files hold no records")


def parts(format: str, path: str) -> Iterator[Part]:
    """Cut a corpus (a folder, a file, a glob or a tar; local, or an object-store URL) into work items."""
    return cut(format, FORMATS[format], path)


def read(part: Part) -> Iterator[Document | Fault]:
    """The documents of a part, one by one, with a fault in the place of each record that could not be read."""
    return _read(part, FORMATS[part.format])
