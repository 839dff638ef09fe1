"""Run the tests against mutants drawn at random: `python scripts/mutation_sample.py schemas --count 300`.

`make mutation` runs every mutant and first notes which test reaches which function, which takes hours for `schemas/`: its
tests write and validate whole datasets. This runs the same mutants (mutmut's), in an order that the seed decides, against
the tests of the same folder, and stops at the first that fails. It prints each survivor and a table of the files, with
the share that is killed and its 95 % interval (Wilson's). A run that is stopped can be started again: results are in
`mutants/sample.jsonl`.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from pipeline.selftest.result import wilson

RESULTS = pathlib.Path("mutants/sample.jsonl")
LEFT_OUT = "not hostile and not any_bytes and not in_processes and not workers"
"""Tests that take seconds each and ask for bounds of time and memory, which no mutant of a rule changes."""


def mutants(part: str) -> list[str]:
    """The names of mutmut's mutants of this package; makes `mutants/` where it is not there."""
    from mutmut.__main__ import create_mutants
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir

    os.makedirs("mutants", exist_ok=True)
    copy_src_dir()
    copy_also_copy_files()
    create_mutants(2)
    found = []
    for path in sorted(pathlib.Path(part).rglob("*.py")):
        data = SourceFileMutationData(path=path)
        data.load()
        found += list(data.exit_code_by_key)
    return found


def run(mutant: str, tests: list[str], seconds: float) -> str:
    """killed, survived, or time limit."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-W", "ignore", "-p", "no:cacheprovider", "-k", LEFT_OUT]
    process = subprocess.Popen(
        [*command, *tests],
        cwd="mutants",
        env=os.environ
        | {"MUTANT_UNDER_TEST": mutant.replace("__init__.", ""), "PYTHONPATH": os.path.abspath("mutants")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,  # a session of its own would have the priority of one
    )
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return "time limit"
    if code not in (0, 1, 2):
        sys.exit(f"pytest ended with {code} for {mutant!r}: neither passed nor failed")
    return "killed" if code else "survived"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("part", help="a package: schemas")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tests = sorted(map(str, pathlib.Path("tests", options.part).glob("test_*.py")))
    names = sorted(
        mutants(options.part), key=lambda name: hashlib.sha256(f"{options.seed} {name}".encode()).hexdigest()
    )
    known = dict(json.loads(line) for line in RESULTS.read_text().splitlines()) if RESULTS.exists() else {}
    started = time.monotonic()
    if run("", tests, 3600) != "survived":
        sys.exit("the tests fail without any mutant: run them in mutants/ to see why")
    limit = 5 * (time.monotonic() - started) + 60
    for at, name in enumerate(names[: options.count]):
        if name not in known:
            known[name] = run(name, tests, limit)
            with RESULTS.open("a") as file:
                file.write(json.dumps([name, known[name]]) + "\n")
            if known[name] != "killed":
                print(f"{at + 1} of {options.count}: {known[name]} {name}", flush=True)
    files: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for name in names[: options.count]:
        files[name.split(".x")[0]][known[name]] += 1
    print(f"{len(names):,} mutants, of which {min(options.count, len(names)):,} were drawn")
    files["all"] = sum(files.values(), collections.Counter())
    for name, counts in files.items():
        share = wilson(counts["killed"], counts.total())
        print(
            f"| `{name}` | {counts.total()} | {counts['killed']} | {counts['time limit']} | {counts['survived']} | "
            f"{100 * counts['killed'] / counts.total():.1f} % ({100 * share.low:.0f} to {100 * share.high:.0f}) |"
        )


if __name__ == "__main__":
    main()
