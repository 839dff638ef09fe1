"""One run: its configuration, its folders and its versions; made by the launcher, sent to every worker."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
from collections.abc import Mapping

from filters.presets import Preset
from pipeline.config import Config
from pipeline.images.fetch import Http, agent
from pipeline.images.store import ImageStore
from pipeline.storage import tars
from pipeline.storage.uris import folders_of
from prompts import PromptSet
from schemas.errors import AGAIN, UserError
from schemas.records import Provenance


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that a worker needs to know: small, frozen and picklable.

    output: the folder that the dataset is published to. work: the work folder with caches (images, scores, answers) and
    temporary files, which several runs may use one after the other. preset, prompts: the rules and the prompts that the
    configuration names, loaded once. llm_url, llm_name: the model server and its model. llm_wanted: a folder where a
    worker leaves a file at its first question, so that a server is started only if one is needed ("" if a server is
    already running). groups: the local folder where records are grouped ("" if the runner does it). keep_going: make
    ledger rows of bugs. retry: see ImageStore. id: names its staging folder, so that what goes on of a run that was
    given up never writes into that of another. libraries: the versions of the launcher's packages that the bytes depend
    on, as the manifest names them.
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
    retry: str = ""
    groups: str = ""
    id: str = "run"
    libraries: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def staging(self) -> str:
        """The folder of shards and ledger parts until they are published.

        It is on the same disk as the output, so that moving them into place copies nothing.
        """
        return f"{self.output}/.staging/{self.id}"

    @property
    def counts(self) -> str:
        """The folder where workers write their counts for the progress line."""
        return f"{self.work}/counts/{self.id}"

    @property
    def failures(self) -> str:
        """The folder where workers record the errors that stop this run; one that was given up has another."""
        return f"{self.work}/failures/{self.id}"

    def store(self, name: str) -> str:
        """The folder of a store, by name.

        Runs share images, scores and answers. Finished instances, and notes of what was read, belong to this run alone,
        so they are in its staging folder and are deleted with it.
        """
        return f"{self.staging if name in ('instances', 'notes') else self.work}/{name}"


def keep_tar_indexes(run: Run) -> None:
    """Every worker calls this before it reads a corpus or its images, so that one finds the files of a tar for all."""
    tars.keep_in(run.store("tars"))


def check_libraries(run: Run) -> None:
    """Raise UserError if this worker has other versions of packages than the manifest will name.

    Builds of one version (torch's for CPUs and for GPUs) are the same here.
    """
    for name, version in run.libraries.items():
        here = _version(name)
        if here.partition("+")[0] != version.partition("+")[0]:
            raise UserError(
                f"the launcher has {name} {version}, and this worker {here}, which may give other bytes: make the workers' "
                f"image and the launcher's environment from the same versions, and {AGAIN}"
            )


@functools.cache
def _version(package: str) -> str:
    """Of an installed package, or "none"; each of a worker's stages and threads asks."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def image_store(run: Run, *, noting: bool = False) -> ImageStore:
    """The run's image store, under the limits of its configuration; `noting`: for the pass that looks at images first."""
    limits, web = run.config.images, run.config.web
    return ImageStore(
        run.store("images"),
        max_side=limits.max_side,
        max_bytes=limits.max_bytes,
        max_pixels=limits.max_pixels,
        http=Http(
            deadline=limits.timeout,
            allow_private_hosts=limits.allow_private_hosts,
            user_agent=agent(web.contact),
            opt_outs=web.opt_outs,
            per_host=web.per_host,
            delay=web.delay,
            without_rules=web.rules_unreachable == "allow",
        ),
        folders=tuple(folder for corpus in run.config.corpora for folder in folders_of(corpus.path)),
        retry=run.retry,
        notes=run.store("notes") if run.config.duplicates.of_images else "",
        noting=noting,
    )
