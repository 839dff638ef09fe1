"""A built folder as samples that can be read in any order."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from moss.backbones.generalist import Generalist, TextTokenizer
from moss.batch import Sample
from moss.data import samples, sidecar
from moss.layout import ImageLayout
from schemas.codec import from_json
from schemas.errors import UserError


@dataclasses.dataclass(frozen=True)
class Report:
    """What became of the instances of a folder. Lengths are tokens; `longest` is of all but other_source's."""

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
        return (f"{self.kept:,} instances; left out: {images}{self.too_long:,} longer than {self.max_length:,} tokens, "
                f"{self.other_source:,} of other sources. The longest is {self.longest_key}: {self.longest:,} tokens.")


@dataclasses.dataclass(frozen=True)
class Samples:
    """Samples by number, in the order of the shards; `lengths` int64 (len,) are their tokens. `fingerprint` is of the
    shards that they were made from and of the numbers that stand for their images.

    Holds where they lie, but neither their tokens nor open files, so it can be sent to other processes.
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


def open_samples(shards: str | os.PathLike[str], generalist: Generalist, *, max_length: int, max_images: int | None = None,
                 train_boundaries: bool = True, sources: Sequence[str] | None = None,
                 exclude_sources: Sequence[str] = (), cache: str | os.PathLike[str] | None = None,
                 progress: bool = True) -> Samples:
    """The instances of a built folder that fit whole into `max_length` tokens and have at most `max_images` images.

    Encodes the images first, where that is not done (see `sidecar.encode_shards`; `cache` is where to, and of several
    processes one should go first); then tokenises every text to know the lengths. Others are counted in `report` and
    left out; nothing is ever cut. `sources` keeps instances of these sources alone, `exclude_sources` all but these:
    the two halves of a held-out evaluation. Raises UserError for a broken folder, for a source that does not occur
    and where nothing is left.
    """
    layout, tokenizer = generalist.layout, generalist.tokenizer
    keys: list[str] = []
    lengths: list[int] = []
    places: list[tuple[pathlib.Path, sidecar.Place]] = []
    seen: set[str] = set()
    too_long = too_many = other = 0
    longest: tuple[int, str] = (0, "")
    shortest: int | None = None
    paths = sidecar.encode_shards(shards, generalist.tokenizer_of_images, cache, progress)
    for path in tqdm(paths, desc="measuring lengths", unit=" shards", disable=not progress):
        for value, place in sidecar.places(path):
            seen.add(value["source"])
            if value["source"] in exclude_sources or (sources is not None and value["source"] not in sources):
                other += 1
                continue
            instance = from_json(value)
            length = samples.sample_length(instance, layout, tokenizer)
            longest = max(longest, (length, instance.key))
            shortest = min(shortest or length, length)
            if max_images is not None and samples.image_count(instance) > max_images:
                too_many += 1
            elif length > max_length:
                too_long += 1
            else:
                keys.append(instance.key)
                lengths.append(length)
                places.append((path, place))
    if unknown := {*(sources or ()), *exclude_sources} - seen:
        raise UserError(f"{shards} has no instances of {', '.join(sorted(unknown))}; it has {', '.join(sorted(seen))}")
    report = Report(len(keys), too_long, too_many, other, *longest, max_length, max_images)
    if not keys:
        raise UserError(f"{shards} has nothing to train on: {report} Raise max_length or max_images, or choose other "
                        f"sources; the shortest instance has {shortest or 0:,} tokens.")
    return Samples(np.array(lengths), tuple(keys), report, layout, tokenizer, train_boundaries,
                   sidecar.fingerprint(paths), tuple(places))
