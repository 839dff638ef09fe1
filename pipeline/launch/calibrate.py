"""`leafinstruct calibrate`: take a corpus through the pipeline's own first steps, and its scores into the config."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from pipeline import corpora
from pipeline.coherence.scorer import Scorer
from pipeline.coherence.thresholds import calibrate, write_thresholds
from pipeline.graph import reading, stages
from pipeline.images.decode import ImageFault
from pipeline.launch.build import configured
from pipeline.run import Run, image_store
from schemas.records import Document, Drop, Fault, Provenance


def calibrate_config(path: str, corpora_: list[str] | None, limit: int | None, work: str) -> str:
    """Write the thresholds of the config's model into the config file; what they are and what they catch, in words.

    `work` is a folder for the pictures. Raises UserError as `build` does.
    """
    config = configured(path, corpora_, limit)
    run = Run(config, "", work.rstrip("/"), "", "", "", Provenance("", "", "", "", "", ""))
    scorer = Scorer(config.clip.model, config.clip.pretrained)
    documents = list(_documents(run))
    print(f"{len(documents)} documents; scoring them", file=sys.stderr)
    found = calibrate(documents, scorer, image_store(run).open)
    write_thresholds(path, found)
    lines = [f"  {key}: {getattr(found, key):.4f}   catches {found.caught[key]:.1%} of what is wrong"
             for key in found.caught]
    return "\n".join([f"{path}: thresholds of {scorer.version}", *lines])


def _documents(run: Run) -> Iterator[Document]:
    """Documents that pass the text and header rules, their pictures stored."""
    store = stages.store_pictures(run)
    steps = stages.judge_text(run), stages.judge_headers(run), lambda document: store(document).result()

    try:
        yield from _through(run, steps)
    finally:
        store.close()


def _through(run: Run, steps) -> Iterator[Document]:
    def passed(found: Document | Drop | Fault) -> bool:
        return isinstance(found, Document)
    for part in reading.plan(run):
        for found in corpora.read(part):
            with contextlib.suppress(ImageFault):           # a picture that cannot be had tells nothing of a model
                for step in steps:
                    found = step(found) if passed(found) else found
                if passed(found):
                    yield found
