"""One run: its configuration, its folders, and what made it. Prepared by the launcher, carried to every worker."""

from __future__ import annotations

import dataclasses

from filters.presets import Preset
from pipeline.config import Config
from pipeline.images.fetch import Http
from pipeline.images.store import ImageStore
from prompts import PromptSet
from schemas.records import Provenance

LLM_KEY = "LEAFINSTRUCT_LLM_KEY"
"""The environment variable with the key of a server that wants one. It is never written anywhere."""


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that a worker has to know. Small, frozen and picklable.

    output: the folder that people look at. work: scratch and caches (pictures, scores, answers), shared by runs.
    preset and prompts: the rules and the questions that the configuration names, loaded once. llm_url and llm_name:
    where to ask; llm_wanted: a folder where a worker says at its first question that it wants a server, so that one is
    started only when there is something to ask ("" where a server runs already). keep_going: make ledger rows of bugs.
    """

    config: Config
    preset: Preset
    prompts: PromptSet
    output: str
    work: str
    llm_url: str
    llm_name: str
    llm_wanted: str
    provenance: Provenance
    keep_going: bool = False

    @property
    def staging(self) -> str:
        """Where this run's shards and ledger wait until all of them are there: on the output's own disk, so that moving
        them into place copies nothing."""
        return f"{self.output}/.staging"

    @property
    def counts(self) -> str:
        """Where workers leave their counts for the progress line."""
        return f"{self.work}/counts"

    @property
    def failures(self) -> str:
        """Where workers record the errors that stop the run."""
        return f"{self.work}/failures"

    def store(self, name: str) -> str:
        """The folder of a store, by name. Runs share images, scores and answers; finished instances belong to this run
        alone, so they wait in its staging folder and go with it."""
        return f"{self.staging if name == 'instances' else self.work}/{name}"


def image_store(run: Run) -> ImageStore:
    """The run's image store, under the limits of its configuration."""
    limits = run.config.images
    return ImageStore(run.store("images"), max_side=limits.max_side, max_bytes=limits.max_bytes,
                      max_pixels=limits.max_pixels,
                      http=Http(deadline=limits.timeout, allow_private_hosts=limits.allow_private_hosts))

