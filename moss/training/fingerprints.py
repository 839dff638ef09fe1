"""Fingerprints of weights: whether a run's backbone is the one that it was trained on, and who wrote an answer."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import warnings
from collections.abc import Iterable

import torch
from peft import PeftConfig, PeftModel

from moss.backbones.generalist import Generalist
from schemas.errors import UserError

LOOKED_AT = 4093
"""The most values of a tensor that count. A prime, so that evenly spaced values lie in different columns."""
METHOD = "2/"
"""The beginning of a fingerprint. Earlier versions looked at the first eight values of a tensor, which is not enough:
Chameleon and Anole differ only in rows 4 to 8195 of the output layer."""


def backbone(generalist: Generalist) -> str:
    """The fingerprint of the frozen weights, the same with adapters and without: names, shapes and values."""
    return METHOD + _digest(
        (_plain(name), weight)
        for name, weight in generalist.named_parameters()
        if not (".moss_" in name or ".modules_to_save." in name or (name.startswith("extra.") and weight.requires_grad))
    )


def whole(generalist: Generalist) -> str:
    """The fingerprint of all weights, those of adapters and new ones included, and of the adapters' settings."""
    found = generalist.model.peft_config if isinstance(generalist.model, PeftModel) else {}
    known = {field.name for field in dataclasses.fields(PeftConfig)}  # PEFT's own fields: versions and paths
    settings = {
        name: {key: value for key, value in dataclasses.asdict(config).items() if key not in known}
        for name, config in found.items()
    }
    return METHOD + _digest(generalist.named_parameters(), json.dumps(settings, sort_keys=True, default=sorted))


def check(folder: pathlib.Path, then: str, now: str, path: str) -> None:
    """Raise UserError if a checkpoint's backbone is not the one that `path` holds now.

    Warns if this is not known, because an earlier version of this project wrote the checkpoint.
    """
    if not then.startswith(METHOD):
        warnings.warn(
            f"{folder} is an earlier version's and does not say enough of its backbone: make sure that {path} holds "
            "the one that it was trained on",
            stacklevel=2,
        )
    elif then != now:
        raise UserError(
            f"{folder} was trained on another backbone than {path} holds now; put that one back there, or train again "
            "with another output"
        )


def _digest(named: Iterable[tuple[str, torch.Tensor]], settings: str = "") -> str:
    digest = hashlib.sha256(settings.encode())
    for name, weight in sorted(named, key=lambda item: item[0]):
        values = weight.detach().reshape(-1)
        count = min(LOOKED_AT, len(values))
        at = torch.arange(count) * len(values) // max(count, 1)
        digest.update(f"{name} {tuple(weight.shape)} ".encode())
        digest.update(values[at.to(values.device)].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


def _plain(name: str) -> str:
    """A parameter's name before PEFT wrapped its module."""
    for part in ("base_model.model.", "base_layer.", "original_module."):
        name = name.replace(part, "")
    return name
