"""Shared by backbones that are folders from the Hugging Face Hub: tokenizers, square images, checks."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers
from torch import nn
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.integrations import is_fsdp_enabled  # type: ignore[attr-defined]  # transformers exports it lazily
from transformers.modeling_outputs import BaseModelOutputWithPast

from moss.layout import ImageLayout
from schemas.errors import UserError
from schemas.images import opaque


class HubText:
    """A checkpoint's tokenizer as `TextTokenizer`.

    A text that contains the name of a special token, or of a token of `layout`'s images, stays text
    ("<|image start|>"). Other added tokens, such as runs of blanks, are the model's way to read text and stay tokens. If
    a tokenizer has no begin or padding token, its end token is used.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, layout: ImageLayout | None = None) -> None:
        self.tokenizer = tokenizer
        self.eos = int(tokenizer.eos_token_id)
        self.bos = self.eos if tokenizer.bos_token_id is None else int(tokenizer.bos_token_id)
        self.pad = self.eos if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
        description = json.loads(tokenizer.backend_tokenizer.to_str())
        description |= {"post_processor": None, "truncation": None, "padding": None}
        for token in description["added_tokens"]:
            token["special"] |= layout is not None and layout.has(token["id"])
        self.plain = tokenizers.Tokenizer.from_str(json.dumps(description))
        description["added_tokens"] = [token for token in description["added_tokens"] if not token["special"]]
        self.fingerprint = hashlib.sha256(json.dumps(description).encode()).hexdigest()[:12]

    def encode(self, text: str) -> list[int]:
        self.plain.encode_special_tokens = True  # as the text that they are; a copy in another process forgets it
        ids: list[int] = self.plain.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        text = self.tokenizer.decode(
            [int(i) for i in ids], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        assert isinstance(text, str), "one sequence gives one text"
        return text


def byte_tokenizer(added: Sequence[str] = (), **named: str) -> PreTrainedTokenizerFast:
    """A tokenizer for tiny models.

    256 bytes, then `<pad>`, `<s>`, `</s>`, then `named` (boi_token="...") and `added` special tokens.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    plain = tokenizers.Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    plain.pre_tokenizer, plain.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    plain.add_special_tokens(["<pad>", "<s>", "</s>", *named.values(), *added])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers does not type it
        tokenizer_object=plain, pad_token="<pad>", bos_token="<s>", eos_token="</s>", extra_special_tokens=named
    )


def tiny_decoder(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """The sizes and special ids of a tiny model's text decoder, as the fields of its transformers configuration."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """A checkpoint's tokenizer. Raises UserError for one that is not of the `tokenizers` library."""
    found = AutoTokenizer.from_pretrained(folder)
    if not isinstance(found, PreTrainedTokenizerFast):
        raise UserError(f"{folder} has no tokenizer.json: give a checkpoint that was converted for transformers")
    return found


def token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    """The id of a token of the vocabulary. Raises UserError if there is none."""
    found = tokenizer.get_vocab().get(token)
    if found is None:
        raise UserError(
            f"the checkpoint's tokenizer has no token {token}: give the folder of a checkpoint that was "
            "converted for transformers (the top of the backbone's file names them)"
        )
    return found


def check_folder(path: Path | str) -> Path:
    """The path of a checkpoint's folder. Raises UserError if it has none."""
    if not (Path(path) / "config.json").is_file():
        raise UserError(
            f"{path} holds no checkpoint (no config.json): download one and give its folder, or give "
            '"tiny" for random weights'
        )
    return Path(path)


def pretrained(kind: Any, folder: Path, *, dtype: torch.dtype, layers: str, **more: Any) -> Any:
    """`kind.from_pretrained`, for a class of transformers; `layers` is the name of the decoder's layers in it.

    Weights that the file has in `dtype` are not copied: they are pages of the file, which all processes of a machine
    share. Where accelerate is asked to shard the model and to load it once (FSDP_CPU_RAM_EFFICIENT_LOADING), the layers
    are loaded on the first process alone; on the others they are on torch's "meta" device, until accelerate fills them.
    """
    if is_fsdp_enabled() and torch.distributed.get_rank() != 0:
        more["device_map"] = {layers: "meta", "": "cpu"}
    return kind.from_pretrained(folder, dtype=dtype, **more)


@dataclasses.dataclass
class _Given(BaseModelOutputWithPast):
    """A decoder's output; what some also give, such as the logits of a router among experts, is None."""

    def __getattr__(self, name: str) -> None:
        return None


@torch.no_grad()
def check_logits(model: Any) -> None:
    """Raise UserError for a causal language model whose logits are not its output layer's: it scales or caps them.

    The model is called with hidden states in place of those of its layers, large enough to tell a cap.
    """
    core, head = getattr(model, model.base_model_prefix).get_decoder(), model.get_output_embeddings()
    hidden = torch.linspace(-1, 1, head.weight.shape[1], device=head.weight.device, dtype=head.weight.dtype)[None, None]
    hidden = hidden * (100 / head(hidden).abs().max())
    given = _Given(last_hidden_state=hidden)
    ids = torch.zeros((1, 1), dtype=torch.int64, device=hidden.device)
    own = {name: forward for name, forward in vars(core).items() if name == "forward"}  # accelerate may have set one
    core.forward = lambda *_, **__: given
    try:
        logits = model(input_ids=ids).logits
    finally:
        del core.forward
        vars(core).update(own)
    if not torch.allclose(logits.float(), head(hidden).float(), rtol=0, atol=0.5):
        raise UserError(
            f"{type(model).__name__} scales or caps its logits (logits_scaling, logit_scale or final_logit_softcapping in "
            "config.json), which this backbone does not: choose a model such as SmolLM2, or write a backbone whose "
            "text_logits do the same (docs/extending.md)"
        )


def square(image: PIL.Image.Image, size: int) -> PIL.Image.Image:
    """The middle square of an image, in RGB, resized to `size` pixels: no stretching, no borders.

    Given again, it is returned unchanged.
    """
    return PIL.ImageOps.fit(opaque(image), (size, size), PIL.Image.Resampling.BICUBIC)


def in_batches(
    encode: Callable[[Sequence[PIL.Image.Image]], np.ndarray], images: Sequence[PIL.Image.Image], size: int
) -> np.ndarray:
    """encode(images), with at most `size` images at a time; (N, ...). There must be at least one."""
    return np.concatenate([encode(images[start : start + size]) for start in range(0, len(images), size)])


def enlarge(*modules: nn.Module, std: float = 0.2) -> None:
    """Redraw the matrices of a tiny random model.

    At transformers' usual 0.02 a narrow, frozen output layer cannot express any certainty, and adapters could learn
    almost nothing.
    """
    for parameter in itertools.chain(*(module.parameters() for module in modules)):
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=std)


def fingerprint(module: nn.Module, *settings: object) -> str:
    """16 hexadecimal digits that change with any weight of a module and with the settings."""
    digest = hashlib.sha256(repr(settings).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy())  # loading may change a counter's type
    return digest.hexdigest()[:16]
