"""`leafinstruct attach` and `publish`: what a launcher does after its job was started, in another process."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline.dataset.wording import count
from pipeline.graph import progress
from pipeline.launch import engine, job, logs, metrics, publish, whole
from pipeline.launch.build import Built, built, log_of
from pipeline.launch.errors import translated
from pipeline.launch.job import Job
from pipeline.launch.lease import Held
from pipeline.launch.lock import exclusive_lock
from pipeline.launch.signals import stopped_by_signals
from pipeline.run import Run
from pipeline.storage import remote, uris
from pipeline.storage.bucket import is_remote
from schemas.errors import UserError
from schemas.signature import private_key
from schemas.stage_names import STAGES, stage_title

PAUSE, PAUSE_REMOTE = 2.0, 30.0
"""Seconds between two looks at a run; each look at a bucket is some requests."""


def attach(work: str, sign: str | None = None, pause: float | None = None) -> tuple[Job, Built | None]:
    """Wait for the end of the run of a work folder, with lines about its progress on stderr, and publish it.

    While its launcher goes on, that publishes; if it ends without that, this does, as soon as the job has ended. Returns
    the run, and what was published, or None if it was published before. `pause` is in seconds. Raises the errors of
    `publish_run`, and ServiceError if the engine says that the job has failed.
    """
    work = remote.folder(work)
    found = _found(work, sign)
    if found.published:
        return found, None
    run, key = job.restored(found, work), private_key(sign) if sign else None
    print(f"run {found.id} -> {found.output}, started by {found.launcher}", file=sys.stderr)
    pause = pause or (PAUSE_REMOTE if is_remote(work) else PAUSE)
    with _ours(found, work), contextlib.ExitStack() as stack:
        stack.enter_context(progress.shown(run.counts, tuple(map(stage_title, STAGES))))
        alone = _when_free(stack, run, pause)
        now = _still(found, work)
        while now.goes_on and not now.published and not whole.ended(run):
            state = engine.state(now) if now.engine_job else engine.UNKNOWN
            print(f"  {now.goes_on}: {state}; {_so_far(run)}", file=sys.stderr, flush=True)
            if state == engine.FAILED:
                raise RuntimeError(f"the engine says that job {now.engine_job} has failed")
            if state == engine.DONE:
                break
            time.sleep(pause)
        return now, _published(now, run, key, alone)


def publish_run(work: str, id_: str, sign: str | None = None) -> tuple[Job, Built | None]:
    """Publish the run `id_` of a work folder, whose job has ended; returns as `attach` does.

    Raises Held if its launcher still goes on, ServiceError if results are missing, and UserError if another run has
    begun there, or this environment, the rules or the prompts are not those of the launcher.
    """
    work = remote.folder(work)
    found = _found(work, sign)
    if found.id != id_:
        raise UserError(f"the last run in {work} is {found.id}, not {id_}")
    if found.published:
        return found, None
    run, key = job.restored(found, work), private_key(sign) if sign else None
    with _ours(found, work), exclusive_lock(run.output, work, run=id_) as alone:
        return found, _published(_still(found, work), run, key, alone)


def _found(work: str, sign: str | None) -> Job:
    found = job.load(work)
    if found.until:
        on = (
            f"; {found.goes_on} may still be going on, so look there first"
            if found.goes_on and not found.published
            else ""
        )
        raise UserError(
            f"run {found.id} was to end after {stage_title(found.until)!r}, so there is nothing to publish: "
            f"build without --until, which finds what it kept{on}"
        )
    if found.signed and not sign and not found.published:
        raise UserError(f"run {found.id} was started with a key: give the same one with --sign")
    return found


def _still(found: Job, work: str) -> Job:
    """What is known of the run now that its folders are locked. Raises UserError if another has begun meanwhile."""
    now = job.load(work)
    if now.id != found.id:
        raise UserError(f"run {found.id} was given up: run {now.id} has begun in {work}")
    return now


@contextlib.contextmanager
def _ours(found: Job, work: str) -> Iterator[None]:
    """What both commands do around their work, as `build` does: errors, signals, the log."""
    log = log_of(work)
    with (
        translated(found.output, work, f"{work}/failures/{found.id}", log),
        stopped_by_signals(),
        contextlib.ExitStack() as stack,
    ):
        if not is_remote(work):
            stack.enter_context(logs.to_file(log))
        yield


def _when_free(stack: contextlib.ExitStack, run: Run, pause: float) -> Callable[[], None]:
    """Wait until no other process uses the run's folders, and lock them."""
    said = False
    while True:
        try:
            return stack.enter_context(exclusive_lock(run.output, run.work, run=run.id))
        except Held as held:
            if not said:
                print(f"  waiting: {str(held).split(';')[0]}", file=sys.stderr, flush=True)
            if is_remote(run.work):
                print(f"  {_so_far(run)}", file=sys.stderr, flush=True)
            said = True
            time.sleep(pause)


def _so_far(run: Run) -> str:
    """What the work folder and the staging folder have: one line."""
    shards, parts = (len(uris.find(f"{run.staging}/{name}", ends)) for name, ends in publish.FOLDERS)
    text = f"{count(shards, 'shard')} and {count(parts, 'part')} of the ledger"
    if is_remote(run.work):
        stores = []
        for name in ("images", "scores", "answers"):
            sizes = [size for _, size, _ in remote.described(f"{run.work}/{name}/")]
            stores.append(f"{name} {count(len(sizes), 'pack')} of {sum(sizes) / 1e6:,.1f} MB")
        text += f"; {', '.join(stores)}"
    return text


def _published(found: Job, run: Run, key: Ed25519PrivateKey | None, alone: Callable[[], None]) -> Built | None:
    if found.published:
        return None
    numbers: metrics.Metrics = engine.collect(found)
    funnel = publish.publish(run, numbers, inputs=found.inputs, allow_empty=found.allow_empty, key=key, alone=alone)
    return built(funnel, numbers, log_of(run.work))
