"""Reads corpora: from files of any known format to documents.

`check` before anything runs, `parts` (or its steps, which workers share) to spread the work, `read` in the workers. A
new format is one file that ends in `FORMAT = Format(...)`: listed in FORMATS, or a module of your own that the
configuration names (docs/extending.md).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

from pipeline.corpora import cut, unread
from pipeline.corpora.parts import Format, Part
from pipeline.corpora.parts import limited as _limited
from pipeline.corpora.parts import read as _read
from schemas.errors import UserError, one_line
from schemas.own_modules import imported
from schemas.records import Document, Fault

FORMATS = {
    "native": "native.FORMAT",
    "mmc4": "mmc4.FORMAT",
    "obelics": "obelics.OBELICS",
    "omnicorpus": "obelics.OMNICORPUS",
    "comm": "comm.FORMAT",
    "wikihow": "wikihow.FORMAT",
    "wikihow_folders": "wikihow_folders.FORMAT",
    "vist": "vist.FORMAT",
    "youcook2": "youcook2.FORMAT",
    "mint1t": "mint1t.FORMAT",
    "html": "pages.FORMAT",
    "warc": "warc.FORMAT",
    "markdown": "markdown.FORMAT",
    "rst": "rst.FORMAT",
    "cnxml": "cnxml.FORMAT",
    "m4_instruct": "conversations.M4_INSTRUCT",
    "instructpix2pix": "instructpix2pix.FORMAT",
    "interleavedbench": "conversations.INTERLEAVEDBENCH",
}
"""The format's name -> its module in this package and its attribute. A module is imported when its format is used,
because some libraries take a second to import."""


@functools.cache
def format_of(name: str) -> Format:
    """The format of this name: one of FORMATS, or the `FORMAT` of the module `my_package.my_reader`.

    Raises UserError.
    """
    module, attribute = f"{__name__}.{FORMATS[name]}".rsplit(".", 1) if name in FORMATS else (name, "FORMAT")
    try:
        found = getattr(imported(module, f"the reader {name}"), attribute, None)
    except ImportError as error:
        if getattr(error, "name", None) == name and "." not in name:
            raise UserError(
                f"unknown corpus format {name!r}: the known ones are {', '.join(FORMATS)}; a reader of your "
                "own is named by its module, such as my_package.my_reader"
            ) from None
        raise UserError(
            f"the reader {name} cannot be imported: {error}; it must be installed, or lie below a folder in "
            "PYTHONPATH, on every machine that reads"
        ) from error
    if not isinstance(found, Format):
        raise UserError(f"the reader {name} defines no FORMAT = Format(...) (see docs/extending.md)")
    return found


def check(format: str, path: str, benchmark: bool = False) -> None:
    """Raise UserError unless `path` holds at least one document of a known format.

    Reads no further than that. Benchmarks are refused unless `benchmark` allows them.
    """
    shape = format_of(format)
    if shape.benchmark and not benchmark:
        raise UserError(
            f"{format} is a benchmark, which nothing may be trained on; to keep it out of a dataset, give "
            "it to leafinstruct decontaminate"
        )
    part = fault = None
    try:
        for part in parts(format, path):
            for record in read(part):
                if isinstance(record, Document):
                    return
                fault = fault or record
        why = unread.why_none(path, shape) if part is None else ""
    except (OSError, ValueError) as error:  # ValueError: the scheme of no known store
        raise UserError(f"corpus {format}:{path} cannot be read: {error}") from error
    if fault:
        raise UserError(
            f"corpus {format}:{path}: none of its records can be read; the first: {fault.location}: "
            f"{fault.error}, {one_line(fault.detail)}"
        )
    if part is None:
        raise UserError(f"corpus {format}:{path} holds no records: {why}")
    raise UserError(f"corpus {format}:{path} is empty: its files hold no records")


def left_out(format: str, path: str) -> str:
    """What lies in a folder and is not read, in words; "" if nothing does."""
    return unread.left_out(path, format_of(format))


def parts(format: str, path: str, share: float = 1.0) -> Iterator[Part]:
    """Divide a corpus (a folder, a file, a glob or a tar; local, or an object-store URL) into parts, in order.

    `share` of its records are read, always the same ones.
    """
    for file in files(format, path, share):
        yield from parts_of(file)


def parts_of(file: Part) -> Iterator[Part]:
    """The parts of one of the `files`, in order."""
    return cut.numbered(part for some in divided(file) for part in cut.counted(some))


def files(format: str, path: str, share: float = 1.0) -> Iterator[Part]:
    """The files of a corpus, not divided yet: see `cut`, whose steps they have yet to go."""
    return (dataclasses.replace(part, share=share) for part in cut.files(format, format_of(format), path))


def divided(part: Part) -> Iterator[Part]:
    """The parts of a file, whose lines may have to be counted yet."""
    return cut.divided(part, format_of(part.format))


def limited(part: Part, most: int) -> tuple[Part, int]:
    """The part with no more than `most` records (lines, rows, pages), and how many it has then."""
    return _limited(part, most, format_of(part.format))


def read(part: Part) -> Iterator[Document | Fault]:
    """The documents of a part, one by one, with a fault in place of each record that could not be read."""
    return _read(part, format_of(part.format))
