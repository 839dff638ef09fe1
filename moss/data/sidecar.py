"""Encodes the images of a dataset folder.

For every shard a tar (a sidecar) with its instances, and codes instead of images.

Encoding is by far the slowest part of reading a shard and gives the same codes every time, so it is done once. The
sidecars are in the build's folder for caches, `FOLDER/.work/codes/<fingerprint of the image tokenizer>/`, which is not
part of the dataset and is not checked by `leafinstruct validate`; or in a folder that the caller names.

A sidecar has `sidecar.json` (what it was made from), then for each instance `<key>.json`, as in the shard, and
`<key>.npy`: uint16 codes (images, rows, columns) or float16 vectors (images, rows, columns, c), in reading order.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import itertools
import json
import os
import pathlib
import tarfile
import urllib.parse
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from moss.backbones.generalist import Pixels
from moss.data import pictures, waiting
from schemas import tar
from schemas.checks import manifest as manifests
from schemas.codec import json_bytes, parse_json
from schemas.errors import UserError
from schemas.folder import LocalFolder

HEADER = "sidecar.json"
BATCH = 32
"""The least number of images that are encoded together (except at a shard's end); all images of an instance are in one
batch."""


@dataclasses.dataclass(frozen=True)
class Place:
    """The positions of an instance's two files in a sidecar, in bytes."""

    json_offset: int
    json_size: int
    codes_offset: int
    codes_size: int


def encode_shards(
    folder: str | os.PathLike[str],
    pixels: Pixels,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
) -> list[pathlib.Path]:
    """Encode the shards of a dataset folder that are not encoded yet; returns their sidecars, in order.

    Each of `ranks` processes encodes every ranks-th shard, from its `rank` on, and gets only their sidecars. `workers`
    processes of each check instances and decode images ahead of the tokenizer; they change nothing else.

    A sidecar is used again as long as the manifest gives its shard the same sha256. Each is written atomically, so a
    stopped run continues where it was, and processes may do the same work at the same time. The sidecars' bytes depend
    only on the shard and on `pixels`. Raises UserError for a folder without a manifest, and for the first defect of a
    shard that `leafinstruct validate --deep` would report, with the shard and the key; and if a worker ends.
    """
    folder = pathlib.Path(folder)
    manifest, defects = manifests.read(LocalFolder(os.fspath(folder)))
    if manifest is None:
        raise UserError(f"{folder}: {defects[0]}. Give the output folder of `leafinstruct build`.")
    target = pathlib.Path(cache or folder / ".work" / "codes") / urllib.parse.quote(pixels.fingerprint, safe="")
    wanted = {target / shard["name"]: shard for shard in manifest["shards"][rank::ranks]}
    missing = {path: shard for path, shard in wanted.items() if made_from(path) != _header(shard, pixels)}
    with tqdm(
        total=sum(shard["instances"] for shard in missing.values()),
        desc="encoding images",
        unit=" instances",
        disable=not (progress and missing),
    ) as bar:
        prepare = getattr(pixels, "prepare", None)
        try:
            # closed at once: an error would keep its workers running
            with contextlib.closing(
                pictures.decoded(folder, list(missing.values()), manifest, prepare, workers)
            ) as instances:
                for path, shard in missing.items():
                    _write(path, _header(shard, pixels), _encoded(folder, instances, pixels), bar)
        except RuntimeError as error:
            if said := pictures.ended(error):
                raise said from error
            raise
    return list(wanted)


def wait_for(
    folder: str | os.PathLike[str], pixels: Pixels, cache: str | os.PathLike[str] | None = None, seconds: float = 1.0
) -> list[pathlib.Path]:
    """All sidecars of a dataset folder; waits until the processes that encode them have written them.

    It checks the files, without a time limit (a barrier of torch.distributed would give up after ten minutes), and says
    every minute which one is missing.
    """
    folder = pathlib.Path(folder)
    manifest, _ = manifests.read(LocalFolder(os.fspath(folder)))
    if manifest is None:
        raise UserError(f"{folder} has no manifest. Give the output folder of `leafinstruct build`.")
    target = pathlib.Path(cache or folder / ".work" / "codes") / urllib.parse.quote(pixels.fingerprint, safe="")
    paths = [target / shard["name"] for shard in manifest["shards"]]
    for path, shard in zip(paths, manifest["shards"], strict=True):
        waiting.until(functools.partial(_finished, path, _header(shard, pixels)), str(path), seconds)
    return paths


def places(path: pathlib.Path) -> Iterator[tuple[Any, Place]]:
    """The instances of a sidecar as JSON dicts, and their positions. Raises UserError for a damaged file."""
    found = 0
    try:
        with tarfile.open(path, "r:") as file:
            header = parse_json(_content(file, file.next()))
            while (member := file.next()) is not None:
                codes = file.next()
                instance = parse_json(_content(file, member))
                if codes is None:
                    raise ValueError(f"no codes follow {member.name}")
                yield instance, Place(member.offset_data, member.size, codes.offset_data, codes.size)
                found += 1
        if found != header["instances"]:
            raise ValueError(f"holds {found} of {header['instances']} instances")
    except (tarfile.TarError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it, and it is made again") from error


def fingerprint(paths: Iterable[pathlib.Path]) -> str:
    """12 hex digits that identify sidecars of these shards and codes."""
    return hashlib.sha256(json.dumps([made_from(path) for path in paths]).encode()).hexdigest()[:12]


def load(path: pathlib.Path, place: Place) -> tuple[Any, np.ndarray]:
    """One instance as its JSON dict, and its codes or vectors."""
    with open(path, "rb") as file:
        file.seek(place.json_offset)
        instance = parse_json(file.read(place.json_size))
        file.seek(place.codes_offset)
        return instance, np.load(io.BytesIO(file.read(place.codes_size)))


def _content(file: tarfile.TarFile, member: tarfile.TarInfo | None) -> bytes:
    """The content of a member. Raises ValueError if there is no such file."""
    opened = None if member is None else file.extractfile(member)
    if opened is None:
        raise ValueError("is not a sidecar")
    return opened.read()


def _finished(path: pathlib.Path, header: dict[str, Any]) -> pathlib.Path | None:
    return path if made_from(path) == header else None


def _header(shard: dict[str, Any], pixels: Pixels) -> dict[str, Any]:
    return {"format": 1, "instances": shard["instances"], "pixels": pixels.fingerprint, "sha256": shard["sha256"]}


def made_from(path: pathlib.Path) -> dict[str, Any] | None:
    """The header of a sidecar; None if there is none that can be read."""
    try:
        with tarfile.open(path, "r:") as file:
            header: dict[str, Any] = parse_json(_content(file, file.getmember(HEADER)))
            return header
    except (FileNotFoundError, KeyError, ValueError, tarfile.TarError):
        return None


def _encoded(
    folder: pathlib.Path, instances: Iterator[pictures.Decoded], pixels: Pixels
) -> Iterator[tuple[str, bytes, bytes]]:
    """The (key, JSON file, .npy file) of each instance up to the shard's end.

    The batches are always the same, because a batch's size may change the last bits.
    """
    waiting: list[pictures.Decoded] = []
    for instance in instances:
        if instance.problem:
            raise _broken(folder, instance.shard, instance.key, instance.problem)
        if instance.key:
            waiting.append(instance)
        images = [image for some in waiting for image in some.images]
        if images and (not instance.key or len(images) >= BATCH):
            codes = iter(pixels.encode(images))
            for some in waiting:
                file = io.BytesIO()
                np.save(file, np.stack(list(itertools.islice(codes, len(some.images)))), allow_pickle=False)
                yield some.key, some.data, file.getvalue()
            waiting = []
        if not instance.key:
            return


def _broken(folder: pathlib.Path, shard: str, key: str, message: str) -> UserError:
    place = f"{folder / 'shards' / shard}" + (f", instance {key}" if key else "")
    return UserError(
        f"{place}: {message}. Copy or build this shard again; `leafinstruct validate {folder} --deep` "
        "lists everything that is wrong with the folder."
    )


def _write(
    path: pathlib.Path, header: dict[str, Any], instances: Iterator[tuple[str, bytes, bytes]], bar: tqdm[Any]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            tar.add(file, HEADER, json_bytes(header))
            for key, data, codes in instances:
                tar.add(file, f"{key}.json", data)
                tar.add(file, f"{key}.npy", codes)
                bar.update()
            tar.finish(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
