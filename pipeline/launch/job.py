"""What the launcher leaves in the work folder, so that another process can publish the run: `WORK/job.json`."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import socket
from collections.abc import Sequence

from pipeline import __version__
from pipeline import config as configuration
from pipeline.run import Run
from pipeline.storage import uris
from pipeline.storage.bucket import is_remote
from pipeline.storage.files import write_bytes
from prompts import load as load_prompts
from schemas import settings
from schemas.codec import Json
from schemas.errors import UserError
from schemas.records import Provenance

LIBRARIES = ("apache-beam", "open_clip_torch", "pillow", "pyarrow", "torch")
OCR_LIBRARIES = ("onnxruntime", "rapidocr")
"""Packages that the bytes of a build depend on (OCR_LIBRARIES: if images are read); the manifest has their versions."""


@dataclasses.dataclass(frozen=True)
class Job:
    """The last run of a work folder, and everything that publishing it needs.

    id: the run's. config: its settings. host, process: where its launcher is. engine_job: the id that an engine gave
    its job, if the job goes on without the launcher; endpoint: the job server that knows it. template: its jobs are
    started by others, from a template. signed: the build was given a key. until: the stage after which the run ends
    without anything to publish.
    """

    id: str
    output: str
    config: Json
    provenance: Json
    libraries: dict[str, str]
    inputs: list[Json]
    allow_empty: bool
    signed: bool
    host: str
    process: int
    engine_job: str = ""
    endpoint: str = ""
    template: bool = False
    published: bool = False
    until: str = ""

    @property
    def goes_on(self) -> str:
        """What may go on without the launcher, in words; "" if nothing does."""
        if self.template:
            return "a job of its template"
        return f"job {self.engine_job} on the engine" if self.engine_job else ""

    @property
    def launcher(self) -> str:
        """Where the run was started."""
        return f"process {self.process} on {self.host}"


def of(
    run: Run, inputs: Sequence[Json], *, allow_empty: bool, signed: bool, template: bool = False, until: str = ""
) -> Job:
    """The record of a run that is about to start."""
    return Job(
        run.id,
        run.output if is_remote(run.output) else os.path.abspath(run.output),
        configuration.settings(run.config),
        dataclasses.asdict(run.provenance),
        libraries(run.config),
        list(inputs),
        allow_empty,
        signed,
        socket.gethostname(),
        os.getpid(),
        template=template,
        until=until,
    )


def libraries(config: configuration.Config) -> dict[str, str]:
    """The versions of the packages that the bytes of a build depend on."""
    names = LIBRARIES + (OCR_LIBRARIES if config.ocr else ())
    return {name: importlib.metadata.version(name) for name in names}


def save(job: Job, work: str) -> None:
    """Write the record."""
    write_bytes(_path(work), json.dumps(dataclasses.asdict(job), indent=2).encode())


def load(work: str) -> Job:
    """The record of the last run. Raises UserError if there is none."""
    try:
        return Job(**json.loads(uris.read_bytes(_path(work))))
    except FileNotFoundError:
        raise UserError(
            f"{work} has no job.json; give the --work of a run (without it, a run's is OUTPUT/.work)"
        ) from None
    except (ValueError, TypeError):
        raise UserError(f"{_path(work)} is not of this version; give the build's command again") from None


def left(work: str) -> Job | None:
    """The last run, if it was not published."""
    with contextlib.suppress(UserError):
        job = load(work)
        return None if job.published else job
    return None


def published(run: Run) -> None:
    """Note that the run was published, if it is the last one of its work folder."""
    if (job := left(run.work)) and job.id == run.id:
        save(dataclasses.replace(job, published=True), run.work)


def restored(job: Job, work: str) -> Run:
    """The run, good for publishing only. Raises UserError if this environment would publish other bytes."""
    config = settings.build(configuration.Config, job.config, _path(work))
    run = Run(
        config,
        configuration.preset(config),
        load_prompts(config.prompts),
        job.output,
        work,
        "",
        "",
        "",
        Provenance(**job.provenance),
        id=job.id,
    )
    theirs = {"leafinstruct": run.provenance.pipeline, **job.libraries}
    for name, version in ({"leafinstruct": __version__} | libraries(config)).items():
        if theirs.get(name) != version:
            raise UserError(
                f"run {job.id} was started with {name} {theirs.get(name)}, and this is {version}: publish it in an "
                "environment like the launcher's"
            )
    if run.prompts.rate_version() != run.provenance.rate_prompt:
        raise UserError(f"the prompts {config.prompts} are not those that run {job.id} was started with")
    return run


def _path(work: str) -> str:
    return f"{work}/job.json"
