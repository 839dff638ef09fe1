"""Reads a dataset folder as samples, in any order."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from moss.backbones.generalist import Generalist, TextTokenizer, pixels_of
from moss.batch import Sample
from moss.data import lengths, pictures, samples, sidecar, waiting
from moss.layout import ImageLayout
from schemas.codec import from_json
from schemas.errors import UserError


@dataclasses.dataclass(frozen=True)
class Report:
    """How many instances of a folder are used, and why others are not.

    Lengths are in tokens; `longest` is over all instances except those of other sources. max_length: of a sample, by the
    settings and the model's context.
    """

    kept: int
    too_long: int
    too_many_images: int
    other_source: int
    longest: int
    longest_key: str
    max_length: int
    max_images: int | None

    def __str__(self) -> str:
        images = "" if self.max_images is None else f"{self.too_many_images:,} with over {self.max_images} images, "
        return (
            f"{self.kept:,} instances; left out: {images}{self.too_long:,} longer than {self.max_length:,} tokens, "
            f"{self.other_source:,} of other sources. The longest is {self.longest_key}: {self.longest:,} tokens."
        )


@dataclasses.dataclass(frozen=True)
class Samples:
    """Samples by number, in the order of the shards; `lengths` int64 (len,) are their tokens.

    `fingerprint` identifies the shards that they were made from, the codes of their images and the text tokenizer, as
    `SHARDS-TOKENIZER` (see `check_resumed`).

    It has their positions, but neither their tokens nor open files, so it can be sent to other processes.
    """

    lengths: np.ndarray
    keys: tuple[str, ...]
    report: Report
    layout: ImageLayout
    tokenizer: TextTokenizer
    train_boundaries: bool
    fingerprint: str
    places: tuple[tuple[pathlib.Path, sidecar.Place], ...] = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, number: int) -> Sample:
        instance, codes = sidecar.load(*self.places[number])
        return samples.sample(from_json(instance), codes, self.layout, self.tokenizer, self.train_boundaries)

    def bare(self, number: int) -> Sample:
        """A sample without its instruction and context, for condition dropout."""
        instance, codes = sidecar.load(*self.places[number])
        return samples.bare_sample(from_json(instance), codes, self.layout, self.tokenizer, self.train_boundaries)


def check_resumed(then: str, now: str, run: str, shards: str) -> str:
    """What to say about a run that resumes: its samples' fingerprint was `then` and is `now`; empty if that is as it was.

    Raises UserError if they were made from other shards or by another text tokenizer.
    """
    (codes, *tokenizer), (codes_now, *tokenizer_now) = (text.split("-", 1) for text in (then, now))
    if then and codes != codes_now:
        raise UserError(
            f"{run} was trained on other shards than {shards} holds now; give these back, or name another output"
        )
    if not tokenizer:
        unknown = "text tokenizer is" if then else "shards and text tokenizer are"
        return f"{run} was written by an earlier version: whether its {unknown} as now is not known"
    if tokenizer != tokenizer_now:
        raise UserError(
            f"{run} was trained with another text tokenizer than the backbone's folder holds now; give that one back, or "
            "name another output"
        )
    return ""


def prepare(
    shards: str | os.PathLike[str],
    generalist: Generalist,
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
) -> list[pathlib.Path]:
    """Encode this process's share of a dataset folder, and measure its instances' lengths; returns the sidecars.

    Earlier results are used again. At most `workers` processes decode images, and no more than this machine has cores
    for. Raises UserError as `sidecar.encode_shards` does.
    """
    workers = pictures.within_cores(workers)
    paths = sidecar.encode_shards(shards, pixels_of(generalist), cache, progress, rank, ranks, workers)
    for path in tqdm(paths, desc="measuring lengths", unit=" shards", disable=not progress):
        lengths.measure(path, generalist.layout, generalist.tokenizer)
    return paths


def _lengths(path: pathlib.Path, layout: ImageLayout, tokenizer: TextTokenizer, own: bool) -> list[int]:
    """The lengths that `prepare` measured; those of another process may not exist yet."""
    if own:
        found = lengths.measure(path, layout, tokenizer)
    else:
        found = waiting.until(lambda: lengths.read(path, layout, tokenizer), f"the lengths of the instances in {path}")
    return [int(length) for length in found]


def open_samples(
    shards: str | os.PathLike[str],
    generalist: Generalist,
    *,
    max_length: int,
    max_images: int | None = None,
    train_boundaries: bool = True,
    sources: Sequence[str] | None = None,
    exclude_sources: Sequence[str] = (),
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
) -> Samples:
    """The instances of a dataset folder that fit into `max_length` tokens and have at most `max_images` images.

    An instance that is longer than the model's context does not fit either.

    Images are encoded and lengths measured first, if that is not done yet (see `prepare`; `cache` is the folder for the
    results). Each of several processes does its share, and waits for the files of the others. Other instances are
    counted in `report` and left out; no instance is ever truncated. `sources` keeps only instances of these sources,
    `exclude_sources` all others: the two halves of a held-out evaluation. Raises UserError for a damaged folder, for a
    source that does not occur, and if no instance is left.
    """
    layout, tokenizer = generalist.layout, generalist.tokenizer
    context = generalist.context_length
    limit = max_length if context is None else min(max_length, context)
    keys: list[str] = []
    kept: list[int] = []
    places: list[tuple[pathlib.Path, sidecar.Place]] = []
    seen: set[str] = set()
    too_long = too_many = other = 0
    longest: tuple[int, str] = (0, "")
    shortest: int | None = None
    prepare(shards, generalist, cache=cache, progress=progress, rank=rank, ranks=ranks, workers=workers)
    paths = sidecar.wait_for(shards, pixels_of(generalist), cache)
    for number, path in enumerate(tqdm(paths, desc="reading lengths", unit=" shards", disable=not progress)):
        measured = _lengths(path, layout, tokenizer, own=number % ranks == rank)
        for (value, place), length in zip(sidecar.places(path), measured, strict=True):
            seen.add(value["source"])
            if value["source"] in exclude_sources or (sources is not None and value["source"] not in sources):
                other += 1
                continue
            instance = from_json(value)
            longest = max(longest, (length, instance.key))
            shortest = min(shortest or length, length)
            if max_images is not None and samples.image_count(instance) > max_images:
                too_many += 1
            elif length > limit:
                too_long += 1
            else:
                keys.append(instance.key)
                kept.append(length)
                places.append((path, place))
    if unknown := {*(sources or ()), *exclude_sources} - seen:
        raise UserError(f"{shards} has no instances of {', '.join(sorted(unknown))}; it has {', '.join(sorted(seen))}")
    report = Report(len(keys), too_long, too_many, other, *longest, limit, max_images)
    if not keys:
        raise UserError(
            f"{shards} has nothing to train on: {report} Raise max_length or max_images, or choose other "
            f"sources; the shortest instance has {shortest or 0:,} tokens, and the model can hold {context or 'any number'}."
        )
    return Samples(
        np.array(kept),
        tuple(keys),
        report,
        layout,
        tokenizer,
        train_boundaries,
        f"{sidecar.fingerprint(paths)}-{tokenizer.fingerprint}",
        tuple(places),
    )
