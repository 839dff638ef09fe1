"""From shards to batches: images encoded once, text templated, whole samples packed into rows of one length."""

from moss.data.collation import collate
from moss.data.dataset import Report, Samples, open_samples, prepare
from moss.data.loader import batches, steps
from moss.data.samples import prompt_sample

__all__ = ["Report", "Samples", "batches", "collate", "open_samples", "prepare", "prompt_sample", "steps"]
