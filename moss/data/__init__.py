"""From shards to batches.

Images encoded once, texts put into a template, whole samples packed into rows of one length.
"""

from moss.data.collation import collate
from moss.data.dataset import Report, Samples, check_resumed, open_samples, prepare
from moss.data.loader import batches, steps
from moss.data.samples import bare_prompt, prompt_sample

__all__ = [
    "Report",
    "Samples",
    "bare_prompt",
    "batches",
    "check_resumed",
    "collate",
    "open_samples",
    "prepare",
    "prompt_sample",
    "steps",
]
