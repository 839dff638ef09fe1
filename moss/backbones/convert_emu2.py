"""Converts a published Emu2 to the folder that `moss.backbones.emu2` loads.

    python -m moss.backbones.convert_emu2 --checkpoint emu2-gen --output checkpoints/emu2
    python -m moss.backbones.convert_emu2 --checkpoint emu2 --decoder emu2-gen --output checkpoints/emu2

The checkpoint is the whole folder of BAAI/Emu2, Emu2-Chat or Emu2-Gen (whose language model lies in
`multimodal_encoder/`, and its tokenizer in `tokenizer/`). Of its weights, `model.decoder.lm.` becomes a LLaMA in
transformers' format, `model.visual.` an EVA of timm's, `project_up` and `project_down` a file of their own; every name
and shape is checked against config.json before anything is written. The remote code in the folder is not run and not
copied. Only safetensors are read. The vision tower (9 GB) and one file of the language model are in memory at a time.

Names and layout are those of https://github.com/baaivision/Emu (Emu2/emu) and of the model files that others published
with their own work; this command was tested with random weights in this layout, never with the published ones.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from moss.backbones.emu2 import PROJECTIONS, VISION, VISUAL
from moss.backbones.emu2_pixels import DECODER, Vision, tower
from schemas.errors import UserError

LANGUAGE = (
    "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads hidden_act max_position_embeddings "
    "initializer_range rms_norm_eps rope_theta pad_token_id bos_token_id eos_token_id tie_word_embeddings"
).split()
"""What of config.json describes the language model; the rest is Emu2's own, or at LLaMA's defaults."""
PREFIXES = {"model.decoder.lm.": "language", "model.visual.": VISUAL, "project_": PROJECTIONS}
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a weight of this shape lies: in the tensor of this name, from row `start` on."""

    file: Path
    name: str
    shape: tuple[int, ...]
    start: int = 0

    def read(self) -> Tensor:
        with safe_open(self.file, "pt") as tensors:
            found: Tensor = tensors.get_slice(self.name)[self.start : self.start + self.shape[0]]
        return found


Sources = dict[tuple[str, str], Source]
"""By the converted folder's file (or "language", which is several) and the name in it."""


def convert(checkpoint: Path, output: Path, decoder: Path | None = None) -> bool:
    """Write `output`, whole or not at all. decoder: the folder that has DECODER; the checkpoint's own unless given.

    Returns whether there was a decoder. Raises UserError for a folder that is not Emu2's or not complete.
    """
    if output.exists():
        raise UserError(f"{output} exists; name another folder with --output, or delete it.")
    encoder = checkpoint / "multimodal_encoder"
    encoder = encoder if encoder.is_dir() else checkpoint
    config = _config(encoder / "config.json")
    vision, language = Vision.of(config["vision_config"]), _language(config)
    sources = _sources(encoder)
    _check(sources, _expected(vision, language), encoder)
    tokenizer = checkpoint / "tokenizer" if (checkpoint / "tokenizer").is_dir() else checkpoint
    if not (tokenizer / TOKENIZER[0]).is_file():
        raise UserError(f"{tokenizer} has no {TOKENIZER[0]}; download the whole folder.")
    if decoder is not None or (checkpoint / DECODER[0]).is_dir():
        decoder = decoder or checkpoint
        for name in DECODER:
            if not (decoder / name).is_dir():
                raise UserError(f"{decoder} has no folder {name}; take BAAI/Emu2-Gen's for --decoder.")

    partial = output.with_name(f".{output.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    language.save_pretrained(partial)
    _write_language(sources, partial)
    (partial / VISION).write_text(json.dumps(dataclasses.asdict(vision), indent=2) + "\n", encoding="utf-8")
    for file in (VISUAL, PROJECTIONS):
        save_file({name: source.read() for (where, name), source in sources.items() if where == file}, partial / file)
    for name in TOKENIZER:
        if (tokenizer / name).is_file():
            shutil.copy(tokenizer / name, partial)
    if decoder is not None:
        for name in DECODER:
            _copy_decoder(decoder / name, partial / name)
    os.replace(partial, output)
    return decoder is not None


def _config(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found["vision_config"], dict):
            raise TypeError("vision_config is no table")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is not the config.json of an Emu2: {error!r}; name its folder.") from error
    return found


def _language(config: dict[str, Any]) -> LlamaConfig:
    if config.get("rope_scaling") is not None:
        raise UserError("config.json has rope_scaling, which no published Emu2 has; this command does not know it.")
    return LlamaConfig(
        **{key: config[key] for key in LANGUAGE if key in config}, architectures=[LlamaForCausalLM.__name__]
    )


def _sources(folder: Path) -> Sources:
    """Every weight in a folder's safetensors, from their headers alone."""
    found: Sources = {}
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, "pt") as tensors:
                shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in sorted(tensors.keys())}
        except SafetensorError as error:
            raise UserError(f"{file} cannot be read: {error}; download it again.") from error
        for name, shape in shapes.items():
            for target, source in _targets(Source(file, name, shape)):
                if target in found:
                    raise UserError(
                        f"{name} is in {found[target].file} and in {file}; keep one variant of the weights."
                    )
                found[target] = source
    if not found:
        raise UserError(f"{folder} has no safetensors; download the whole folder.")
    return found


def _targets(source: Source) -> Iterator[tuple[tuple[str, str], Source]]:
    """Where a published tensor goes.

    The bias of queries, keys and values is one vector there; timm has no bias of keys, which changes no output: it adds
    the same to all of a query's scores.
    """
    if source.name.endswith("rotary_emb.inv_freq"):  # computed; files of old versions have it
        return
    prefix = next((prefix for prefix in PREFIXES if source.name.startswith(prefix)), None)
    if prefix is None:
        raise UserError(f"{source.file} has {source.name}, which is no weight of an Emu2.")
    file, name = PREFIXES[prefix], source.name.removeprefix(prefix)
    if file == VISUAL and name.endswith("attn.qkv.bias"):
        third = source.shape[0] // 3
        for bias, start in (("q_bias", 0), ("v_bias", 2 * third)):
            yield (file, name.replace("qkv.bias", bias)), dataclasses.replace(source, shape=(third,), start=start)
    else:
        yield (file, name), source


def _expected(vision: Vision, language: LlamaConfig) -> dict[tuple[str, str], tuple[int, ...]]:
    with torch.device("meta"):
        parts = {"language": LlamaForCausalLM(language).state_dict(), VISUAL: tower(vision).state_dict()}
    shapes = {(part, name): tuple(weight.shape) for part, state in parts.items() for name, weight in state.items()}
    width = language.hidden_size
    up, down = (width, vision.width), (vision.width, width)
    return shapes | {(PROJECTIONS, "up.weight"): up, (PROJECTIONS, "down.weight"): down}


def _check(sources: Sources, expected: dict[tuple[str, str], tuple[int, ...]], folder: Path) -> None:
    prefix = {part: prefix for prefix, part in PREFIXES.items()}
    for (part, name), shape in expected.items():
        source = sources.get((part, name))
        if source is None:
            raise UserError(
                f"{folder} has no {prefix[part]}{name}, which config.json asks for; download the whole folder."
            )
        if source.shape != shape:
            raise UserError(f"{source.name} in {source.file} is {source.shape}; config.json makes it {shape}.")
    for key in sorted(sources.keys() - expected.keys()):
        raise UserError(f"{sources[key].file} also has {sources[key].name}, which config.json leaves no place for.")


def _write_language(sources: Sources, folder: Path) -> None:
    """One file for each published one that has some of the language model, and transformers' index."""
    files = collections.defaultdict[Path, dict[str, Source]](dict)
    for (part, name), source in sources.items():
        if part == "language":
            files[source.file][name] = source
    places: dict[str, str] = {}
    size = 0
    for number, named in enumerate(files.values(), 1):
        file = f"model-{number:05d}-of-{len(files):05d}.safetensors"
        weights = {name: source.read() for name, source in named.items()}
        save_file(weights, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(weights, file)
        size += sum(weight.nbytes for weight in weights.values())
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(places.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _copy_decoder(source: Path, target: Path) -> None:
    """A folder of diffusers', with the weights under the names of no variant (`bf16` in Emu2-Gen)."""
    target.mkdir()
    for file in sorted(source.iterdir()):
        if file.suffix in (".json", ".safetensors"):
            shutil.copy(file, target / re.sub(r"\.(bf16|fp16)\b", "", file.name))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of BAAI/Emu2, Emu2-Chat or Emu2-Gen")
    parser.add_argument("--output", type=Path, required=True, help="the folder to write; it must not exist")
    parser.add_argument("--decoder", type=Path, help="folder of BAAI/Emu2-Gen, if the checkpoint is another one")
    arguments = parser.parse_args()
    try:
        draws = convert(arguments.checkpoint, arguments.output, arguments.decoder)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{arguments.output}: written, {'with the decoder' if draws else 'without a decoder (see --decoder)'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
