"""The validator: finds every defect of a dataset folder. `leafinstruct validate` prints its report."""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from schemas.checks import card, files, ledger, manifest, parallel, run, shard
from schemas.defects import MOST_DEFECTS, Defect
from schemas.errors import UserError
from schemas.folder import FILE, Folder, LocalFolder, read
from schemas.jsonschema import OF_RUN, SIGNED
from schemas.selection import selected
from schemas.signature import MOST as MOST_SIGNATURE
from schemas.signature import fault, public_keys

__all__ = ["Defect", "Options", "Report", "examine", "validate"]


@dataclasses.dataclass(frozen=True)
class Options:
    """How much is checked, and how.

    deep: also read every byte of the shards. first, last: read only the shards with these numbers. sample: read only
    this share of them (0 to 1), always the same ones. workers: the number of processes that read shards; with 1, the
    calling process reads them. public_key: a file of OpenSSH public keys, one of which must have signed run.json.
    """

    deep: bool = False
    first: int = 0
    last: int | None = None
    sample: float = 1.0
    workers: int = 1
    public_key: str | None = None


@dataclasses.dataclass(frozen=True)
class Report:
    """What was found.

    checked: the files that were read completely. unchecked: sentences that say what was not checked.
    """

    defects: tuple[Defect, ...]
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]


def validate(folder: str | os.PathLike[str], deep: bool = False) -> list[Defect]:
    """Every defect of a local folder; none means valid. Damaged files are defects, never exceptions.

    Without `deep` it reads the manifest, the index, the ledger, the card and the configuration, and checks the names
    and sizes of the other files. `deep` also reads every byte: sha256 of all files, the form of the tars, each JSON
    against its schema, each image decoded, each index row against its sample. It reads each shard once, with one sample
    in memory. Raises UserError if `folder` is not a folder.
    """
    if not pathlib.Path(folder).is_dir():
        raise UserError(f"{folder} is not a folder; give the output folder of a build")
    return list(examine(LocalFolder(os.fspath(folder)), Options(deep=deep)).defects)


def examine(folder: Folder, options: Options = Options()) -> Report:
    """The report on a folder, local or remote, checked in part or in parallel; it stops at `MOST_DEFECTS`.

    Raises UserError if the file of public keys has none, or a requested shard does not exist.
    """
    checked: list[str] = []
    unchecked: list[str] = []
    defects = list(itertools.islice(_defects(folder, options, checked, unchecked), MOST_DEFECTS))
    if len(defects) == MOST_DEFECTS:
        unchecked.append(f"whatever comes after the first {MOST_DEFECTS:,} defects")
    return Report(tuple(defects), tuple(checked), tuple(unchecked))


def _defects(folder: Folder, options: Options, checked: list[str], unchecked: list[str]) -> Iterator[Defect]:
    keys = public_keys(options.public_key) if options.public_key else None
    of_run, defects = run.load(folder)
    if of_run is not None and keys:
        yield from _signature(folder, of_run, keys)
    data, of_manifest = manifest.load(folder)
    found = of_found = None
    if data is not None:
        found, of_manifest = manifest.parse(data)
        if of_run is not None and found is not None:
            of_found, defects = run.parse(of_run, data)
    yield from of_manifest
    yield from defects
    if found is None:
        unchecked.append("everything but the manifest")
        return
    yield from manifest.check(found)
    entries, expected = files.entries(folder), files.listed(found, of_found)
    yield from files.check(entries, expected)
    there = {entry.name for entry in entries if entry.kind == FILE}
    if run.SIGNATURE in there and not keys:
        unchecked.append("the signature (--public-key FILE)")
    small = SIGNED.keys() | OF_RUN
    whole = [
        name
        for name in expected
        if name in there and not name.startswith("shards/") and (options.deep or name in small)
    ]
    yield from files.check_sha256(folder, expected, whole)
    yield from card.check(folder, found, there)
    yield from ledger.check(folder, found, there)
    shards = selected(found["shards"], options.first, options.last, options.sample) if options.deep else []
    yield from shard.across(
        parallel.check(
            folder, manifest.essentials(found), [s for s in shards if f"shards/{s['name']}" in there], options.workers
        )
    )
    checked += [*whole, *(f"shards/{s['name']}" for s in shards)]
    if not options.deep:
        unchecked.append("the bytes of shards, index and ledger (--deep reads them)")
    elif len(shards) < len(found["shards"]):
        unchecked.append(f"{len(found['shards']) - len(shards)} of {len(found['shards'])} shards")


def _signature(folder: Folder, data: bytes, keys: list[Ed25519PublicKey]) -> Iterator[Defect]:
    try:
        problem = fault(data, read(folder, run.SIGNATURE, MOST_SIGNATURE), keys)
    except FileNotFoundError:
        problem = "is not there: the folder is not signed"
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {error}"
    if problem:
        yield Defect("signature", run.SIGNATURE, problem)
