"""How attention is computed, and a proof before training that samples which share a row do not see each other."""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from accelerate import Accelerator
from transformers.utils.generic import is_flash_attention_requested

from moss.backbones.generalist import Generalist
from moss.batch import Batch, Sample
from moss.data import collate
from moss.settings import Settings
from schemas.errors import UserError

BEFORE = ("0 1 2 3 4 5 6 7 8 9", "z y x w v u t s r q")
"""Texts of the first sample of a row; what follows in the row must not depend on which it is."""
BEHIND = "A sample of its own, in the same row."


def choose(generalist: Generalist, settings: Settings, device: torch.device) -> None:
    """Set `training.attention` on the decoder alone: an image tokenizer keeps what it has.

    Raises UserError where it is not installed, not offered by the model, or cannot be trained here.
    """
    name = settings.training.attention
    if name is None:
        return
    if name == "flex_attention" and device.type == "cpu":
        raise UserError(
            "training.attention: torch has no backward pass of flex_attention for CPUs; choose sdpa or eager"
        )
    if name == "flash_attention_2" and settings.backbone.dtype == "float32" and settings.training.precision == "no":
        raise UserError(
            "training.attention: flash_attention_2 does not compute in float32; set backbone.dtype: bfloat16 or "
            "training.precision: bf16, or choose another"
        )
    decoder = generalist.core.get_decoder()
    try:
        decoder.set_attn_implementation({"": name})
    except (ImportError, ValueError) as error:
        raise UserError(f"training.attention: {name} cannot be used here: {error}") from error
    found = decoder.config._attn_implementation
    same = is_flash_attention_requested(decoder.config) if name == "flash_attention_2" else found == name
    if not same:
        raise UserError(f"training.attention: {type(decoder).__name__} does not let {name} be chosen; it has {found}")


@torch.no_grad()
def check_isolated(accelerator: Accelerator, model: torch.nn.Module, generalist: Generalist, rows: int) -> None:
    """Raise UserError if the losses of a sample depend on the sample before it in its row.

    `rows` is this process's number of rows. Every process calls it, with the prepared model.
    """
    batches = [probe(generalist, rows, text).to(accelerator.device) for text in BEFORE]
    model.train(False)
    compiled = vars(generalist.core).get("_compiled_call_impl") is not None  # not worth it for rows of another length
    with torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext():
        one, other = (model(batch).text_loss for batch in batches)
    model.train()
    behind = (batches[0].text_of >= 0) & (batches[0].text_of % 2 == 1)
    behind &= one.isfinite() & other.isfinite()  # of others, the first step says what is wrong
    if not torch.allclose(one[behind], other[behind], rtol=1e-4, atol=1e-5):
        kind = type(generalist.plain_model).__name__
        raise UserError(
            f"training.attention: samples that share a row see each other in {kind} with "
            f"{generalist.core.get_decoder().config._attn_implementation}; choose sdpa or eager, or another backbone"
        )


def probe(generalist: Generalist, rows: int, before: str) -> Batch:
    """Rows of two samples each, and padding; the second samples are always the same."""
    text = generalist.tokenizer
    length = min(len(text.encode(other)) for other in BEFORE)
    first = _sample("first", [text.bos, *text.encode(before)[:length]])
    second = _sample("second", [text.bos, *text.encode(BEHIND), text.eos])
    return collate([[first, second]] * rows, len(first.ids) + len(second.ids) + 3, generalist.layout, text.pad)


def _sample(key: str, ids: list[int]) -> Sample:
    return Sample(key, np.array(ids), np.ones(len(ids), bool), np.zeros(len(ids), np.int64))
