"""The batches of an epoch, from any step on; they are the same for any number of processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch.utils.data

from moss.batch import Batch
from moss.data.collation import collate
from moss.data.dataset import Samples
from moss.data.packing import pack


def batches(
    dataset: Samples,
    *,
    rows: int,
    length: int,
    seed: int,
    epoch: int,
    start: int = 0,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
    complete: bool = True,
    whole: int | None = None,
    condition_dropout: float = 0.0,
) -> Iterator[Batch]:
    """An epoch's batches of `rows` rows of `length` tokens, from step `start` on; nothing before it is read.

    `rows` is the number of rows of all ranks together: rank r of n gets the r-th of n parts of every batch, so that the
    parts together are the batch that one process would get. The order depends only on (seed, epoch). `workers`
    processes read ahead. An epoch is extended with its first rows to a multiple of `whole` rows (default `rows`), so no
    sample is lost and every rank takes the same number of steps, but a few samples occur twice in an epoch. Without
    `complete` (for measuring), the rows added have no targets and no keys, so that every sample counts once.
    `condition_dropout` is the share of samples, drawn anew every epoch, that lose instruction and context; their rows
    keep their other samples. Raises ValueError for rows that the ranks cannot share evenly, and the errors of `pack`.
    """
    if rows % ranks or (whole or rows) % rows:
        raise ValueError(f"{ranks} ranks cannot share batches of {rows} rows evenly")
    share = rows // ranks
    packed = pack(dataset.lengths.tolist(), length, seed, epoch)
    counted = None if complete else len(packed)
    packed += [packed[n % len(packed)] for n in range(-len(packed) % (whole or rows))]
    starts = range(rank * share, len(packed), rows)
    parts = [packed[at : at + share] for at in starts]
    left = [share if counted is None else max(0, min(share, counted - at)) for at in starts]
    loader = torch.utils.data.DataLoader(
        _Steps(dataset, parts, left, length, condition_dropout, seed, epoch),
        sampler=range(start, len(parts)),
        batch_size=None,
        num_workers=workers,
        generator=torch.Generator(),
    )  # a separate one: a new loader must not change the state of the global one, which dropout uses
    return iter(loader)


def steps(dataset: Samples, *, rows: int, length: int, seed: int, epoch: int) -> int:
    """The number of batches that `batches` yields in this epoch.

    It may differ slightly between epochs, because of packing.
    """
    return -(-len(pack(dataset.lengths.tolist(), length, seed, epoch)) // rows)


@dataclasses.dataclass(frozen=True)
class _Steps(torch.utils.data.Dataset[Batch]):
    """A dataset of batches by step, for worker processes. Of a step's rows, the first `counted` have targets."""

    samples: Samples
    rows: list[list[list[int]]]
    counted: list[int]
    length: int
    condition_dropout: float
    seed: int
    epoch: int

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, step: int) -> Batch:
        rows = [
            [self.samples.bare(number) if self._dropped(number) else self.samples[number] for number in row]
            for row in self.rows[step]
        ]
        made = collate(rows, self.length, self.samples.layout, self.samples.tokenizer.pad)
        return _without_targets(made, sum(map(len, rows[: self.counted[step]])))

    def _dropped(self, number: int) -> bool:
        """Whether a sample loses its condition.

        Depends only on its number, the seed and the epoch, so it is the same in every process and after a resume.
        """
        if not self.condition_dropout:
            return False
        drawn = np.random.default_rng([self.seed, self.epoch, number]).random()
        return bool(drawn < self.condition_dropout)


def _without_targets(batch: Batch, first: int) -> Batch:
    """The batch in which the samples from number `first` on have no targets."""
    if first == len(batch.keys):
        return batch
    text, image = (torch.where(of < first, of, -1) for of in (batch.text_of, batch.image_of))
    return dataclasses.replace(batch, text_of=text, image_of=image, keys=batch.keys[:first])
