"""Trains adapters of the small generalist on each subset and keeps what is measured of them."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import itertools
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from tqdm import tqdm
from transformers.utils.logging import disable_progress_bar

from benchmarks.moss_ordering import METHODS
from benchmarks.uplift.exam import Exam
from benchmarks.uplift.examples import LENGTH
from moss import train
from moss.batch import Batch, Sample
from moss.data import collate
from moss.data.packing import pack
from moss.settings import Settings, load
from moss.training.step import train_step
from pipeline.storage.files import write_bytes

CONFIG = "configs/moss_ordering.yaml"


@dataclasses.dataclass(frozen=True, eq=False)  # each is itself: arrays have no hash
class Job:
    """One training: a subset's name and samples, the seed and the number of steps, 0 for the backbone as it is."""

    subset: str
    seed: int
    steps: int
    samples: tuple[Sample, ...]

    @property
    def name(self) -> str:
        """The name of the file with the figures."""
        return f"{self.subset.replace(' ', '-')}-{self.seed}"


def settings_of(job: Job) -> Settings:
    """The settings of a training: those of the comparison of adapters, with MoSS."""
    changes = {"seed": job.seed, "steps": max(job.steps, 1), "warmup": job.steps // 10}
    return load(
        CONFIG,
        [f"adapter.{key}={value}" for key, value in METHODS["moss"].items()]
        + [f"training.{key}={value}" for key, value in changes.items()],
    )


def trained(job: Job, exam: Exam) -> dict[str, float]:
    """Train on the job's samples; returns the figures of the exam."""
    settings = settings_of(job)
    accelerator = Accelerator(mixed_precision=settings.training.precision)
    generalist = train.build(settings).to(accelerator.device)
    model, optimizer = train.prepare(accelerator, generalist, settings)
    layout, pad = generalist.layout, generalist.tokenizer.pad
    rows = _rows(job)
    for step in range(job.steps):
        some = list(itertools.islice(rows, settings.training.rows))
        batch: Batch = collate(some, LENGTH, layout, pad).to(accelerator.device)
        train_step(accelerator, model, optimizer, generalist, [batch], settings, step)
    return exam.measure(accelerator.unwrap_model(model, keep_fp32_wrapper=False).eval())


def _rows(job: Job) -> Iterator[list[Sample]]:
    """Packed rows of the samples, epoch after epoch."""
    lengths = [len(sample.ids) for sample in job.samples]
    for epoch in itertools.count():
        for row in pack(lengths, LENGTH, job.seed, epoch):
            yield [job.samples[number] for number in row]


def figures(jobs: Sequence[Job], exam: Exam, folder: Path, workers: int) -> dict[str, dict[int, dict[str, float]]]:
    """Subset -> seed -> the figures; `workers` trainings at a time, with a core each.

    Each training's figures are a file of `folder`. One that was made from the same samples is not made again.
    """
    found: dict[str, dict[int, dict[str, float]]] = {}
    paths = {job: folder / f"{job.name}.json" for job in jobs}
    made_from = {job: _digest(job, exam) for job in jobs}
    context = multiprocessing.get_context("spawn")
    with (
        concurrent.futures.ProcessPoolExecutor(workers, context, _one_thread) as pool,
        tqdm(total=len(jobs), desc="training", unit=" runs") as bar,
    ):
        running = {}
        for job, path in paths.items():
            kept = json.loads(path.read_text()) if path.exists() else {}
            if kept.get("made_from") == made_from[job]:
                found.setdefault(job.subset, {})[job.seed] = kept["figures"]
                bar.update()
            else:
                running[pool.submit(trained, job, exam)] = job
        try:
            for future in concurrent.futures.as_completed(running):
                job = running[future]
                found.setdefault(job.subset, {})[job.seed] = values = future.result()
                kept = {"subset": job.subset, "seed": job.seed, "made_from": made_from[job], "figures": values}
                write_bytes(str(paths[job]), json.dumps(kept, indent=1).encode() + b"\n")
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return found


def _digest(job: Job, exam: Exam) -> str:
    """16 hex digits that change with what the figures are made from."""
    digest = hashlib.sha256(repr(settings_of(job)).encode())
    for samples in (job.samples, exam.documents, exam.pairs):
        digest.update(b"samples")
        for sample in samples:
            digest.update(sample.ids.tobytes())
    return digest.hexdigest()[:16]


def _one_thread() -> None:
    torch.set_num_threads(1)
    disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers
