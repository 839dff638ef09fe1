"""The served language model as one GGUF file, which llama.cpp reads: `python -m models.build` writes it."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import gguf
import torch
from safetensors.torch import load_file

WEIGHTS = gguf.GGMLQuantizationType.Q8_0
"""The format of the matrices."""


def write(folder: pathlib.Path, path: pathlib.Path, weights: gguf.GGMLQuantizationType = WEIGHTS) -> None:
    """Write the Llama model of a Hugging Face folder (`build.py` made it) to `path`.

    Norms are float32 and matrices `weights`. The tokenizer must be a byte-level BPE with GPT-2's cuts, whose added
    tokens all are special: what transformers made of SmolLM2's. The same folder gives the same bytes.
    """
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(config["_model_name_or_path"])
    writer.add_file_type({"F32": 0, "F16": 1, "Q8_0": 7, "BF16": 32}[weights.name])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    _add_tokenizer(writer, folder, config)
    _add_tensors(writer, folder, config, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: gguf.GGUFWriter, folder: pathlib.Path, config: dict[str, Any]) -> None:
    made = json.loads((folder / "tokenizer.json").read_text())
    special = {token["id"] for token in made["added_tokens"]}
    ids = made["model"]["vocab"] | {token["content"]: token["id"] for token in made["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")  # how tokenizer.json cuts a text, which is not what "smollm" stands for
    writer.add_token_list(sorted(ids, key=ids.__getitem__))
    writer.add_token_types(
        [gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL for i in sorted(ids.values())]
    )
    writer.add_token_merges([" ".join(pair) for pair in made["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_unk_token_id(config["unk_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)  # the chat template writes it
    writer.add_add_space_prefix(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text())


def _add_tensors(
    writer: gguf.GGUFWriter, folder: pathlib.Path, config: dict[str, Any], weights: gguf.GGMLQuantizationType
) -> None:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, tensor in sorted(load_file(folder / "model.safetensors").items()):
        stem, projection = name.removesuffix(".weight"), name.split(".")[-2]
        array = tensor.to(torch.float32)
        if projection in heads:  # llama.cpp turns pairs of neighbours, Hugging Face two halves of a head
            half = array.shape[0] // heads[projection] // 2
            array = array.view(heads[projection], 2, half, -1).transpose(1, 2).reshape(array.shape)
        kind = weights if array.dim() > 1 else gguf.GGMLQuantizationType.F32
        data = gguf.quants.quantize(array.numpy(), kind)
        writer.add_tensor(f"{names.get_name(stem)}.weight", data, raw_dtype=kind)
