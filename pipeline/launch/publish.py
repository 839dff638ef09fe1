"""Publishes a finished run: completes and checks the staging folder, then moves it, the manifest last."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline import config as configuration
from pipeline import report
from pipeline.dataset import card, ledger, shards
from pipeline.dataset.reader import corruption_as_user_error
from pipeline.launch import advice, differences, job, metrics, whole
from pipeline.launch.work import OF_ONE_RUN
from pipeline.run import Run
from pipeline.storage import remote, uris
from pipeline.storage.bucket import is_remote
from pipeline.storage.files import open_bytes, settle, write_bytes
from pipeline.storage.folder import RemoteFolder
from pipeline.storage.removal import remove
from schemas import strict_yaml
from schemas.codec import Json, config_hash, manifest_bytes
from schemas.errors import UserError
from schemas.index import IndexRow
from schemas.signature import sign
from schemas.stage_names import stages_of

MANIFEST, RUN, SIGNATURE = "manifest.json", "run.json", "run.json.sig"
FOLDERS = (("shards", (".tar",)), ("ledger", (".parquet",)))
MOVING = "moving"
"""A file in the staging folder: everything there is complete, and some of it may be in the output folder already."""
HEADER = "# The configuration of this folder; give this file to --config to build it again.\n"
_ADVICE = "choose another --output, or give --replace. Nothing was overwritten"
UNPUBLISHED = {
    ".lease",
    ".work",
    ".staging",
    "config.yaml",
    "shards",
    "ledger",
    "index.parquet",
    "README.md",
    "report.html",
    "metrics.json",
    MANIFEST,
    RUN,
    SIGNATURE,
}
"""What an interrupted run may have left; also under the temporary names of files that are not complete
(`_UNFINISHED`)."""
_UNFINISHED = re.compile(r"(.+)\.[0-9a-f]{32}\.tmp")


def check_output(output: str, config: configuration.Config, replace: bool = False) -> None:
    """Raise UserError unless the output folder is new, empty, or built with the same configuration.

    `replace` allows a folder with another configuration, but not files of another program.
    """
    manifest = _manifest(output)
    if not is_remote(output):
        for name in ("shards", "ledger"):
            if os.path.islink(f"{output}/{name}"):
                raise UserError(f"{output}/{name} is a link, and a run replaces it: make {output} itself the link")
    ours = _config_text(config)
    theirs = _text(f"{output}/config.yaml")
    there = _names_in(output)
    if manifest is None:
        known = UNPUBLISHED if theirs.startswith(HEADER) else {".lease", ".work"}
        strangers = sorted(there - known - _unfinished(there))
        if strangers:
            raise UserError(
                f"{output} contains files that are not this pipeline's ({strangers[0]}); "
                "choose an empty or new folder for --output. Nothing was overwritten"
            )
        another = "shards" in there and theirs != ours  # everything but the manifest exists
        before, now = _parsed(theirs), configuration.settings(config)
    else:
        before, now = manifest.get("config"), configuration.as_dict(config)
        another = manifest.get("config_hash") != config_hash(now)
    if manifest == {} and not replace:
        raise UserError(f"{output}/{MANIFEST} is damaged, so it does not say what {output} was built from; {_ADVICE}")
    if another and not replace:
        keys = differences.named(before, now)
        which = f" (different: {keys})" if keys else ""
        raise UserError(f"{output} contains the results of another configuration{which}; {_ADVICE}")


def _parsed(config: str) -> object:
    try:
        return strict_yaml.load(config)
    except ValueError:  # damaged
        return None


def _names_in(folder: str) -> set[str]:
    """The files and folders directly in a folder, local or in a bucket; none if it does not exist."""
    if is_remote(folder):
        return {found.name for found in RemoteFolder(folder).entries()}
    return set(os.listdir(folder)) if os.path.isdir(folder) else set()


def _unfinished(names: Iterable[str]) -> set[str]:
    """Files of ours that a killed run did not finish writing (`storage.files.replacing`)."""
    found = map(_UNFINISHED.fullmatch, names)
    return {match[0] for match in found if match and match[1] in UNPUBLISHED}


def check_inputs(output: str, inputs: Sequence[Json]) -> None:
    """Raise UserError if the output folder was built from other input files than these (`launch.inputs`)."""
    manifest = _manifest(output)
    if manifest is None or manifest.get("inputs") == list(inputs):
        return
    with corruption_as_user_error(f"{output}/{MANIFEST}"):
        theirs = {entry["corpus"]: entry for entry in manifest.get("inputs") or ()}
        if not theirs:
            raise UserError(f"{output} does not say which input files it was built from; {_ADVICE}")
        for entry in inputs:
            before = theirs.get(entry["corpus"])
            if before and before != entry:
                raise UserError(
                    f"{entry['corpus']} has changed since {output} was built from it: then {before['files']:,} files of "
                    f"{before['bytes']:,} bytes, now {entry['files']:,} of {entry['bytes']:,}; {_ADVICE}"
                )
    raise UserError(f"{output} was built from other corpora; {_ADVICE}")


def check_models(run: Run) -> None:
    """Raise UserError if the output folder has results of other models."""
    theirs = (_manifest(run.output) or {}).get("provenance")
    with corruption_as_user_error(f"{run.output}/{MANIFEST}"):
        for name in ("clip", "llm"):
            if theirs and theirs[name] != getattr(run.provenance, name):
                raise UserError(
                    f"{run.output} contains the results of another model, {theirs[name]}, and this run uses "
                    f"{getattr(run.provenance, name)}; {_ADVICE}"
                )


def _manifest(output: str) -> dict[str, Any] | None:
    """The published manifest: None if there is none, empty if it cannot be read."""
    text = _text(f"{output}/{MANIFEST}")
    try:
        return dict(json.loads(text)) if text else None
    except (ValueError, TypeError):
        return {}


def _text(path: str) -> str:
    """The file's text, empty if there is no file."""
    try:
        with open_bytes(path) as file:
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _config_text(config: configuration.Config) -> str:
    return HEADER + yaml.safe_dump(configuration.settings(config), sort_keys=False)


def prepare_output(run: Run) -> None:
    """Remove what an earlier run left unpublished, and write the configuration to the output folder.

    The configuration says whose folder it is; a finished folder keeps its own until this run is published.
    """
    for folder in (
        f"{run.output}/.staging",
        *(f"{run.work}/{name}" for name in OF_ONE_RUN),
        run.llm_wanted,
    ):
        if folder:
            remove(folder)
    if not is_remote(run.output) and os.path.isdir(run.output):
        for name in _unfinished(os.listdir(run.output)):
            remove(f"{run.output}/{name}")
    if not uris.exists(f"{run.output}/{MANIFEST}"):
        write_bytes(f"{run.output}/config.yaml", _config_text(run.config).encode())


def publish(
    run: Run,
    found: metrics.Metrics,
    *,
    inputs: Sequence[Json] = (),
    allow_empty: bool = False,
    key: Ed25519PrivateKey | None = None,
    alone: Callable[[], None] = lambda: None,
) -> ledger.Funnel:
    """Add index, card, report and manifest to `run.staging`, then move everything to the output folder.

    `inputs` are the fingerprints of the corpora. `key` signs run.json, which has the checksum of the manifest and so of
    all other files. `alone` raises ServiceError if this launcher may no longer write to the folder (`launch.lock`).
    A call that was cut short can be repeated.
    Publishes nothing if results are missing (ServiceError), if the counts of ledger and shards differ (AssertionError),
    if the rules have changed since the run started, or if no document was kept and `allow_empty` is false (UserError).
    """
    if uris.exists(f"{run.staging}/{MOVING}"):
        _move(run, alone)
        return ledger.funnel(ledger.read_outcomes(run.output), ledger.run_stages(ledger.read_manifest(run.output)))
    config = configuration.as_dict(run.config)
    if config_hash(config) != run.provenance.config:
        raise UserError("the preset or a word list was changed during the run; run the same command again")
    written = whole.results(run)
    counts = ledger.funnel(ledger.read_outcomes(run.staging), stages_of(config))
    total = sum(shard.instances for shard in written.shards)
    assert counts.kept == total, f"the ledger has {counts.kept} kept documents, the shards {total} instances"

    if not counts.kept and not allow_empty:
        raise UserError(advice.nothing_kept(counts, ledger.read_outcomes(run.staging)))
    index_path = f"{run.staging}/index.parquet"
    index = shards.write_index(_index_rows(run), run.prompts.aspect_names, index_path)
    manifest = shards.manifest(
        name="leafinstruct",
        provenance=run.provenance,
        libraries=job.libraries(run.config),
        config=config,
        domains=run.config.domains,
        rating_aspects={aspect.name: aspect.question for aspect in run.prompts.aspects},
        salt=run.config.shards.salt,
        shard_size=run.config.shards.size,
        shards=written.shards,
        counts=shards.count(shards.read_index(index_path)),
        index=index,
        ledger=written.parts,
        funnel=counts.to_json(),
        inputs=inputs,
    )
    beside = {"README.md": card.card(manifest).encode(), "config.yaml": _config_text(run.config).encode()}
    manifest = shards.with_files(manifest, beside)
    shards.write_manifest(manifest, run.staging)  # the report reads it
    page = uris.read_bytes(report.write_report(run.staging, dropped=run.store("dropped"), metrics=metrics.rows(found)))
    numbers = json.dumps(found, indent=2).encode()
    record = manifest_bytes(shards.run_record(manifest, {"report.html": page, "metrics.json": numbers}))
    beside |= {"metrics.json": numbers, RUN: record} | ({SIGNATURE: sign(record, key)} if key else {})
    for name, data in beside.items():
        write_bytes(f"{run.staging}/{name}", data)
    alone()
    _move(run, alone)
    return counts


def leave_unpublished(run: Run) -> None:
    """Remove what a run that publishes nothing has staged, and note that nothing of it is left to do."""
    remove(run.staging)
    if not is_remote(run.output):
        with contextlib.suppress(OSError):  # of another run, or not there
            os.rmdir(f"{run.output}/.staging")
    job.published(run)


def _index_rows(run: Run) -> Iterator[IndexRow]:
    for path in uris.find(f"{run.staging}/index", (".parquet",)):
        yield from shards.read_index(path)


def _move(run: Run, alone: Callable[[], None]) -> None:
    """Move the finished files to the output folder, or the rest of them.

    A folder without a manifest is unfinished, so an old manifest is removed first and the new one is moved last.
    """
    staging, output = run.staging, run.output
    if not uris.exists(f"{staging}/{MOVING}"):
        for name in (MANIFEST, SIGNATURE):
            remove(f"{output}/{name}")
        _rename(f"{staging}/config.yaml", f"{output}/config.yaml")  # from here on the folder is this run's
        for folder in ("shards", "ledger"):
            remove(f"{output}/{folder}")
        settle(staging)
        write_bytes(f"{staging}/{MOVING}", b"")
    for folder, suffixes in FOLDERS:
        for path in uris.find(f"{staging}/{folder}", suffixes):
            alone()
            _rename(path, f"{output}/{folder}/{path.rsplit('/', 1)[1]}")
    for name in ("index.parquet", "README.md", "report.html", "metrics.json", RUN, SIGNATURE, MANIFEST):
        if uris.exists(f"{staging}/{name}"):
            alone()
            if name == MANIFEST:
                settle(output)
            _rename(f"{staging}/{name}", f"{output}/{name}")
    job.published(run)
    remove(f"{output}/.staging")


def _rename(source: str, target: str) -> None:
    if is_remote(target):
        remote.move(source, target)
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.replace(source, target)
