"""The settings of a training run: one YAML file, read into frozen dataclasses; an unknown key or wrong type is refused.

Every key is explained where it stands in `configs/moss_demo.yaml`.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import yaml

import configs
from moss.adapters.config import Adapter
from schemas import settings as settings_file
from schemas.errors import UserError


@dataclasses.dataclass(frozen=True)
class Backbone:
    """The backbone: which model, from which folder, and the type of its weights.

    path: a checkpoint's folder, or "tiny" for a small model with random weights.

    name: one of `moss.backbones.NAMES`, or the module of a backbone of your own. size: for Emu3 only, the images' side
    in pixels. clip, clip_weights: for `continuous` only, the open_clip model whose features represent images.
    """

    name: str
    path: str = "tiny"
    dtype: Literal["float32", "bfloat16"] = "float32"
    size: int | None = None
    clip: str | None = None
    clip_weights: str | None = None

    @property
    def options(self) -> dict[str, int | str | None]:
        """The options for `moss.backbones.load`."""
        return {"size": self.size, "clip": self.clip, "clip_weights": self.clip_weights}


@dataclasses.dataclass(frozen=True)
class Data:
    """How instances become rows of `length` tokens."""

    length: int
    max_images: int | None = None
    train_boundaries: bool = True
    workers: int = 0
    held_out_sources: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Training:
    """How a run trains. A step uses rows * accumulate rows, over all processes, `rows` at a time."""

    steps: int
    rows: int
    accumulate: int = 1
    learning_rate: float = 1e-4
    warmup: int = 0
    weight_decay: float = 0.0
    clip: float = 1.0
    text_weight: float = 1.0
    image_weight: float = 1.0
    z_loss: float = 0.0
    seed: int = 0
    precision: Literal["no", "bf16"] = "no"
    gradient_checkpointing: bool = False
    compile: bool = False
    save_every: int = 1000
    log_every: int = 1
    learning_rate_image: float | None = None
    learning_rate_extra: float | None = None
    decay: Literal["cosine", "none"] = "cosine"
    lowest_share: float = 0.0
    keep: int | None = None
    trackers: tuple[str, ...] = ("tensorboard",)
    validate_every: int = 0
    condition_dropout: float = 0.0
    attention: Literal["sdpa", "eager", "flash_attention_2", "flex_attention"] | None = None


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that decides what a run learns, and its output folder."""

    shards: str
    output: str
    backbone: Backbone
    data: Data
    training: Training
    adapter: Adapter = dataclasses.field(default_factory=Adapter)


SECTIONS = {"backbone": Backbone, "data": Data, "training": Training, "adapter": Adapter}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a command that reads settings: `config`, a path, and `overrides`, a list, for `load`."""
    parser.add_argument(
        "--config", required=True, help="the settings of a training run; configs/moss_demo.yaml explains every key"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="replaces a value of the file, such as training.steps=10; may be given several times",
    )


def load(path: str, overrides: Sequence[str] = ()) -> Settings:
    """Read a file; `overrides` such as "training.steps=10" replace its values.

    Raises UserError with the file and the key.
    """
    tree = settings_file.read(configs.find(path), "configs/moss_demo.yaml")
    for override in overrides:
        _override(tree, override)
    settings: Settings = settings_file.build(Settings, tree, path, number=_number)
    _check(settings, path)
    return settings


def flat(settings: Settings) -> dict[str, Any]:
    """The settings as one table, dotted name -> plain value, to store them with a run and to compare two runs."""
    table: dict[str, Any] = {}
    for name, value in dataclasses.asdict(settings).items():
        below = value.items() if isinstance(value, dict) else [("", value)]
        table |= {f"{name}.{key}".rstrip("."): list(v) if isinstance(v, tuple) else v for key, v in below}
    return table


def completed(table: dict[str, Any]) -> dict[str, Any]:
    """A stored table of `flat`, with the defaults of keys that it lacks.

    An earlier version, which did not have a key, did what the key's default does now.
    """
    defaults = {
        f"{name}.{field.name}": list(field.default) if isinstance(field.default, tuple) else field.default
        for name, kind in SECTIONS.items()
        for field in dataclasses.fields(kind)
        if field.default is not dataclasses.MISSING
    }
    return {**defaults, **table}


def _override(tree: Any, text: str) -> None:
    key, equals, value = text.partition("=")
    *sections, name = key.split(".")
    if not equals or not name or not isinstance(tree, dict):
        raise UserError(f"--set wants KEY=VALUE, such as training.steps=10, not {text!r}")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise UserError(f"--set {text}: {section} is a value, not a section")
    try:
        tree[name] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"--set {text}: {value!r} is not a YAML value") from error


def _check(settings: Settings, path: str) -> None:
    """The checks that types cannot express."""
    training, adapter, data = settings.training, settings.adapter, settings.data
    for key, value, least in (
        ("training.steps", training.steps, 1),
        ("training.rows", training.rows, 1),
        ("training.accumulate", training.accumulate, 1),
        ("training.save_every", training.save_every, 1),
        ("training.log_every", training.log_every, 1),
        ("training.warmup", training.warmup, 0),
        ("training.seed", training.seed, 0),
        ("training.weight_decay", training.weight_decay, 0),
        ("training.z_loss", training.z_loss, 0),
        ("training.text_weight", training.text_weight, 0),
        ("training.image_weight", training.image_weight, 0),
        ("data.length", data.length, 1),
        ("data.workers", data.workers, 0),
        ("data.max_images", 0 if data.max_images is None else data.max_images, 0),
        ("adapter.r", adapter.r, 1),
        ("adapter.r_image", 1 if adapter.r_image is None else adapter.r_image, 1),
        ("training.keep", 1 if training.keep is None else training.keep, 1),
        ("training.validate_every", training.validate_every, 0),
        ("adapter.kernel_size", adapter.kernel_size, 1),
    ):
        if value < least:
            raise UserError(f"{path}: {key} must be at least {least}, not {value}")
    for key, rate in (
        ("training.learning_rate", training.learning_rate),
        ("training.clip", training.clip),
        ("training.learning_rate_image", training.learning_rate_image),
        ("training.learning_rate_extra", training.learning_rate_extra),
    ):
        if rate is not None and rate <= 0:
            raise UserError(f"{path}: {key} must be more than 0, not {rate}")
    if not 0 <= training.lowest_share <= 1:
        raise UserError(f"{path}: training.lowest_share is a share from 0 to 1, not {training.lowest_share}")
    if not 0 <= training.condition_dropout < 1:
        raise UserError(
            f"{path}: training.condition_dropout is a share from 0 to below 1, not {training.condition_dropout}"
        )
    if training.validate_every and not data.held_out_sources:
        raise UserError(
            f"{path}: training.validate_every measures data.held_out_sources, and there are none; name "
            "some, or leave validate_every at 0"
        )
    if not 0 <= adapter.dropout < 1:
        raise UserError(f"{path}: adapter.dropout is a share from 0 to below 1, not {adapter.dropout}")
    if training.compile and training.gradient_checkpointing:  # torch 2.13 cannot compile a checkpoint's context_fn
        raise UserError(
            f"{path}: training.compile and training.gradient_checkpointing do not work together; choose one"
        )
    if training.warmup >= training.steps:
        raise UserError(
            f"{path}: training.warmup ({training.warmup}) must be less than training.steps ({training.steps})"
        )


def _number(value: Any, path: str, key: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # YAML reads 1e-4, without a dot, as a text
    except (TypeError, ValueError, OverflowError):  # the last: a whole number of more than 308 digits
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{path}: {key} must be a finite number, not {value!r}")
    return number
