"""Reads shards for encoding: their instances in order, checked, and the images decoded, by worker processes if asked.

The main process reads the tar and its sha256. What takes long, the checks of an instance and the decoding and resizing
of its images, is done by the workers, ahead of the image tokenizer.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import os
import pathlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import PIL.Image
import torch.utils.data

from schemas.checks import sample as sample_checks
from schemas.checks.tarball import Entry, Problem, Reader, entries
from schemas.codec import parse_json
from schemas.errors import UserError
from schemas.images import FOREIGN

AHEAD = 64
"""The number of instances that all workers together decode ahead: more than the tokenizer takes at a time."""

Prepare = Callable[[PIL.Image.Image], PIL.Image.Image]


@dataclasses.dataclass(frozen=True)
class Decoded:
    """An instance's JSON file and its images in reading order; or a shard's end; or what is wrong with either."""

    shard: str
    key: str
    data: bytes = b""
    images: tuple[PIL.Image.Image, ...] = ()
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class _Read:
    """The files of an instance, not looked at; or a shard's end (no key); or what is wrong with the tar."""

    shard: str
    key: str
    members: tuple[Entry, ...] = ()
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class _Decoder(torch.utils.data.Dataset[Decoded]):
    """What the workers do with each `_Read`: it stands where a DataLoader has an index."""

    manifest: dict[str, Any]
    prepare: Prepare | None

    def __getitem__(self, read: _Read) -> Decoded:
        if read.problem or not read.members:
            return Decoded(read.shard, read.key, problem=read.problem)
        _, defects = sample_checks.check(read.members, read.shard, self.manifest, None)
        if defects:
            said = "; ".join(f"{d.pointer} {d.message}".strip() for d in defects)
            return Decoded(read.shard, read.key, problem=said)
        files = {member.member: member.data for member in read.members}
        instance = parse_json(files["json"])
        images = [
            self._image(files[segment["image"]])
            for segment in instance["context"] + instance["output"]
            if segment["type"] == "image"
        ]
        return Decoded(read.shard, read.key, files["json"], tuple(images))

    def _image(self, data: bytes) -> PIL.Image.Image:
        image = PIL.Image.open(io.BytesIO(data), formats=FOREIGN).convert("RGB")
        return image if self.prepare is None else self.prepare(image)


def decoded(
    folder: pathlib.Path,
    shards: Sequence[dict[str, Any]],
    manifest: dict[str, Any],
    prepare: Prepare | None,
    workers: int = 0,
) -> Generator[Decoded, None, None]:
    """The instances of each shard in order, then its end, which has no key. Nothing follows a problem.

    The order does not depend on `workers`. The images are as `prepare` returns them, or in their own size without it.
    Raises UserError if a worker ends.
    """
    loader = torch.utils.data.DataLoader(
        _Decoder(manifest, prepare),
        sampler=_files(folder, shards),  # with workers, it is read ahead
        batch_size=None,
        num_workers=workers,
        prefetch_factor=-(-AHEAD // workers) if workers else None,
        generator=torch.Generator(),  # a separate one, as in the loader of training
    )
    yield from loader


def ended(error: RuntimeError) -> UserError | None:
    """The error for the user if this one is torch's about a worker that ended, which it may raise anywhere."""
    if not str(error).startswith("DataLoader worker"):
        return None
    return UserError(
        f"a process that decodes images has ended ({str(error).strip()}): perhaps the memory was not enough. The shards "
        "that are encoded are kept; start again, with a lower data.workers"
    )


def within_cores(workers: int) -> int:
    """The number of workers for one process: not more than leave a core for each process that torchrun started here."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(0, min(workers, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1))


def _files(folder: pathlib.Path, shards: Sequence[dict[str, Any]]) -> Iterator[_Read]:
    """Everything is told in order, errors too: the reader is ahead of the instances that the caller has got."""
    for shard in shards:
        for read in _files_of(folder, shard):
            yield read
            if read.problem:
                return


def _files_of(folder: pathlib.Path, shard: dict[str, Any]) -> Iterator[_Read]:
    name, count = shard["name"], 0
    try:
        with open(folder / "shards" / name, "rb") as file:
            reader = Reader(file)
            for key, group in itertools.groupby(entries(reader), key=lambda entry: entry.key):
                members = []
                for entry in group:
                    if isinstance(entry, Problem):
                        yield _Read(name, key, problem=entry.message)
                        return
                    members.append(entry)
                yield _Read(name, key, tuple(members))
                count += 1
            digest = reader.finish()
    except OSError as error:
        yield _Read(name, "", problem=str(error))
        return
    if count != shard["instances"]:
        yield _Read(name, "", problem=f"holds {count} instances; the manifest says {shard['instances']}")
    elif digest != shard["sha256"]:
        yield _Read(name, "", problem=f"has the sha256 {digest}; the manifest says {shard['sha256']}")
    else:
        yield _Read(name, "")
