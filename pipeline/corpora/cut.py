"""Divides corpora into parts: lists the files, divides each, counts the lines of plain JSON Lines, and numbers them.

Each step needs only what the one before has given, so that many workers share the work: `files` opens none (but tars of
formats that are neither lines nor rows), `divided` opens one file, `counted` reads one range of bytes, and `numbered`
reads nothing.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator

from pipeline.corpora import lines, rows
from pipeline.corpora.fields import BadRecord, said
from pipeline.corpora.files import NO_UTF8, check_name, root_of, spelt
from pipeline.corpora.parts import Format, Part
from pipeline.storage import uris
from pipeline.storage.files import open_bytes
from pipeline.storage.tars import tar_index

RANGE = 64 << 20
"""The bytes of plain JSON Lines whose lines are counted at a time."""


def files(format: str, shape: Format, path: str) -> Iterator[Part]:
    """Each file that `path` means, as a part that is not divided yet, in order.

    Files that are neither lines nor rows (`Files`) come as finished parts. Raises UserError for a name that is not
    UTF-8, because neither the ledger nor an instance can hold it.
    """
    if shape.files:
        for part in shape.files.cut(Part(format, path, ""), shape):
            check_name(part.file)
            yield (
                part
                if spelt(part.member) == part.member
                else dataclasses.replace(part, member=spelt(part.member), fault=NO_UTF8)
            )
        return
    root, found, folders = root_of(path), uris.find(path, shape.suffixes), uris.folders_of(path)
    for file in found:
        check_name(file)
    for file in found:
        name = file.removeprefix(root).lstrip("/") or os.path.basename(file)
        if refusal := uris.refusal(file, folders):
            yield Part(format, file, name, fault=refusal)
        elif file.endswith(".tar"):
            yield Part(format, file, name, counted=False)  # its images are in it
        else:
            images = f"{os.path.dirname(file) or '.'}/{shape.images}"
            yield Part(format, file, name, images=images, counted=False)


def divided(part: Part, shape: Format) -> Iterator[Part]:
    """The parts of a file; of plain JSON Lines ranges of bytes, whose lines are not counted yet."""
    if part.counted:
        yield part
        return
    if part.file.endswith(".tar"):
        yield from _of_tar(part, shape.images)
        return
    part = dataclasses.replace(part, counted=True, local=uris.exists(part.images))
    if part.file.endswith(".parquet"):
        yield from _of_parquet(part)
    elif part.file.endswith(".zip"):
        yield from _of_zip(part)
    elif part.file.endswith(".gz"):
        yield part
    else:
        with open_bytes(part.file) as file:
            end = file.seek(0, os.SEEK_END)
        for at in range(0, end, RANGE):
            yield dataclasses.replace(part, counted=False, offset=at, size=min(RANGE, end - at))


def counted(part: Part) -> Iterator[Part]:
    """The parts of a range of bytes, each with the number of its lines, but not with that of its first."""
    if part.counted:
        yield part
        return
    assert part.size is not None  # `divided` gives every range its size
    with open_bytes(part.file) as file:
        for run in lines.runs(file, part.offset, part.size, inside=part.offset > 0):
            yield dataclasses.replace(part, **dataclasses.asdict(run))


def numbered(parts: Iterable[Part]) -> Iterator[Part]:
    """All parts of a file, given in order of their bytes, with the numbers of their first lines.

    The last line of a range may go on in the next, and in several where no line starts.
    """
    first, last = 1, None
    for part in parts:
        if part.counted:
            yield part
        elif last and not part.count:
            last = dataclasses.replace(last, size=part.offset + (part.size or 0) - last.offset)
        else:
            if last:
                yield dataclasses.replace(last, size=part.offset - last.offset)
            last = dataclasses.replace(part, first=first, counted=True)
            first += part.count or 0
    if last:
        yield last


def _of_tar(part: Part, images: str) -> Iterator[Part]:
    """The JSON Lines members of a tar; the images lie beside them in the tar."""
    index = tar_index(part.file)
    names = [n for n in index.members if n.endswith(".jsonl") and not os.path.basename(n).startswith(".")]
    for name in sorted(names):
        if spelt(name) != name:
            yield dataclasses.replace(part, counted=True, member=spelt(name), fault=NO_UTF8)
            continue
        offset, size = index.members[name]
        folder = f"{part.file}!/{os.path.dirname(name)}/{images}".replace("!//", "!/")
        member = dataclasses.replace(part, member=name, images=folder, local=uris.exists(folder))
        if size:
            with open_bytes(part.file) as file:
                runs = (dataclasses.asdict(run) for run in lines.runs(file, offset, size))
                yield from numbered(dataclasses.replace(member, **run) for run in runs)
    if index.error:
        yield dataclasses.replace(part, counted=True, fault=index.error)


def _of_zip(part: Part) -> Iterator[Part]:
    """One part for each file in the zip. If there is only one, places have the name of the zip."""
    try:
        names = lines.members(part.file)
    except lines.DAMAGE as error:
        yield dataclasses.replace(part, fault=said(error))
        return
    for name in names:
        yield dataclasses.replace(part, member=name if len(names) > 1 else "")


def _of_parquet(part: Part) -> Iterator[Part]:
    """One part for each row group: a part that starts inside a row group would have to decode all of it."""
    try:
        counts = rows.counts(part.file)
    except BadRecord as damage:
        yield dataclasses.replace(part, fault=damage.detail)
        return
    first = 1
    for group, count in enumerate(counts):
        yield dataclasses.replace(part, first=first, offset=group, count=count)
        first += count
