"""Run the tests against mutants drawn at random: `python scripts/mutation_sample.py schemas --count 300`.

`make mutation` runs every mutant, which takes hours for `schemas/`: its tests write and validate whole datasets. This
runs the same mutants (mutmut's), in an order that the seed decides, against the tests of the same folder. The tests are
loaded once and run once without a mutant, to note how long each takes and which functions it calls; for each mutant a
copy of this process runs those that call its function, the quick ones first, until one fails or all that together took
a minute without a mutant have passed: a slower test might have killed some of the survivors. It prints each survivor and
a table of the files, with the share that is killed and its 95 % interval (Wilson's). A run that is stopped can be started
again, as long as no test has changed: what it found is in `mutants/sample.jsonl` and `mutants/callers.json`.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import itertools
import json
import os
import pathlib
import signal
import sys
import time
from collections.abc import Callable

import pytest

from pipeline.selftest.result import wilson

RESULTS = pathlib.Path("mutants/sample.jsonl").absolute()
CALLERS = pathlib.Path("mutants/callers.json").absolute()
SECONDS = 60.0
"""The tests of one mutant take at most so long together without a mutant."""
LEFT_OUT = "not hostile and not any_bytes and not in_processes and not workers"
"""Tests that take seconds each and ask for bounds of time and memory, which no mutant of a rule changes."""
OUTCOMES = ("survived", "killed")


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


class Tests:
    """A pytest plugin that hands the tests it has loaded to `work` instead of running them."""

    def __init__(self, work: Callable[[Tests], None]) -> None:
        self.work = work
        self.items: list[pytest.Item] = []
        self.failed = False

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = session.items
        self.work(self)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed

    def run(self, items: list[pytest.Item], after: Callable[[pytest.Item, float], None] | None = None) -> bool:
        """Run these tests up to the first that fails; whether one did. `after` is told how long each took."""
        for item, following in zip(items, [*items[1:], None], strict=True):
            started = time.monotonic()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return True
            if after:
                after(item, time.monotonic() - started)
        return False

    def callers(self) -> dict[str, list[pytest.Item]]:
        """For each function, the tests that call it, the quick ones first; exits where a test fails without a mutant."""
        if CALLERS.exists():
            found = json.loads(CALLERS.read_text())
        else:
            found = self._callers()
            CALLERS.write_text(json.dumps(found))
        items = {item.nodeid: item for item in self.items}
        return {function: [items[name] for name in _quick(tests)] for function, tests in found.items()}

    def _callers(self) -> dict[str, list[tuple[float, str]]]:
        """For each function, the seconds and names of the tests that call it."""
        from mutmut.mutation import trampoline

        called: set[str] = set()
        found: dict[str, list[tuple[float, str]]] = collections.defaultdict(list)

        def note(item: pytest.Item, seconds: float) -> None:
            for function in called:
                found[function].append((seconds, item.nodeid))
            called.clear()

        vars(trampoline)["record_trampoline_hit"] = lambda name, caller=None: called.add(name)
        os.environ["MUTANT_UNDER_TEST"] = "stats"
        if self.run(self.items, note):
            sys.exit("a test fails without any mutant: run the tests in mutants/ to see why")
        return found

    def outcome(self, mutant: str, items: list[pytest.Item], seconds: float) -> str:
        """killed, survived, or time limit: of these tests, in a copy of this process."""
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            os.environ["MUTANT_UNDER_TEST"] = mutant
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            code = 2
            try:
                code = int(self.run(items))
            finally:  # whatever happens, the copy never goes on as its parent
                os._exit(code)
        ends = time.monotonic() + seconds
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            if time.monotonic() > ends:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return "time limit"
            time.sleep(0.02)
        return OUTCOMES[min(1, abs(os.waitstatus_to_exitcode(status)))]


def _quick(tests: list[tuple[float, str]]) -> list[str]:
    """The quickest tests, as many as take SECONDS together, and one at least."""
    quick = sorted(tests)
    ends = itertools.accumulate(seconds for seconds, _ in quick)
    return [name for (_, name), end in zip(quick, ends, strict=True) if end <= SECONDS] or [quick[0][1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("part", help="a package: schemas")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tests = sorted(map(str, pathlib.Path("tests", options.part).glob("test_*.py")))
    every = sorted(
        mutants(options.part), key=lambda name: hashlib.sha256(f"{options.seed} {name}".encode()).hexdigest()
    )
    names = every[: options.count]
    known = dict(json.loads(line) for line in RESULTS.read_text().splitlines()) if RESULTS.exists() else {}

    def work(loaded: Tests) -> None:
        callers = loaded.callers()
        for at, name in enumerate(names):
            if name not in known:
                mutant = name.replace("__init__.", "")
                known[name] = loaded.outcome(mutant, callers.get(mutant.rpartition("__mutmut_")[0], []), 5 * SECONDS)
                with RESULTS.open("a") as file:
                    file.write(json.dumps([name, known[name]]) + "\n")
                if known[name] != "killed":
                    print(f"{at + 1} of {len(names)}: {known[name]} {name}", file=sys.__stderr__, flush=True)

    os.chdir("mutants")
    sys.path[:] = [os.getcwd(), *(folder for folder in sys.path if not (pathlib.Path(folder) / "mutants").is_dir())]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("pipeline", "schemas", "filters")]:
        del sys.modules[name]  # the tests import what has the mutants in it
    os.environ["PYTHONPATH"] = os.getcwd()
    options_of_pytest = ["-q", "-s", "-W", "ignore", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", LEFT_OUT]
    if pytest.main([*options_of_pytest, *tests], plugins=[Tests(work)]):
        sys.exit("pytest could not load the tests, or one fails without any mutant")
    files: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for name in names:
        files[name.split(".x")[0]][known[name]] += 1
    print(f"{len(every):,} mutants, of which {len(names):,} were drawn")
    files["all"] = sum(files.values(), collections.Counter())
    for name, counts in files.items():
        share = wilson(counts["killed"], counts.total())
        print(
            f"| `{name}` | {counts.total()} | {counts['killed']} | {counts['time limit']} | {counts['survived']} | "
            f"{100 * counts['killed'] / counts.total():.1f} % ({100 * share.low:.0f} to {100 * share.high:.0f}) |"
        )


if __name__ == "__main__":
    main()
