"""One stage of the graph alone, run by Beam as in the whole pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import apache_beam as beam

import prompts
from pipeline import config as configuration
from pipeline.coherence.version import clip_version
from pipeline.graph import stages
from pipeline.graph.transforms import ENDED
from pipeline.run import Run
from schemas.errors import RecordFault
from schemas.outcome import Outcome
from schemas.records import Document, Provenance

CONFIG = Path(__file__).parent.parent / "configs" / "demo.yaml"


def a_run(work: str, config: configuration.Config, llm_url: str = "http://127.0.0.1:9/v1", llm_name: str = "") -> Run:
    """A run of the configuration in the folder `work`, for single stages."""
    clip = (config.clip.model, config.clip.pretrained, config.clip.dtype)
    return Run(
        config,
        configuration.preset(config),
        prompts.load(config.prompts),
        work,
        work,
        llm_url,
        llm_name,
        "",
        Provenance("", "", clip_version(*clip), llm_name, "", ""),
    )


def passing(run: Run) -> Callable[[Document], Document | None]:
    """A function that returns the document after the rules about texts and headers, or None if it does not pass."""
    text, headers = stages.filter_text(run), stages.filter_headers(run)

    def passed(document: Document) -> Document | None:
        try:
            read = text(document)
            found = headers(read) if isinstance(read, Document) else None
        except RecordFault:
            return None
        return found if isinstance(found, Document) else None

    return passed


def run_step(documents: Iterable[object], do: beam.DoFn) -> None:
    """Run the stage on the documents, or on other inputs of the stage.

    Raises RuntimeError if one of them does not pass.
    """
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        ended = (
            pipeline | beam.Create(documents, reshuffle=False) | beam.ParDo(do).with_outputs(ENDED, main="passed")
        )[ENDED]
        _ = ended | beam.Map(_refuse)


def _refuse(outcome: Outcome) -> None:
    raise RuntimeError(f"{outcome.id}: {outcome.rule}{outcome.error} {outcome.detail}")
