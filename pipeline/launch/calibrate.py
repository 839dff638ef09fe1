"""`leafinstruct calibrate`: score a corpus after the first stages, and write thresholds to the configuration."""

from __future__ import annotations

import dataclasses
import sys

from pipeline.coherence.scorer import Scorer
from pipeline.coherence.thresholds import KEYS, calibrate, write_thresholds
from pipeline.coherence.witness import KEYS as WEIGHTS
from pipeline.coherence.witness import weights
from pipeline.launch.build import configured
from pipeline.launch.selftest import selftest_of, told
from pipeline.launch.stored import measured, stored_documents
from pipeline.run import image_store


def calibrate_config(path: str, corpora_: list[str] | None, limit: int | None, work: str) -> str:
    """Write the thresholds of the configuration's model, and the weights of `ocr`, to the file `path`; returns a text.

    At the end the thresholds are tested on the same documents (`selftest`), without ratings. `work` is a folder for
    caches. Raises UserError as `build` does.
    """
    config = configured(path, corpora_, limit)
    config = dataclasses.replace(config, llm=dataclasses.replace(config.llm, url=None))
    run = measured(config, work)
    scorer = Scorer(config.clip.model, config.clip.pretrained, config.clip.dtype)
    documents, open_image = stored_documents(run), image_store(run).open
    print(f"scoring {len(documents)} documents", file=sys.stderr)
    if config.ocr:
        scorer.ocr = weights(scorer.measure(documents, open_image), config.ocr)
        config = dataclasses.replace(config, ocr=scorer.ocr)
    found = calibrate(documents, scorer, open_image)
    del scorer  # the self-test loads the model again, if a score is not in the cache
    write_thresholds(path, found, config.ocr)
    lines = [
        f"  {key}: {getattr(found, key):.4f}   rejects {found.caught[key]:.1%} of the mismatches"
        for key in found.caught
    ]
    if config.ocr:
        lines += [f"  ocr.{key}: {getattr(config.ocr, key):.4f}" for key in WEIGHTS]
    rules = dataclasses.replace(config.coherence, **{key: getattr(found, key) for key in KEYS})
    tested = selftest_of(dataclasses.replace(run, config=dataclasses.replace(config, coherence=rules)), documents)
    return "\n".join([f"{path}: thresholds of {run.provenance.clip}", *lines, "", told(tested, work, as_json=False)])
