"""A rehearsal of a large run on a made-up corpus of any size, of which is known how every document must end.

    python -m benchmarks.rehearsal --documents 2000 10000 [--workers 2] [--bucket] [--delay 0.1] [--json]

Writes the corpus, runs the whole pipeline on it with the configuration configs/leafinstruct.yaml, and compares ledger and
manifest with the truth. The language model is a small server in another process, and coherence scores are written in
the corpus; everything else is the pipeline's. With several sizes the figures of each are printed, and the ratios of the
last to the first. `--bucket` puts corpus, work and output into a stand-in for an object store, and counts operations and
bytes. Exit code 1 if a run was not exact, or if the ratios miss their targets.

Figures: `peak_bytes` is the greatest sum of the proportional shares (PSS) of all processes of the pipeline, looked at
every half second; `cpu_seconds` is their processor time. Neither has the model server in it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peak import Peak
from benchmarks.rehearsal import corpus, server
from benchmarks.rehearsal.truth import Truth, differences

TARGETS = {"peak_bytes": 1.3, "seconds_a_document": 1.15}
"""The most by which figures of a run of ten times the documents may be larger."""


def rehearse(
    folder: Path, documents: int, *, seed: int = 0, workers: int = 1, delay: float = 0.0, in_a_bucket: bool = False
) -> tuple[dict[str, Any], Truth]:
    """Write a corpus to the folder `corpus`, build from it to `out`, and return the figures and the truth.

    Raises CalledProcessError if the build fails, ValueError for too few documents.
    """
    (folder / "corpus").mkdir(parents=True)
    truth = corpus.write(folder / "corpus", documents, seed)
    with server.running(delay) as url:
        command = [sys.executable, "-m", "benchmarks.rehearsal.build", str(folder), "--url", url]
        command += ["--workers", str(workers), *(["--bucket"] if in_a_bucket else [])]
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            peak = Peak(process.pid, every=0.5)
            said = process.communicate()[1]
            most = peak.bytes()
        seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command, stderr=said)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    wrong = differences(str(folder / "out"), truth)
    return {
        "documents": documents,
        "workers": workers,
        "delay": delay,
        "exact": not wrong,
        "differences": wrong,
        "kept": truth.kept,
        "pictures": truth.pictures,
        "peak_bytes": most,
        "seconds": round(seconds, 1),
        "seconds_a_document": round(seconds / documents, 6),
        "cpu_seconds": round(cpu, 1),
        "cpu_seconds_a_document": round(cpu / documents, 6),
        "corpus_bytes": dict(truth.bytes),
        "work": _size(folder / "work"),
        "output": _size(folder / "out"),
        **json.loads((folder / "figures.json").read_text()),
    }, truth


def _size(folder: Path) -> dict[str, int]:
    """The files below a folder, their bytes, and the bytes that they take on the disk."""
    found = [os.stat(f"{at}/{name}") for at, _, names in os.walk(folder) for name in names]
    return {
        "files": len(found),
        "bytes": sum(one.st_size for one in found),
        "disk_bytes": sum(512 * one.st_blocks for one in found),
    }


def text(found: dict[str, Any]) -> str:
    """The figures of one run for a terminal."""
    lines = [
        f"{found['documents']:,} documents: exact: {str(found['exact']).lower()}, kept {found['kept']:,}",
        *(f"  {one}" for one in found["differences"]),
        f"  {found['seconds']:,} s, {1000 * found['seconds_a_document']:.1f} ms a document; processor time "
        f"{found['cpu_seconds']:,} s, {1000 * found['cpu_seconds_a_document']:.1f} ms a document",
        f"  peak memory of all processes {found['peak_bytes'] / 2**20:,.0f} MiB",
        f"  work folder {found['work']['bytes'] / 1e6:,.1f} MB in {found['work']['files']:,} files, output "
        f"{found['output']['bytes'] / 1e6:,.1f} MB; corpus {sum(found['corpus_bytes'].values()) / 1e6:,.1f} MB",
        "  seconds by transform: " + ", ".join(f"{name} {s}" for name, s in list(found["stages"].items())[:12]),
    ]
    if found["store"]:
        lines.append("  store: " + ", ".join(f"{name} {count:,}" for name, count in sorted(found["store"].items())))
    return "\n".join(lines)


def missed(ratios: Mapping[str, float]) -> list[str]:
    """The targets that the ratios of the last run to the first exceed."""
    return [name for name, ratio in ratios.items() if ratio > TARGETS[name]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--documents", type=int, nargs="+", required=True, help="one size or several")
    parser.add_argument("--workers", type=int, default=1, help="worker processes")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer of the language model")
    parser.add_argument("--bucket", action="store_true", help="corpus, work and output in a counted object store")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.bucket and options.workers > 1:
        parser.error("--bucket counts in one process: leave --workers out")
    runs = []
    for documents in options.documents:
        with tempfile.TemporaryDirectory() as folder:
            try:
                found, _ = rehearse(
                    Path(folder),
                    documents,
                    seed=options.seed,
                    workers=options.workers,
                    delay=options.delay,
                    in_a_bucket=options.bucket,
                )
            except ValueError as error:
                parser.error(str(error))
            except subprocess.CalledProcessError as error:
                sys.exit(f"the build ended with {error.returncode}:\n{error.stderr[-2000:]}")
        runs.append(found)
        if not options.json:
            print(text(found), flush=True)
    ratios = {name: round(runs[-1][name] / runs[0][name], 3) for name in TARGETS} if len(runs) > 1 else {}
    if options.json:
        print(json.dumps({"runs": runs, "ratios": ratios, "targets": TARGETS, "missed": missed(ratios)}))
    else:
        for name, ratio in ratios.items():
            result = "missed" if name in missed(ratios) else "met"
            print(
                f"{name.replace('_', ' ')}: {ratio} times (target for ten times the documents: {TARGETS[name]}, {result})"
            )
    sys.exit(not (all(run["exact"] for run in runs) and not missed(ratios)))


if __name__ == "__main__":
    main()
