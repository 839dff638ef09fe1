"""Checks shards in worker processes; results come in the order of the shards."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

from schemas.checks import shard
from schemas.codec import Json
from schemas.defects import Defect
from schemas.folder import Folder

_SPAWN = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang

_folder: Folder
_manifest: Json


def check(folder: Folder, manifest: Json, shards: Sequence[Json], workers: int) -> Iterator[shard.Result]:
    """The results of these shards, in their order.

    `shards`: the entries of the manifest that are to be read; `manifest`: its essentials. One worker runs in this
    process. If a worker is killed (for example because the system is out of memory), the shard that it was reading gets
    a defect.
    """
    workers = min(workers, len(shards))
    if workers <= 1:
        for entry in shards:
            yield shard.check(folder, entry, manifest)
        return
    done = 0
    while done < len(shards):
        try:
            with _pool(folder, manifest, workers) as pool:
                try:
                    for result in pool.map(_check, shards[done:]):
                        yield result
                        done += 1
                finally:
                    pool.shutdown(cancel_futures=True)
        except BrokenProcessPool:  # which shard it was is not known: each of the next ones gets a process of its own
            for entry in shards[done : done + workers]:
                yield _alone(folder, manifest, entry)
            done += workers


def _pool(folder: Folder, manifest: Json, workers: int) -> concurrent.futures.ProcessPoolExecutor:
    return concurrent.futures.ProcessPoolExecutor(workers, _SPAWN, _begin, (folder, manifest))


def _alone(folder: Folder, manifest: Json, entry: Json) -> shard.Result:
    name: str = entry["name"]
    try:
        with _pool(folder, manifest, 1) as pool:
            return pool.submit(_check, entry).result()
    except BrokenProcessPool:
        return shard.Result(
            name,
            (
                Defect(
                    "file-unreadable",
                    f"shards/{name}",
                    "the process that read it was killed, perhaps for want of memory",
                    name,
                ),
            ),
        )


def _begin(folder: Folder, manifest: Json) -> None:
    global _folder, _manifest
    _folder, _manifest = folder, manifest


def _check(entry: Json) -> shard.Result:
    return shard.check(_folder, entry, _manifest)
