"""Checks a dataset folder against its own manifest, index and ledger; `leafinstruct validate` prints the defects."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

from schemas.checks import card, files, index, ledger, manifest, shard
from schemas.defects import Defect
from schemas.errors import UserError

__all__ = ["Defect", "validate"]


def validate(folder: str | os.PathLike[str], deep: bool = False) -> list[Defect]:
    """Every defect of a local folder; an empty list means that it is valid. Damaged files are defects, not exceptions.

    The default mode reads the manifest, the index, the ledger and the card, and checks the sizes of the shards. `deep`
    also reads every byte: sha256 of all files, the form of the tars, each JSON against its schema, each image decoded,
    each index row against its sample. One pass over each shard, one sample in memory at a time.
    Raises UserError if `folder` is not a folder.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the output folder of a build")
    return list(_defects(folder, deep))


def _defects(folder: pathlib.Path, deep: bool) -> Iterator[Defect]:
    found, defects = manifest.read(folder)
    yield from defects
    if found is None:
        return
    yield from manifest.check(found)
    yield from files.check(folder, found)
    yield from card.check(folder, found)
    places: dict[str, tuple[str, str]] = {}
    in_index = list(index.check(folder, found, places))
    yield from in_index
    readable = (folder / index.FILE).is_file() and not {"index-unreadable", "index-schema"} & {d.kind for d in in_index}
    yield from ledger.check(folder, found, places if readable else None)
    if deep:
        yield from files.check_tables(folder, found)
        yield from shard.check(folder, found)
