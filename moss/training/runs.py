"""Loads the model of a finished training run from its folder."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
from typing import Any

import torch
from safetensors import safe_open

from moss import backbones
from moss.backbones.generalist import Generalist
from moss.settings import SECTIONS, Backbone, Settings, completed
from moss.training import checkpoints, fingerprints
from schemas.errors import UserError


@dataclasses.dataclass(frozen=True)
class Run:
    """A checkpoint (its folder) and the settings that it was trained with."""

    checkpoint: pathlib.Path
    settings: Settings

    @property
    def trained_parameters(self) -> int:
        """The number of trainable parameters: adapters, and a backbone's own new weights."""
        return sum(
            _numbers(path)
            for path in (
                self.checkpoint / "adapter" / "adapter_model.safetensors",
                self.checkpoint / "extra.safetensors",
            )
            if path.exists()
        )


def find_run(folder: str | pathlib.Path) -> Run:
    """The latest checkpoint in a run's output folder, or the folder itself if it is one. Raises UserError."""
    folder = pathlib.Path(folder)
    checkpoint = folder if (folder / "state.json").exists() else checkpoints.latest(str(folder))
    if checkpoint is None:
        raise UserError(f"{folder} holds no checkpoint; give the output folder of `python -m moss.train`")
    stored = checkpoints.read_state(checkpoint).get("settings", {})
    return Run(checkpoint, _settings(completed(stored), checkpoint))


def load_run(folder: str | pathlib.Path, *, adapters: bool = True) -> Generalist:
    """A run's backbone with the trained weights (without them if `adapters` is false), for measuring and generating.

    On the GPU if there is one. Raises UserError if the backbone is not the one that the run was trained on.
    """
    run = find_run(folder)
    torch.manual_seed(run.settings.training.seed)  # a continuous backbone may come with new weights
    generalist = load_backbone(run.settings.backbone)
    then = checkpoints.read_state(run.checkpoint).get("backbone", "")
    fingerprints.check(run.checkpoint, then, fingerprints.backbone(generalist), run.settings.backbone.path)
    if adapters:
        checkpoints.load_weights(run.checkpoint, generalist)
    return generalist.to(_device()).eval()


def load_backbone(backbone: Backbone) -> Generalist:
    """Load a backbone on this process's GPU, or on the CPU.

    The GPU becomes the default "cuda" device, to which image tokenizers go.
    """
    if torch.cuda.is_available():
        torch.cuda.set_device(_device())
    generalist = backbones.load(backbone.name, backbone.path, getattr(torch, backbone.dtype), **backbone.options)
    return generalist.to(_device()).eval()


def share(text: str | None) -> tuple[int, int]:
    """(rank, ranks) of "I/N", or of torchrun's environment. Raises UserError for anything else."""
    if text is None:
        return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    first, slash, second = text.partition("/")
    if not (slash and first.isdigit() and second.isdigit() and int(first) < int(second)):
        raise UserError(f"--share wants I/N with I from 0 to N - 1, such as 0/4, not {text!r}")
    return int(first), int(second)


def _device() -> torch.device:
    """The device of this process: with torchrun, its own one of several GPUs."""
    number = os.environ.get("LOCAL_RANK", "0")
    return torch.device(f"cuda:{number}" if torch.cuda.is_available() else "cpu")


def _settings(table: dict[str, Any], checkpoint: pathlib.Path) -> Settings:
    """The inverse of `moss.settings.flat`. Raises UserError for a table that lacks what has no default."""
    keys = {name: [field.name for field in dataclasses.fields(kind)] for name, kind in SECTIONS.items()}
    needed = {f"{name}.{key}" for name, names in keys.items() for key in names} | {"shards", "output"}
    if needed - table.keys():
        raise UserError(
            f"{checkpoint}/state.json does not say {', '.join(sorted(needed - table.keys()))}: it is damaged, or was "
            "written by another version; use that version, or train again"
        )
    built: dict[str, Any] = {
        name: kind(**{key: _plain(table[f"{name}.{key}"]) for key in keys[name]}) for name, kind in SECTIONS.items()
    }
    return Settings(table["shards"], table["output"], **built)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _numbers(path: pathlib.Path) -> int:
    with safe_open(path, "pt") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
