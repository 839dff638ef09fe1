"""Writes and reads checkpoints: the trained weights, and what a run needs to continue exactly where it was.

    OUTPUT/checkpoint-00000100/
        adapter/            PEFT's adapter_model.safetensors and adapter_config.json
        extra.safetensors   a backbone's own trained weights besides the adapters, if it has any
        optimizer.pt        AdamW's moments, by the parameters' names
        state.json          the step, the position in the data, the settings

There is no state of a random number generator: `moss.train` seeds every step from its number.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import pickle
import shutil
from collections.abc import Iterator
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.tensor import DTensor

from moss.backbones.generalist import Generalist
from moss.settings import Settings, completed, flat
from schemas.errors import UserError

PREFIX, DELETED = "checkpoint-", ".deleted"
MAY_DIFFER = {
    "output",
    "shards",
    "data.workers",
    "training.save_every",
    "training.log_every",
    "training.gradient_checkpointing",
    "training.compile",
    "training.attention",
    "training.keep",
    "training.trackers",
    "training.validate_every",
    "training.steps",
    "training.rows",
    "training.accumulate",
    "backbone.path",
}
"""Settings that decide how and where a run is carried out, but not what it learns: they may change when it resumes.
Shards and backbone may move, because their fingerprints identify them. `rows` and `accumulate` may change if their
product stays the same."""

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


@dataclasses.dataclass(frozen=True)
class Position:
    """How far a run is: `step` optimiser steps, and `start` rows into the epoch `epoch`.

    `samples` and `backbone` are the fingerprints of its data and of its backbone.
    """

    step: int = 0
    epoch: int = 0
    start: int = 0
    samples: str = ""
    backbone: str = ""


def save(
    output: str,
    generalist: Generalist,
    optimizer: torch.optim.Optimizer,
    position: Position,
    settings: Settings,
    *,
    writes: bool,
) -> pathlib.Path:
    """Write a checkpoint.

    Every process calls it, because sharded weights are gathered; the one with `writes` writes. A folder with a
    checkpoint's name is always complete, however the run ended.
    """
    trained = {name: _whole(p) for name, p in generalist.named_parameters() if p.requires_grad}
    moments = get_optimizer_state_dict(generalist, optimizer, options=WHOLE)
    folder = pathlib.Path(output) / f"{PREFIX}{position.step:08d}"
    if not writes or folder.exists():
        return folder
    partial = folder.with_name(f".{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    adapter = {name.removeprefix("model."): p for name, p in trained.items() if name.startswith("model.")}
    _adapted(generalist).save_pretrained(str(partial / "adapter"), state_dict=adapter, save_embedding_layers=False)
    extra = {name.removeprefix("extra."): p for name, p in trained.items() if name.startswith("extra.")}
    if extra:
        save_file(extra, partial / "extra.safetensors")
    torch.save(moments, partial / "optimizer.pt")
    state = {**dataclasses.asdict(position), "settings": flat(settings)}
    (partial / "state.json").write_text(json.dumps(state, indent=2) + "\n")
    os.replace(partial, folder)
    return folder


def latest(output: str) -> pathlib.Path | None:
    """The checkpoint of the highest step in a run's folder, or None."""
    return next(reversed(_checkpoints(output)), None)


def read_state(folder: pathlib.Path) -> dict[str, Any]:
    """What a checkpoint's state.json says. Raises UserError if it cannot be read."""
    with _reading(folder / "state.json") as file:
        state = json.loads(file.read_text())
        if not isinstance(state, dict):
            raise ValueError("no object")
        return state


def resume_position(folder: pathlib.Path, settings: Settings) -> Position:
    """The position of a checkpoint's run.

    Raises UserError if these settings would make it another run, or if the checkpoint does not say enough to tell.
    """
    state = read_state(folder)
    then, now = completed(state.get("settings", {})), flat(settings)
    lost = {field.name for field in dataclasses.fields(Position)} - {"samples", "backbone"} - state.keys()
    strange = [
        *(f"it does not say {name}" for name in sorted(lost | (now.keys() - then.keys()))),
        *(f"it has {key} {then[key]!r}, which this version does not know" for key in sorted(then.keys() - now.keys())),
    ]
    if strange:
        raise UserError(
            f"{folder} was written by another version: {'; '.join(strange)}; resume with that version, or name another "
            "output"
        )
    changed = [
        f"{key} was {then[key]!r} and is now {now[key]!r}"
        for key in sorted(now)
        if then[key] != now[key] and key not in MAY_DIFFER
    ]
    size = then["training.rows"] * then["training.accumulate"]
    if size != settings.training.rows * settings.training.accumulate:
        changed.append(
            f"a step took rows * accumulate = {size} rows and now takes "
            f"{settings.training.rows * settings.training.accumulate}"
        )
    if changed:
        raise UserError(
            f"{folder} belongs to another run: {'; '.join(changed)}; give these values back, or name another output"
        )
    return Position(**{field.name: state[field.name] for field in dataclasses.fields(Position) if field.name in state})


def prune(output: str, keep: int | None) -> None:
    """Delete a run's checkpoints except the `keep` with the highest steps; None keeps all.

    A checkpoint is renamed before it is deleted, so that what has its name is whole however the run ends.
    """
    for folder in _checkpoints(output)[:-keep] if keep else ():
        os.replace(folder, folder.with_name(f".{folder.name}{DELETED}"))
    for folder in pathlib.Path(output).glob(f".{PREFIX}*{DELETED}"):  # those of a run that ended meanwhile, too
        shutil.rmtree(folder)


def load_weights(folder: pathlib.Path | str, generalist: Generalist, *, trainable: bool = False) -> Generalist:
    """Put a checkpoint's adapters, and its other trained weights, on the backbone that they were trained on.

    Raises UserError for a checkpoint that lacks some of them: they would be as new.
    """
    folder = pathlib.Path(folder)
    # PEFT would take a file that is missing for one on the Hub, and complain of the folder's name
    with _reading(folder / "adapter" / CONFIG_NAME) as config:
        json.loads(config.read_text())
    with _reading(folder / "adapter" / SAFETENSORS_WEIGHTS_NAME) as weights, safe_open(weights, "pt") as file:
        found = set(file.keys())
    own = any(name.startswith("extra.") and weight.requires_grad for name, weight in generalist.named_parameters())
    generalist.model = PeftModel.from_pretrained(generalist.model, folder / "adapter", is_trainable=trainable)
    wanted = set(get_peft_model_state_dict(generalist.model, save_embedding_layers=False))
    if found != wanted:
        raise UserError(
            f"{folder / 'adapter'} does not fit this backbone: {len(wanted - found)} of its adapters' {len(wanted)} weights "
            f"are missing and {len(found - wanted)} have no place there, such as {min(found ^ wanted)}; copy the "
            "checkpoint again, or use the version of transformers that it was made with"
        )
    if own and not (folder / "extra.safetensors").exists():
        raise UserError(
            f"{folder} has no extra.safetensors, the backbone's own trained weights; copy the whole checkpoint"
        )
    if (folder / "extra.safetensors").exists():
        extra = generalist.get_submodule("extra")
        with _reading(folder / "extra.safetensors") as path:
            own_weights = load_file(path)
        extra.load_state_dict(own_weights)
    return generalist


def load_optimizer(folder: pathlib.Path, generalist: Generalist, optimizer: torch.optim.Optimizer) -> None:
    """Load the moments of a prepared model's optimiser, sharded or not."""
    with _reading(folder / "optimizer.pt") as path:
        moments = torch.load(path, map_location="cpu", weights_only=True)
    set_optimizer_state_dict(generalist, optimizer, moments, options=WHOLE)


@contextlib.contextmanager
def _reading(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """What fails when a checkpoint's file is missing or cut, as a UserError."""
    try:
        yield path
    except (OSError, EOFError, ValueError, RuntimeError, pickle.UnpicklingError, SafetensorError) as error:
        said = str(error).partition("\n")[0]
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}: {said}): copy the checkpoint again, or take it away, so that "
            "the one before it is used"
        ) from error


def _checkpoints(output: str) -> list[pathlib.Path]:
    """The checkpoints in a run's folder by their steps; copies with other names are the user's."""
    found = [path for path in pathlib.Path(output).glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(PREFIX)))


def _adapted(generalist: Generalist) -> PeftModel:
    assert isinstance(generalist.model, PeftModel), "a run trains adapters"
    return generalist.model


def _whole(parameter: torch.nn.Parameter) -> torch.Tensor:
    value = parameter.detach()
    return (value.full_tensor() if isinstance(value, DTensor) else value).cpu()
