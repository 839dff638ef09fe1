"""Which coherence model it is, exactly, and the number format that it computes in.

A run's first lines need this before any image is scored. open_clip takes seconds to import, and is not for this.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import pathlib
from collections.abc import Iterator

import number_format
from number_format import NumberFormat
from schemas.codec import Json
from schemas.errors import UserError

LOCAL = "local-dir:"
NATIVE = {"amx_bf16": "AMX"}
"""On a CPU only AMX makes the embedded model faster in bfloat16: 2 times for images, 3 times for sentences."""


def clip_format(dtype: str = "auto") -> NumberFormat:
    """The number format that a coherence model is computed in on this machine, on the GPU if there is one.

    It is `dtype`, unless that is "auto".
    """
    return number_format.choose(dtype, device(), NATIVE)


def device() -> str:
    """`cuda` if there is a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def clip_version(model: str, pretrained: str | None, dtype: str = "auto") -> str:
    """What identifies a coherence model in provenance and cache keys: `name@hash/format`.

    hash: 12 hex digits over its weights, architecture, tokenizer and preprocessing. format: see `clip_format`. Weights
    that are given by name are downloaded if they are not on this machine yet. Raises UserError if the model cannot be
    loaded.
    """
    name = pathlib.Path(model.removeprefix(LOCAL)).name if model.startswith(LOCAL) else model
    return f"{name}{'/' + pathlib.Path(pretrained).name if pretrained else ''}@{_hash(model, pretrained)[:12]}/{clip_format(dtype).name}"


@functools.lru_cache
def _hash(model: str, pretrained: str | None) -> str:
    with plain_errors(model, pretrained):
        recipe, files = _recipe(model, pretrained)
        digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
        for path in files:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _recipe(model: str, pretrained: str | None) -> tuple[Json, list[pathlib.Path]]:
    """What decides the scores: the model's configuration, and its files."""
    if model.startswith(LOCAL):
        folder = pathlib.Path(model.removeprefix(LOCAL))
        recipe = json.loads((folder / "open_clip_config.json").read_text())
        recipe["model_cfg"]["text_cfg"].pop("hf_model_name", None)  # a folder's place on the disk
        return recipe, sorted(path for path in folder.iterdir() if path.name != "open_clip_config.json")
    import torch_compat  # noqa: F401, I001 - before open_clip, which imports torchvision

    import open_clip

    recipe = {"model": open_clip.get_model_config(model)}
    if model.startswith("hf-hub:"):
        return recipe, [pathlib.Path(open_clip.download_pretrained_from_hf(model.removeprefix("hf-hub:")))]
    if recipe["model"] is None:
        raise ValueError("open_clip has no model of that name")
    if not pretrained:
        raise ValueError("without weights it would score at random; name them under `pretrained`")
    if published := open_clip.get_pretrained_cfg(model, pretrained):
        return recipe | {"published": published}, [pathlib.Path(open_clip.download_pretrained(published))]
    return recipe, [pathlib.Path(pretrained)]


@contextlib.contextmanager
def plain_errors(model: str, pretrained: str | None) -> Iterator[None]:
    """What open_clip raises, as a UserError that says what to do."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, AssertionError) as error:  # open_clip asserts that shapes agree
        mend = (
            "check clip.model in the config, or, for the embedded model, run `make models` or `python -m models.build`"
            if model.startswith(LOCAL)
            else (
                "check clip.model and clip.pretrained in the config, and the network if the weights are to be downloaded"
            )
        )
        raise UserError(
            f"cannot load the open_clip model {model!r} (pretrained: {pretrained}): {error}; {mend}."
        ) from error
