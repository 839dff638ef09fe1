"""The last transforms of the DAG: they write a shard from a group of instances, and a part of the ledger."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator

from pipeline.dataset import shards
from pipeline.graph import failures
from pipeline.run import Run, image_store
from pipeline.storage.files import write_bytes
from pipeline.storage.store import Store
from schemas.codec import shard_name
from schemas.errors import AGAIN, ServiceError
from schemas.outcome import KEPT, Outcome

LEDGER_ROWS = 20_000
"""Rows in one Parquet file of the ledger; a worker holds those of a file, 2.4 kB each."""


@dataclasses.dataclass(frozen=True)
class Staged:
    """A finished instance that is not in a shard yet: the store key of its JSON, and its ledger row without shard."""

    key: str
    outcome: Outcome


def write_shard(group: tuple[int, Iterable[tuple[int, Staged]]], run: Run) -> Iterator[Outcome]:
    """Write one shard, its part of the index and its manifest entry below `run.staging`; yields the ledger rows."""
    with failures.recorded(run.failures, "write_shards"):
        yield from _write_shard(*group, run)


def _write_shard(number: int, ranked: Iterable[tuple[int, Staged]], run: Run) -> Iterator[Outcome]:
    name = shard_name(number)
    staged = [s for _, s in sorted(ranked, key=lambda pair: pair[0])]
    instances, images = Store(run.store("instances")), image_store(run)

    def samples() -> Iterator[shards.Sample]:
        for one in staged:
            data = instances.find(one.key)
            if data is None:
                raise ServiceError(f"a finished instance is missing from {run.store('instances')}; {AGAIN}")
            instance = json.loads(data)
            named = [s for s in instance["context"] + instance["output"] if s["type"] == "image"]
            yield data, instance, ((s["image"], images.read(s["sha256"])) for s in named)

    result = shards.write_shard(f"{run.staging}/shards/{name}", samples())
    shards.write_index(result.rows, run.prompts.aspect_names, f"{run.staging}/index/{name}.parquet")
    result = dataclasses.replace(result, rows=())
    write_bytes(f"{run.staging}/results/{name}.json", json.dumps(dataclasses.asdict(result)).encode())
    for one in staged:
        yield dataclasses.replace(one.outcome, shard=name)


def write_ledger_part(group: tuple[int, Iterable[tuple[int, Outcome]]], run: Run) -> tuple[int, int]:
    """Write one part of the ledger below `run.staging`, in rank order; the number of its rows, and of kept documents."""
    with failures.recorded(run.failures, "write_ledger"):
        return _write_ledger_part(*group, run)


def _write_ledger_part(number: int, ranked: Iterable[tuple[int, Outcome]], run: Run) -> tuple[int, int]:
    rows = [outcome for _, outcome in sorted(ranked, key=lambda pair: pair[0])]
    name = f"part-{number:05d}.parquet"
    table = shards.write_ledger(rows, f"{run.staging}/ledger/{name}")
    write_bytes(f"{run.staging}/results/{name}.json", json.dumps(dataclasses.asdict(table)).encode())
    return len(rows), sum(outcome.status == KEPT for outcome in rows)


def end_of(run: Run) -> str:
    """The file that the graph writes last."""
    return f"{run.staging}/end.json"


def write_end(run: Run, parts: Iterable[tuple[int, int]]) -> None:
    """Write how many parts and rows the ledger has, and how many of them are of kept documents.

    All parts, and so all shards, have been written when this runs: without the launcher, it shows that the job has ended.
    """
    with failures.recorded(run.failures, "write_ledger"):
        found = list(parts)
        end = {"parts": len(found), "documents": sum(rows for rows, _ in found), "kept": sum(kept for _, kept in found)}
        write_bytes(end_of(run), json.dumps(end).encode())
