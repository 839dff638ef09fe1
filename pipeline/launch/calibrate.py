"""`leafinstruct calibrate`: score a corpus after the first stages, and write thresholds to the configuration."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import prompts
from pipeline import corpora
from pipeline.coherence.scorer import Scorer
from pipeline.coherence.thresholds import calibrate, write_thresholds
from pipeline.config import preset
from pipeline.graph import reading, stages
from pipeline.images.decode import ImageFault
from pipeline.launch.build import configured
from pipeline.run import Run, image_store
from schemas.records import Document, Provenance, StoredDocument


def calibrate_config(path: str, corpora_: list[str] | None, limit: int | None, work: str) -> str:
    """Write the thresholds of the configuration's model to the file `path`; returns a text about them.

    `work` is a folder for the images. Raises UserError as `build` does.
    """
    config = configured(path, corpora_, limit)
    run = Run(
        config,
        preset(config),
        prompts.load(config.prompts),
        "",
        work.rstrip("/"),
        "",
        "",
        "",
        Provenance("", "", "", "", "", ""),
    )
    scorer = Scorer(config.clip.model, config.clip.pretrained, config.clip.dtype)
    documents = list(_documents(run))
    print(f"scoring {len(documents)} documents", file=sys.stderr)
    found = calibrate(documents, scorer, image_store(run).open)
    write_thresholds(path, found)
    lines = [
        f"  {key}: {getattr(found, key):.4f}   rejects {found.caught[key]:.1%} of the mismatches"
        for key in found.caught
    ]
    return "\n".join([f"{path}: thresholds of {scorer.version}", *lines])


def _documents(run: Run) -> Iterator[StoredDocument]:
    """The documents that pass the text and header rules, with stored images."""
    filter_text, filter_headers, store_images = (
        stages.filter_text(run),
        stages.filter_headers(run),
        stages.store_images(run),
    )
    try:
        for part in reading.plan(run):
            for record in corpora.read(part):
                if not isinstance(record, Document) or not isinstance(passed := filter_text(record), Document):
                    continue
                if not isinstance(sized := filter_headers(passed), Document):
                    continue
                with contextlib.suppress(ImageFault):  # an image that cannot be stored says nothing about a model
                    stored = store_images(sized).result()
                    if isinstance(stored, StoredDocument):
                        yield stored
    finally:
        store_images.close()
