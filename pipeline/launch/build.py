"""The launcher: check everything that can be checked, run the graph, publish the result."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner

from pipeline import __version__, corpora, dag, opt_outs
from pipeline import config as configuration
from pipeline.coherence.version import clip_format, clip_version
from pipeline.corpora.files import check_name
from pipeline.dataset import ledger
from pipeline.graph import failures, progress
from pipeline.graph.outcomes import is_bug
from pipeline.launch import advice, arenas, engine, groups, job, logs, metrics, publish
from pipeline.launch import work as work_folder
from pipeline.launch.errors import translated
from pipeline.launch.inputs import fingerprints
from pipeline.launch.lock import exclusive_lock
from pipeline.launch.signals import stopped_by_signals
from pipeline.llm import choice, keys, on_demand
from pipeline.llm.address import shown
from pipeline.llm.probe import check_server, probe
from pipeline.run import Run
from pipeline.storage import bucket, remote
from pipeline.storage.bucket import is_remote
from prompts import load as load_prompts
from prompts.control import tokens_of
from schemas.codec import config_hash
from schemas.errors import UserError
from schemas.printable import line
from schemas.records import Provenance
from schemas.signature import private_key
from schemas.stage_names import STAGES, stage_title


def build(
    config_path: str,
    output: str,
    *,
    corpora: list[str] | None = None,
    limit: int | None = None,
    llm_url: str | None = None,
    llm_server: str | None = None,
    work: str | None = None,
    beam_flags: Sequence[str] = (),
    keep_going: bool = False,
    allow_empty: bool = False,
    retry_failed: bool = False,
    sign: str | None = None,
    replace: bool = False,
    until: str | None = None,
) -> Built | None:
    """Run the whole pipeline and publish to `output`, signed with the OpenSSH key in the file `sign`, if any.

    Returns None if Beam's flags ask for a template: the job is described, and neither started nor published. A run that
    ends after the stage `until` publishes nothing.
    `replace` allows it to replace a finished folder that was built from other files, or with another configuration.
    `keep_going` makes ledger rows of bugs instead of stopping; `allow_empty` publishes a dataset without instances;
    `retry_failed` asks again for images that could not be fetched and may be now.
    Raises UserError, before anything is overwritten, if the user has to fix something; ServiceError if a server or a
    store failed in spite of retries; BugError.
    """
    config = configured(config_path, corpora, limit, llm_url, llm_server)
    options = _beam_options(list(beam_flags))
    key = private_key(sign) if sign else None
    for option, folder in (("--output", output), ("--work", work)):
        if folder is not None and not folder.strip("/"):  # as by --work "$FOLDER" where there is no such variable
            raise UserError(f"{option} must name a folder")
        check_name(folder or "")
    if _runner(options) == "dataflowrunner" and (
        here := [one for one in (output, work or output) if not is_remote(one)]
    ):
        raise UserError(
            f"{here[0]} is a folder of this machine, and Dataflow's workers would each write to their own disk: give an "
            "--output and a --work in a bucket (gs://...)"
        )
    output = remote.folder(output)
    work = remote.folder(work or f"{output}/.work")
    id_, log = uuid.uuid4().hex[:12], log_of(work)
    with translated(output, work, f"{work}/failures/{id_}", log), stopped_by_signals(), contextlib.ExitStack() as stack:
        publish.check_output(output, config, replace)  # a folder of something else is not even locked
        work_folder.check(output, work)
        run = _prepare(id_, config, output, work, keep_going, asking=not until)
        if retry_failed:
            run = dataclasses.replace(run, retry=uuid.uuid4().hex)
        alone = stack.enter_context(exclusive_lock(output, work, run=run.id))
        publish.check_output(output, config, replace)  # another run may have published while this one prepared
        inputs = [] if until else fingerprints(config.corpora, (output, work))
        if not replace and not until:
            publish.check_models(run)
            publish.check_inputs(output, inputs)
        if (before := job.left(work)) and before.goes_on:
            print(
                f"run {before.id} is given up: {before.goes_on} may still be going on, and can be cancelled",
                file=sys.stderr,
            )
        alone()  # reading all that may have taken long
        publish.prepare_output(run)
        record = job.of(
            run,
            inputs,
            allow_empty=allow_empty,
            signed=key is not None,
            template=engine.is_template(options),
            until=until or "",
        )
        job.save(record, work)  # before anything that makes this a run's work folder (`launch.work`)
        if _is_local(options):
            stack.enter_context(arenas.limited())
            run = dataclasses.replace(run, groups=stack.enter_context(groups.folder(run)))
        if not is_remote(work):
            stack.enter_context(logs.to_file(log))
        if not config.llm.url and not until:
            stack.enter_context(
                on_demand.when_wanted(run.config.llm, run.llm_url, run.llm_wanted, Path(work) / "llm.log", run.prompts)
            )
        print(
            f"{', '.join(f'{c.format}:{c.path}' for c in config.corpora)} -> {output} (run {run.id})", file=sys.stderr
        )
        with progress.shown(run.counts, tuple(map(stage_title, STAGES))):
            pipeline = beam.Pipeline(options=options)
            dag.build(pipeline, run, until)
            result = pipeline.run()
            if engine.is_template(options):
                if not until:
                    print(f"when the job has ended: leafinstruct publish --work {work} --run {run.id}", file=sys.stderr)
                return None
            if engine_job := engine.lasting(result, options):
                job.save(dataclasses.replace(record, engine_job=engine_job, endpoint=engine.endpoint(options)), work)
            result.wait_until_finish()
        found = metrics.collect(result)
        if until:
            alone()
            publish.leave_unpublished(run)
            print(
                f"ended after {stage_title(until)!r}: build without --until to go on, with what {work} keeps",
                file=sys.stderr,
            )
            return Built("", metrics.text(found), len(failures.bugs(run.failures)), log)
        funnel = publish.publish(run, found, inputs=inputs, allow_empty=allow_empty, key=key, alone=alone)
    return built(funnel, found, log)


@dataclasses.dataclass(frozen=True)
class Built:
    """A run: its funnel and its metrics as text, how many documents a bug failed, and where the log is.

    Of a run that ended without publishing (`until`), the funnel is empty and `bugs` are kinds of bugs. advice: what the
    user may want to do about it, as sentences (`advice.py`).
    """

    funnel: str
    metrics: str
    bugs: int
    log: str
    advice: tuple[str, ...] = ()


def built(funnel: ledger.Funnel, found: metrics.Metrics, log: str) -> Built:
    """What a command prints of a run that was published."""
    bugs = sum(count for error, count in funnel.failed.items() if is_bug(error))
    return Built(ledger.funnel_text(funnel), metrics.text(found), bugs, log, advice.of(funnel))


LOCAL_RUNNER = "FnApiRunner"


def log_of(work: str) -> str:
    """Where a run's log is."""
    return f"{work}/leafinstruct.log" if not is_remote(work) else f"{work}/failures, or the runner's log"


def configured(
    path: str, corpora_: list[str] | None, limit: int | None, llm_url: str | None = None, llm_server: str | None = None
) -> configuration.Config:
    """The configuration file, with the values of the command line. Raises UserError if a run could not start."""
    config = configuration.load(path)
    if corpora_:
        config = dataclasses.replace(config, corpora=tuple(map(configuration.parse_corpus, corpora_)))
    if limit is not None:
        if limit < 1:
            raise UserError(f"--limit must be at least 1, not {limit}")
        config = dataclasses.replace(config, limit=limit)
    if llm_url:
        config = dataclasses.replace(config, llm=dataclasses.replace(config.llm, url=llm_url))
    if llm_server:
        config = dataclasses.replace(config, llm=dataclasses.replace(config.llm, server=llm_server))
    for corpus in config.corpora:
        bucket.check(corpus.path)
        corpora.check(corpus.format, corpus.path)
        if beside := corpora.left_out(corpus.format, corpus.path):
            print(line(f"{corpus.format}:{corpus.path}: not read: {beside}"), file=sys.stderr)
    configuration.preset(config)
    opt_outs.load(config.web.opt_outs)
    return config


def _prepare(id_: str, config: configuration.Config, output: str, work: str, keep_going: bool, *, asking: bool) -> Run:
    """The run: its model server, if there is `asking`, and its versions.

    Number formats are decided here, so that every worker uses the same.
    """
    prompts = dataclasses.replace(load_prompts(config.prompts), control=tokens_of(config.llm.model))
    form = clip_format(config.clip.dtype)
    print(f"coherence model: {form}", file=sys.stderr)
    config = dataclasses.replace(config, clip=dataclasses.replace(config.clip, dtype=form.name))
    url, name, identity, wanted = config.llm.url or "", config.llm.name, "", ""
    if asking and url:
        name = served_model(config.llm)
        identity = name
        probe(url, name, prompts, keys.of(config.llm))
    elif asking and is_remote(work):
        raise UserError(
            f"a model server that the pipeline starts serves only this machine, and {work} is for many; "
            "give the address of a server that all workers can reach (--llm-url), or a local --work"
        )
    elif asking:
        llm, url, identity = choice.reserve(config.llm)
        config = dataclasses.replace(config, llm=llm)
        name, wanted = config.llm.name, f"{work}/llm"
    provenance = Provenance(
        pipeline=__version__,
        config=config_hash(configuration.as_dict(config)),
        clip=clip_version(config.clip.model, config.clip.pretrained, config.clip.dtype),
        llm=identity,
        rate_prompt=prompts.rate_version(),
        write_prompt=prompts.write_version(config.domains),
    )
    preset = configuration.preset(config)
    versions = job.libraries(config)
    return Run(
        config, preset, prompts, output, work, url, name, wanted, provenance, keep_going, id=id_, libraries=versions
    )


def served_model(llm: configuration.Llm) -> str:
    """The configuration's model, or the only one that its servers have; instances name the model that was used.

    Raises UserError if a server does not answer, or refuses the key.
    """
    url, secret = llm.url or "", keys.of(llm)
    try:
        return check_server(url, llm.name, secret)
    except UserError as refusal:
        try:
            only = check_server(url, None, secret)
        except UserError:
            raise refusal from None
        print(f"{shown(url)} has no {llm.name}; asking its only model, {only}", file=sys.stderr)
        return only


def _is_local(options: PipelineOptions) -> bool:
    """Whether the runner is Beam's local one, whose processes are all on this machine."""
    return _runner(options) == LOCAL_RUNNER.lower()


def _runner(options: PipelineOptions) -> str:
    """The runner's name in small letters."""
    return str(options.view_as(StandardOptions).runner).rpartition(".")[2].lower()


def _beam_options(flags: list[str]) -> PipelineOptions:
    """Beam's own flags; FnApiRunner is the default, because DirectRunner would look for a runner on the network."""
    for before, word in zip(["", *flags], flags, strict=False):  # Beam ignores arguments that it does not know
        if not word.startswith("--") and (not before.startswith("--") or "=" in before):
            raise UserError(
                f"unknown argument {word!r}: corpora are given as --corpus FORMAT:PATH, and Beam flags "
                "begin with two dashes"
            )
    if not any(flag.split("=")[0] == "--runner" for flag in flags):
        flags = [f"--runner={LOCAL_RUNNER}", *flags]
    options = PipelineOptions(flags)
    known = options.get_all_options(retain_unknown_options=False)
    unknown = set(options.get_all_options(retain_unknown_options=True)) - set(known)
    if unknown:
        raise UserError(
            f"neither LeafInstruct nor Beam knows {', '.join('--' + u for u in sorted(unknown))}; "
            "see leafinstruct build --help"
        )
    try:
        create_runner(options.view_as(StandardOptions).runner)
    except (ValueError, ImportError) as error:
        raise UserError(f"--runner: {error}") from error
    return options
