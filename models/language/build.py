"""Puts the served language model together: the packaged GGUF, dequantised, with our adapters merged in."""

from __future__ import annotations

import pathlib

import torch_compat  # noqa: F401 - before transformers, which imports torchvision

# isort: split
import torch
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase

from models.language import lora


def build(gguf: pathlib.Path, out: pathlib.Path, *, adapters: pathlib.Path | None = lora.WEIGHTS) -> None:
    """Write the folder that vLLM serves (bfloat16 weights, tokenizer, chat template) from the GGUF file.

    `adapters=None` gives the model as it comes, which training starts from. The same input gives the same bytes.
    """
    model = LlamaForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    del model.config.quantization_config  # the weights are plain from here on
    del model.hf_quantizer
    if adapters is not None:
        lora.merge(model, adapters)
    model.bfloat16().save_pretrained(out)
    tokenizer.save_pretrained(out)


def load_model(folder: pathlib.Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    """The model (bfloat16) and the tokenizer of a built folder."""
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16), AutoTokenizer.from_pretrained(folder)
