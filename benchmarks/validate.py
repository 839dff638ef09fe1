"""`validate --deep` beside the least work that is necessary: the sha256 of every shard, and every image of it decoded.

    python -m benchmarks.validate --folder out/demo --copies 20 --json

The folder's instances are written again `--copies` times under other ids, as a valid dataset with `--size` instances in
each shard. Then both sides read it in turns, `--rounds` times, after one round that does not count. The ratio is the
plain side's time divided by the validator's: processor time, which other load on the machine hardly changes, and also
wall time. With `--workers`, both sides start so many processes, and their start counts.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import hashlib
import io
import json
import multiprocessing
import pathlib
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable

import PIL.Image
import yaml

from pipeline.dataset import card, ledger, reader, shards
from schemas.checks.card import ADDED
from schemas.codec import config_hash, json_bytes, key_of, manifest_bytes, rank_of, shard_name
from schemas.folder import LocalFolder
from schemas.outcome import KEPT
from schemas.records import Provenance
from schemas.validate import Options, examine


def plain(path: str) -> tuple[str, int]:
    """The sha256 of a shard, and how many images were decoded."""
    data, count = pathlib.Path(path).read_bytes(), 0
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            if not member.name.endswith(".json") and (file := tar.extractfile(member)):
                PIL.Image.open(io.BytesIO(file.read())).load()
                count += 1
    return hashlib.sha256(data).hexdigest(), count


def plain_all(folder: str, workers: int) -> int:
    """The images of a folder, all read by the plain side."""
    paths = sorted(map(str, pathlib.Path(folder, "shards").glob("*.tar")))
    if workers == 1:
        return sum(count for _, count in map(plain, paths))
    with concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        return sum(count for _, count in pool.map(plain, paths))


def copy(source: str, target: str, copies: int, size: int) -> int:
    """Write the instances of a folder under other ids, as a complete dataset with a ledger of kept rows.

    Returns their number.
    """
    before = ledger.read_manifest(source)
    config = before["config"] | {"shards": before["config"]["shards"] | {"size": size}}
    provenance = dataclasses.replace(Provenance(**before["provenance"]), config=config_hash(config))
    outcomes = {row.key: row for row in ledger.read_outcomes(source) if row.status == KEPT}
    samples = []
    for row in reader.index_rows(source):
        instance, images = reader.read_instance(source, row)
        for number in range(copies):
            id_ = f"{instance['id']}-{number}"
            changed = {"id": id_, "key": key_of(id_), "provenance": dataclasses.asdict(provenance)}
            samples.append((instance | changed, images, outcomes[instance["key"]]))
    samples.sort(key=lambda sample: rank_of(sample[0]["id"], before["salt"]))
    written, kept = [], []
    for number, at in enumerate(range(0, len(samples), size)):
        name, some = shard_name(number), samples[at : at + size]
        members = [(json_bytes(value), value, list(images.items())) for value, images, _ in some]
        written.append(shards.write_shard(f"{target}/shards/{name}", members))
        kept += [dataclasses.replace(o, id=v["id"], key=v["key"], shard=name) for v, _, o in some]
    rows = [row for shard in written for row in shard.rows]
    manifest = shards.manifest(
        name=before["name"],
        provenance=provenance,
        libraries=before["libraries"],
        config=config,
        domains=before["domains"],
        rating_aspects=before["rating_aspects"],
        salt=before["salt"],
        shard_size=size,
        shards=written,
        counts=shards.count(rows),
        index=shards.write_index(rows, list(before["rating_aspects"]), f"{target}/index.parquet"),
        ledger=[shards.write_ledger(kept, f"{target}/ledger/part-00000.parquet")],
        funnel={"input": len(kept), "kept": len(kept), "dropped": {}, "failed": {}},
        inputs=before["inputs"],
    )
    own = {name: value for name, value in config.items() if name not in ADDED}
    beside = {"README.md": card.card(manifest).encode(), "config.yaml": yaml.safe_dump(own).encode()}
    of_run = {"metrics.json": b"{}", "report.html": b"<!doctype html>"}
    manifest = shards.with_files(manifest, beside)
    record = {"run.json": manifest_bytes(shards.run_record(manifest, of_run))}
    for name, data in (beside | of_run | record).items():
        pathlib.Path(target, name).write_bytes(data)
    shards.write_manifest(manifest, target)
    return len(kept)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Processor time of this process and its children, and time by the clock, in seconds."""

    def spent() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in used)

    before, started = spent(), time.perf_counter()
    work()
    return spent() - before, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validate", description=__doc__.split("\n")[0])
    parser.add_argument("--folder", default="out/demo", help="the output folder of a build (default: %(default)s)")
    parser.add_argument("--copies", type=int, default=20, help="of each instance (default: %(default)s)")
    parser.add_argument("--size", type=int, default=50, help="instances in a shard (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    workers = options.workers
    with tempfile.TemporaryDirectory() as folder:
        instances = copy(options.folder, folder, options.copies, options.size)
        sides: dict[str, Callable[[], object]] = {
            "plain": lambda: plain_all(folder, workers),
            "validate": lambda: validate_all(folder, workers),
        }
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for number in range(options.rounds + 1):
            for name, work in sides.items():
                took = timed(work)
                if number:
                    spent[name].append(took)
    (plain_cpu, plain_clock), (our_cpu, our_clock) = (
        [sum(part) for part in zip(*spent[n], strict=True)] for n in sides
    )
    found = {
        "instances": instances,
        "workers": workers,
        "ratio": round(plain_cpu / our_cpu, 2),
        "ratio_by_the_clock": round(plain_clock / our_clock, 2),
        "seconds": {n: [[round(value, 2) for value in one] for one in rounds] for n, rounds in spent.items()},
    }
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"validate --deep at {found['ratio']} of the speed of sha256 plus decoding ({found['seconds']})")


def validate_all(folder: str, workers: int) -> None:
    """The validator on the whole folder. Raises AssertionError if it finds a defect."""
    report = examine(LocalFolder(folder), Options(deep=True, workers=workers))
    assert not report.defects, report.defects[:3]


if __name__ == "__main__":
    main()
