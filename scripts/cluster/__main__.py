"""`make cluster-test`: the demo on other engines gives the manifest of the local run, byte for byte.

The local run comes first, with the embedded coherence model and the tests' stand-in for a language model; the others get
its scores and answers, so they differ in the engine alone. The exit code is 0 where all that could run agree, 1 where one
does not; what could not run is said.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engines import ENGINES, ROOT, Missing

from tests import answers

RUN = 480
"""Seconds for one run."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engines", nargs="*", default=[*ENGINES], help=f"some of {', '.join(ENGINES)} (default: all)")
    parser.add_argument("--scores", help="a folder of scores of an earlier run, so that no model is needed")
    given = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(prefix="leafinstruct-cluster-") as folder, answers.server() as llm:
        first = Path(folder, "first")
        if given.scores:
            shutil.copytree(given.scores, first / "work/scores")
        problem = run(first, llm.url, [])
        if problem:
            print(f"the local run failed: {problem}")
            return 1
        for name in given.engines:
            here = Path(folder, name)
            for kept in ("scores", "answers"):
                shutil.copytree(first / "work" / kept, here / "work" / kept)
            started = time.monotonic()
            try:
                with ENGINES[name](here) as flags:
                    problem = run(here, llm.url, flags)
            except Missing as missing:
                results[name] = f"not run: {missing}"
            else:
                same = not problem and manifest(first) == manifest(here)
                results[name] = f"FAILED: {problem or 'another manifest'}" if not same else "the same manifest"
            print(f"{name}: {results[name]} ({time.monotonic() - started:.0f} s)", flush=True)
            if results[name].startswith("FAILED"):
                show_logs(here)
    return int(any(result.startswith("FAILED") for result in results.values()))


def run(folder: Path, llm_url: str, flags: list[str]) -> str:
    """Build the demo below a folder; what went wrong, or nothing."""
    command = [sys.executable, "-m", "pipeline.cli", "build", "--config", "configs/demo.yaml", "--llm-url", llm_url]
    command += ["--output", f"{folder}/out", "--work", f"{folder}/work", *flags]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN)
    except subprocess.TimeoutExpired:
        return f"it took longer than {RUN} s"
    return f"exit code {done.returncode}: {done.stderr[-2000:]}" if done.returncode else ""


def manifest(folder: Path) -> bytes:
    return (folder / "out/manifest.json").read_bytes()


def show_logs(folder: Path) -> None:
    for log in sorted(folder.glob("*.log")):
        with contextlib.suppress(OSError):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}")


if __name__ == "__main__":
    sys.exit(main())
