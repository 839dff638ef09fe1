"""Whether a run's results are all there: for a job that ended without its launcher, this is the only witness."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

from pipeline.dataset.shards import ShardResult, Table
from pipeline.dataset.wording import count
from pipeline.graph.writing import end_of
from pipeline.run import Run
from pipeline.storage import uris
from pipeline.storage.bucket import is_remote
from pipeline.storage.remote import described
from schemas.codec import shard_name
from schemas.errors import ServiceError


@dataclasses.dataclass(frozen=True)
class Results:
    """What the writers recorded about each shard and each part of the ledger, by name."""

    shards: list[ShardResult]
    parts: list[Table]


def ended(run: Run) -> bool:
    """Whether the job has written its last file."""
    return uris.exists(end_of(run))


def results(run: Run) -> Results:
    """The results below `run.staging`. Raises ServiceError if they are not whole."""
    found: dict[str, list[dict[str, Any]]] = {"leafinstruct": [], "part": []}
    for path in uris.find(f"{run.staging}/results", (".json",)):
        found[path.rsplit("/", 1)[1].split("-")[0]].append(json.loads(uris.read_bytes(path)))
    shards = [ShardResult(**value) for value in found["leafinstruct"]]
    parts = [Table(**value) for value in found["part"]]
    if missing := lacking(run, shards, parts):
        raise ServiceError(
            f"the results of run {run.id} are not whole: {missing}. If an engine still runs it, publish it when it has "
            "ended; otherwise give the build's command again: what was finished is kept"
        )
    return Results(shards, parts)


def lacking(run: Run, shards: Sequence[ShardResult], parts: Sequence[Table]) -> str:
    """What is missing of the results below `run.staging`, in words; empty if they are whole.

    Sizes are compared, not contents: each file was written whole or not at all.
    """
    if not ended(run):
        return (
            f"its job has not come to its end ({count(len(shards), 'shard')} and "
            f"{count(len(parts), 'part')} of the ledger are there)"
        )
    end = json.loads(uris.read_bytes(end_of(run)))
    wanted = {f"shards/{shard.name}": shard.bytes for shard in shards}
    wanted |= {f"ledger/{part.name}": part.bytes for part in parts}
    sizes = _sizes(run.staging, "shards") | _sizes(run.staging, "ledger")
    wrong = [name for name, size in wanted.items() if sizes.get(name) != size]
    wrong += [name for number in range(len(shards)) if (name := f"shards/{shard_name(number)}") not in wanted]
    if len(parts) != end["parts"]:
        wrong.append(f"{end['parts'] - len(parts)} of {count(end['parts'], 'part')} of the ledger")
    elif sum(part.rows for part in parts) != end["documents"]:
        wrong.append("rows of the ledger")
    kept = sum(shard.instances for shard in shards)
    if kept != end["kept"]:
        wrong.append(f"{end['kept'] - kept:,} of {count(end['kept'], 'instance')} in shards")
    return f"missing or cut: {', '.join(wrong)}" if wrong else ""


def _sizes(staging: str, folder: str) -> dict[str, int]:
    """The size in bytes of each file in `staging/folder`, by its name below `staging`."""
    start = f"{staging}/{folder}/"
    if is_remote(staging):
        return {path.removeprefix(f"{staging}/"): size for path, size, _ in described(start)}
    if not os.path.isdir(start):
        return {}
    with os.scandir(start) as found:
        return {f"{folder}/{entry.name}": entry.stat().st_size for entry in found}
