"""Loading an open_clip model, naming exactly which one it is, and its text tower with little padding."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import itertools
import json
import pathlib
from collections.abc import Iterator
from typing import Any, Protocol

import torch_compat  # noqa: F401 - before open_clip, which imports torchvision

# isort: split
import open_clip
import torch
from open_clip.hf_model import HFTextEncoder

import number_format
from number_format import NumberFormat
from schemas.codec import Json
from schemas.errors import UserError

LOCAL = "local-dir:"
NATIVE = {"amx_bf16": "AMX"}
"""On a CPU only AMX makes the embedded model faster in bfloat16: 2 times for images, 3 times for sentences."""


class Tokenizer(Protocol):
    """open_clip's tokenizer: texts to token ids [text, context_length], int64; None: the tokenizer's own length."""

    context_length: int

    def __call__(self, texts: list[str], context_length: int | None = None) -> torch.Tensor: ...


def load(model: str, pretrained: str | None) -> tuple[Any, Any, Tokenizer]:
    """The open_clip model in evaluation mode, its image preprocessing (torchvision's Compose) and its tokenizer.

    The first two have no types that are known here. Raises UserError.
    """
    with _plain_errors(model, pretrained):
        made, _, preprocess = open_clip.create_model_and_transforms(model, pretrained=pretrained)
        return made.eval(), preprocess, open_clip.get_tokenizer(model)


def clip_format(dtype: str = "auto") -> NumberFormat:
    """The number format that a coherence model is computed in on this machine, on the GPU if there is one.

    It is `dtype`, unless that is "auto".
    """
    return number_format.choose(dtype, device(), NATIVE)


def device() -> str:
    """`cuda` if there is a GPU, else `cpu`."""
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
    with _plain_errors(model, pretrained):
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
def _plain_errors(model: str, pretrained: str | None) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RuntimeError, AssertionError) as error:  # open_clip asserts that shapes agree
        mend = (
            "run `make models`, which puts the embedded model together"
            if model.startswith(LOCAL)
            else (
                "check clip.model and clip.pretrained in the config, and the network if the weights are to be downloaded"
            )
        )
        raise UserError(
            f"cannot load the open_clip model {model!r} (pretrained: {pretrained}): {error}; {mend}."
        ) from error


class TextTower:
    """Makes tokens with as little padding as the model allows, and their vectors.

    A Hugging Face tower has a mask, so padding changes nothing. CLIP's own tower looks backwards only and takes its
    vector at the end token, so what follows it may be cut off. Any other tower gets its full length.
    """

    STEP, SHORT = 16, 32
    """Tokens. Lengths are multiples of STEP, so that there are few shapes."""

    def __init__(self, model: Any, tokenizer: Tokenizer):
        self.model, self.tokenizer = model, tokenizer
        self.masked = isinstance(getattr(model, "text", None), HFTextEncoder)
        self.causal = (
            isinstance(model, open_clip.CLIP)
            and model.attn_mask is not None
            and model.text_pool_type in ("argmax", "eos")
        )
        self.pad = model.text.config.pad_token_id if self.masked else 0
        self._cut = functools.cache(self._shorter)

    def tokens(self, texts: list[str]) -> dict[int, dict[str, torch.Tensor]]:
        """Length -> the texts of that many tokens or up to 15 fewer -> their token ids (int64, of that length)."""
        context = self.tokenizer.context_length
        if not (self.masked or self.causal):
            return {context: self._tokenize(texts, context)}
        # Most sentences are short, and padding all of them to the full context costs more than asking some twice.
        found: dict[int, dict[str, torch.Tensor]] = {}
        for most in (self.SHORT, context):
            longer = []
            rows = self._tokenize(texts, min(most, context))
            for (text, row), used in zip(rows.items(), self._used(rows), strict=True):
                if used == len(row) < context:
                    longer.append(text)
                else:
                    length = min(-(-used // self.STEP) * self.STEP, context)
                    found.setdefault(length, {})[text] = row[:length]
            texts = longer
        return dict(sorted(found.items()))

    def _used(self, rows: dict[str, torch.Tensor]) -> list[int]:
        """The number of tokens up to the last one that is not padding."""
        if not rows:
            return []
        ids = torch.stack(list(rows.values()))
        used: list[int] = ((ids != self.pad) * torch.arange(1, ids.shape[1] + 1)).amax(dim=1).tolist()
        return used

    def _tokenize(self, texts: list[str], context: int) -> dict[str, torch.Tensor]:
        return dict(zip(texts, self.tokenizer(texts, context_length=context), strict=True)) if texts else {}

    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        """The vectors [batch, width] of token ids [batch, length]."""
        vectors: torch.Tensor = (self._cut(tokens.shape[1]) if self.causal else self.model).encode_text(tokens)
        return vectors

    def _shorter(self, length: int) -> Any:
        """The model with positions and mask for that many tokens.

        It shares the weights, and several threads may use it, which `torch.func.functional_call` does not allow.
        """
        tensors = itertools.chain(self.model.parameters(), self.model.buffers())
        cut = copy.deepcopy(self.model, {id(tensor): tensor for tensor in tensors})
        cut.positional_embedding = torch.nn.Parameter(self.model.positional_embedding[:length], requires_grad=False)
        cut.attn_mask = self.model.attn_mask[:length, :length]
        return cut
