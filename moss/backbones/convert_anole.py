"""Adds the pixel decoder to a Chameleon or Anole checkpoint that is in transformers' format.

    python -m moss.backbones.convert_anole --vqgan tokenizer/vqgan.ckpt --checkpoint FOLDER

transformers' Chameleon can read images but not write them: its converter leaves out the decoder of Meta's vqgan.ckpt.
This command writes the decoder to FOLDER/pixel_decoder.safetensors, after checking that the encoder and the codebook in
FOLDER are the ones of vqgan.ckpt (in the folder's precision, where it is coarser). Nothing in the file is executed: it
is read with `torch.load(weights_only=True)`.

FOLDER holds https://huggingface.co/facebook/chameleon-7b, or Anole (https://github.com/GAIR-NLP/anole) after
transformers' `convert_chameleon_weights_to_hf`; Chameleon itself was published without the ability to emit images, so
take Anole to generate. vqgan.ckpt lies in `tokenizer/` of Meta's download; Anole uses the same one, unchanged
(https://github.com/GAIR-NLP/anole/issues/9). All of them are under Meta's Chameleon research licence, which you must
have accepted. This command was tested with random weights under the published names, never with the published ones.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import sys
import uuid
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import ChameleonConfig
from transformers.models.chameleon.modeling_chameleon import ChameleonVQVAE

from moss.backbones.chameleon import PIXEL_DECODER, vq_config
from moss.backbones.pixel_decoder import PixelDecoder
from schemas.errors import UserError

PREFIX = "model.vqmodel."
"""The prefix of the VQ tokenizer's weights in the checkpoint; the rest of a name is the same as in vqgan.ckpt."""


def convert(vqgan: Path, checkpoint: Path) -> tuple[Path, int]:
    """Write the decoder; returns its file, and how many tensors of the checkpoint were compared with vqgan.ckpt.

    Raises UserError, and writes nothing, if either cannot be read or they do not belong together.
    """
    config_file = checkpoint / "config.json"
    if not config_file.is_file():
        raise UserError(f"{checkpoint} has no config.json; name the checkpoint's folder with --checkpoint.")
    config = ChameleonConfig(**json.loads(config_file.read_text(encoding="utf-8")))
    published = read_vqgan(vqgan)
    decoder = {name: weight for name, weight in published.items() if name.startswith(("decoder.", "post_quant_conv."))}
    _check_shapes(decoder, PixelDecoder(vq_config(config)).state_dict(), vqgan)
    with torch.device("meta"):
        encoder = ChameleonVQVAE(vq_config(config))
    compared = _check_equal(published, checkpoint, set(dict(encoder.named_parameters())))
    target = checkpoint / PIXEL_DECODER
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        save_file({name: weight.contiguous() for name, weight in decoder.items()}, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target, compared


def read_vqgan(path: Path) -> dict[str, Tensor]:
    """The tensors of a vqgan.ckpt by name, without executing anything in it. Raises UserError."""
    try:
        tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        return tensors
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f'{path} is not a vqgan.ckpt, a file of tensors under "state_dict": {error}') from error


def _check_shapes(decoder: dict[str, Tensor], expected: dict[str, Tensor], vqgan: Path) -> None:
    for name, weight in expected.items():
        if name not in decoder:
            raise UserError(f"{vqgan} has no {name}, which vq_config in config.json asks for.")
        if decoder[name].shape != weight.shape:
            raise UserError(
                f"{name} is {tuple(decoder[name].shape)} in {vqgan}; vq_config in config.json makes it "
                f"{tuple(weight.shape)}."
            )
    if surplus := sorted(set(decoder) - set(expected)):
        raise UserError(f"{vqgan} also has {surplus[0]}, which vq_config in config.json leaves no place for.")


def _check_equal(published: dict[str, Tensor], checkpoint: Path, wanted: set[str]) -> int:
    """Compare the checkpoint's encoder and codebook with the published ones, of which all `wanted` must be there."""
    compared: set[str] = set()
    for file in sorted(checkpoint.glob("*.safetensors")):
        if file.name == PIXEL_DECODER:
            continue
        with safe_open(file, "pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - it is not a mapping
                name = key.removeprefix(PREFIX)
                if key.startswith(PREFIX) and name in published:
                    ours = tensors.get_tensor(key)
                    if not torch.equal(ours, published[name].to(ours.dtype)):
                        raise UserError(f"{name} differs between {file} and the vqgan.ckpt; take both from one model.")
                    compared.add(name)
    if missing := sorted(wanted - compared):
        where = (
            f"{checkpoint} has no {PREFIX}{missing[0]}"
            if missing[0] in published
            else f"vqgan.ckpt has no {missing[0]}"
        )
        raise UserError(
            f"{len(missing)} of {len(wanted)} weights of the encoder and the codebook could not be compared: {where}. "
            "Take both whole from one model, the checkpoint in transformers' safetensors."
        )
    return len(compared)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vqgan", type=Path, required=True, help="vqgan.ckpt of the published model")
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of the model in transformers' format")
    arguments = parser.parse_args()
    try:
        written, compared = convert(arguments.vqgan, arguments.checkpoint)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{written}: written; {compared} tensors of the checkpoint equal those of {arguments.vqgan}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
