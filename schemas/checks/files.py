"""Are the files there, whole, and alone?"""

from __future__ import annotations

import hashlib
import pathlib
import stat
from collections.abc import Iterator

from schemas.codec import Json
from schemas.defects import Defect


def listed(manifest: Json) -> dict[str, Json]:
    """Every file that the manifest vouches for: path in the folder -> its entry."""
    return (
        {f"shards/{s['name']}": s for s in manifest["shards"]}
        | {"index.parquet": manifest["index"]}
        | {f"ledger/{p['name']}": p for p in manifest["ledger"]}
    )


def check(folder: pathlib.Path, manifest: Json) -> Iterator[Defect]:
    """Presence and size of all, and no other file where loaders look for theirs."""
    for name, entry in listed(manifest).items():
        try:
            status = (folder / name).stat()
        except FileNotFoundError:
            yield Defect("file-missing", name, "is listed in the manifest but not there", shard=_shard(name))
        except OSError as error:
            yield Defect("file-unreadable", name, str(error), shard=_shard(name))
        else:
            if not stat.S_ISREG(status.st_mode):
                yield Defect("file-missing", name, "is not a file", shard=_shard(name))
            elif status.st_size != entry["bytes"]:
                yield Defect(
                    "file-size",
                    name,
                    f"has {status.st_size} bytes; the manifest says {entry['bytes']}",
                    shard=_shard(name),
                )
    for part in ("shards", "ledger"):
        for path in sorted((folder / part).glob("*")):
            if f"{part}/{path.name}" not in listed(manifest):
                yield Defect("file-stray", f"{part}/{path.name}", "is not in the manifest")


def check_tables(folder: pathlib.Path, manifest: Json) -> Iterator[Defect]:
    """The sha256 of the index and of the ledger (those of the shards are taken while reading them)."""
    for name, entry in listed(manifest).items():
        if name.startswith("shards/"):
            continue
        try:
            with open(folder / name, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Defect("file-unreadable", name, str(error))
            continue
        if digest != entry["sha256"]:
            yield sha256_defect(name, digest, entry["sha256"])


def sha256_defect(name: str, digest: str, expected: str) -> Defect:
    """The defect of a file whose hash is not the one in the manifest."""
    return Defect("file-sha256", name, f"has the sha256 {digest}; the manifest says {expected}", shard=_shard(name))


def _shard(name: str) -> str:
    return name.removeprefix("shards/") if name.startswith("shards/") else ""
