"""`make cluster-test`: the demo on other engines gives the manifest of the local run, byte for byte.

The local run comes first, with the embedded coherence model and the tests' stand-in for a language model; the others get
its texts of images, scores and answers, so they differ in the engine alone. The exit code is 0 where all that could run
agree, 1 where one does not or where nothing could run; what could not run is said.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # at once: the first process of a network ignores it otherwise

import alone
import flink
import local
import prism
import psutil
import spark
import yaml
from processes import Failed, Missing, process

from pipeline.storage.files import write_bytes
from pipeline.storage.uris import read_bytes
from tests import answers
from tests.fake_openai import FakeOpenAI
from tests.pipeline.storage.emulators import emulator

RUN = 8
"""Minutes for one run of the demo."""
PAUSE = 1.0
"""Seconds that the language model takes for an answer where a process is killed meanwhile."""
SHORT = 0.1
"""Seconds for an answer where the questions in flight are counted."""


@dataclasses.dataclass(frozen=True)
class Engine:
    """An engine that runs the pipeline.

    fetch: gets what it is made of, once; raises Missing. start: its processes while a block runs, given a folder for
    them and how many questions the language model was asked; yields a run's flags. bucket: work and output are on S3, by
    its emulator. answers: the run gets the local run's answers; else it asks for them again. in_flight: the most questions
    that all its workers may ask at once, by `llm.in_flight`, which is checked; None: there is no limit.
    """

    fetch: Callable[[], None]
    start: Callable[[Path, Callable[[], int]], contextlib.AbstractContextManager[list[str]]]
    bucket: bool = False
    answers: bool = True
    in_flight: int | None = None


ENGINES = {
    "local": Engine(local.fetch, local.start),
    "prism": Engine(prism.fetch, prism.start),
    "spark": Engine(spark.fetch, spark.start, answers=False, in_flight=2),
    "flink": Engine(flink.fetch, flink.start, bucket=True, answers=False, in_flight=2),
    "flink-killed": Engine(flink.fetch, flink.start_and_kill, bucket=True, answers=False),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engines", nargs="*", help=f"some of {', '.join(ENGINES)} (default: all)")
    parser.add_argument("--config", default="configs/demo.yaml", help="what is built (default: %(default)s)")
    parser.add_argument("--work", help="an earlier run's work folder, whose texts of images and scores are taken")
    parser.add_argument("--minutes", type=int, default=RUN, help=f"the longest time for one run (default: {RUN})")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := set(given.engines) - set(ENGINES):
        parser.error(f"no engine is called {', '.join(sorted(unknown))}")
    if given.work and not Path(given.work).is_dir():
        parser.error(f"there is no work folder {given.work}")
    if given.alone:
        alone.begin()
        return compare(given.engines, given.config, given.work, given.minutes)
    if not alone.is_possible():
        print(
            "not run: Beam's servers listen to every network, and this machine gives them none of their own (unshare)"
        )
        return 1
    names = [name for name in given.engines or ENGINES if there(name)]
    if not names:
        return 1
    return alone.run(
        str(Path(__file__).parent),
        "--alone",
        f"--config={given.config}",
        f"--minutes={given.minutes}",
        *([f"--work={given.work}"] if given.work else []),
        *names,
    )


def there(name: str) -> bool:
    """Is everything there that an engine is made of, or did it arrive?"""
    try:
        ENGINES[name].fetch()
    except Missing as missing:
        print(f"{name}: not run: {missing}", flush=True)
        return False
    return True


def compare(names: list[str], config: str, work: str | None, minutes: int) -> int:
    """Build locally and then on the engines; the exit code."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leafinstruct-cluster-")))
        llm = stack.enter_context(answers.server())
        os.environ.update(stack.enter_context(emulator("s3")))
        command = [sys.executable, "-m", "pipeline.cli", "build", "--config", config, "--llm-url", llm.url]
        first = folder / "first"
        if work:
            hand_over(work, f"{first}/work", ("ocr", "scores"))
        if not told(first, functools.partial(build, command, str(first), first, minutes)):
            return 1
        agree = [
            told(folder / name, functools.partial(build_on, name, command, folder, llm, minutes)) for name in names
        ]
    return 0 if all(agree) else 1


def told(folder: Path, do: Callable[[], str]) -> bool:
    """Do it, with logs in a folder, and say what came of it and how long it took. False where it failed."""
    folder.mkdir(exist_ok=True)
    started, fine = time.monotonic(), True
    try:
        result = do()
    except Failed as failed:
        result, fine = f"FAILED: {failed}", False
    print(f"{folder.name}: {result} ({time.monotonic() - started:.0f} s)", flush=True)
    for log in sorted(folder.glob("*.log")) if not fine else ():
        print(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}")
    return fine


def build_on(name: str, command: list[str], folder: Path, llm: FakeOpenAI, minutes: int) -> str:
    """Build on an engine, with what the first run kept, and compare the manifests. Raises Failed."""
    engine, first, here = ENGINES[name], folder / "first", folder / name
    root = f"s3://bucket/{name}" if engine.bucket else str(here)
    hand_over(f"{first}/work", f"{root}/work", ("ocr", "scores", *(["answers"] if engine.answers else [])))
    before, llm.slow, llm.most_in_flight = len(llm.requests), 0.0 if engine.answers else PAUSE, 0
    if engine.in_flight:
        command = limited(command, engine.in_flight, here)
        llm.slow = SHORT
    with engine.start(here, lambda: len(llm.requests) - before) as flags:
        build([*command, *flags], root, here, minutes)
    if read_bytes(f"{root}/out/manifest.json") != read_bytes(f"{first}/out/manifest.json"):
        raise Failed("another manifest")
    if not engine.in_flight:
        return "the same manifest"
    if llm.most_in_flight > engine.in_flight:
        raise Failed(f"{llm.most_in_flight} questions at once, and {engine.in_flight} are allowed")
    return f"the same manifest, {llm.most_in_flight} of {engine.in_flight} questions at once"


def limited(command: list[str], in_flight: int, folder: Path) -> list[str]:
    """The command with a copy of its configuration whose workers ask so many questions at once, one each."""
    at = command.index("--config") + 1
    config = yaml.safe_load(Path(command[at]).read_text())
    config["llm"] = {**config.get("llm", {}), "in_flight": in_flight, "concurrency": 1}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return [*command[:at], str(folder / "config.yaml"), *command[at + 1 :]]


def build(command: list[str], root: str, logs: Path, minutes: int) -> str:
    """Build below a folder, local or in a bucket. Raises Failed."""
    with process([*command, "--output", f"{root}/out", "--work", f"{root}/work"], logs / "build.log") as launcher:
        try:
            code = launcher.wait(60 * minutes)
        except psutil.TimeoutExpired:
            raise Failed(f"it took longer than {minutes} minutes") from None
    if code:
        raise Failed(f"exit code {code}")
    return "built"


def hand_over(work: str, to: str, names: tuple[str, ...]) -> None:
    """Copy what a run kept in its work folder to that of another."""
    for name in names:
        for file in sorted(Path(work, name).glob("*.pack")):
            write_bytes(f"{to}/{name}/{file.name}", file.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
