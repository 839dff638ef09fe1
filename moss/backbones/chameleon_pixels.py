"""Converts images to Chameleon's image codes and back."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch
from torch import Tensor
from transformers import ChameleonVQVAEConfig
from transformers.models.chameleon.modeling_chameleon import ChameleonVQVAE

from moss.backbones.hub import fingerprint
from moss.backbones.pixel_decoder import PixelDecoder
from schemas.errors import UserError
from schemas.images import opaque

PREPROCESSING = "white behind transparency; middle square, Lanczos; x / 127.5 - 1; version 1"
BATCH = 16
"""Pictures encoded at a time; at 512 pixels the encoder's widest layer takes 128 MiB a picture in float32."""


class ChameleonPixels:
    """The VQ tokenizer with its decoder, in float32 on `device`: if there is none given, the GPU if there is one.

    Pictures are brought to the model's square as Meta's own tokenizer does
    (https://github.com/facebookresearch/chameleon, inference/image_tokenizer.py): white behind transparency, the middle
    square scaled with Lanczos, pixels -1..1 as x / 127.5 - 1. (transformers' processor rounds that to 0.0078 x - 1.)

    vq: transformers' ChameleonVQVAE. decoder: None where the checkpoint's folder has no pixel decoder; `decode` then
    raises UserError. codebook_number: int64 (codes,), a code's number in the codebook: codes are counted by token id,
    and names of image tokens need not be in the codebook's order.
    """

    def __init__(
        self,
        vq: ChameleonVQVAE,
        decoder: PixelDecoder | None,
        codebook_number: np.ndarray,
        device: torch.device | None = None,
    ) -> None:
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        for part in (vq, decoder):
            if part is not None:
                part.float().to(self.device).eval().requires_grad_(False)
        self.vq, self.decoder = vq, decoder
        self.codebook_number = torch.as_tensor(codebook_number, device=self.device)
        self.code = torch.argsort(self.codebook_number)
        self.resolution = vq.config.resolution
        self.side = grid_side(vq.config)
        self.prepare = functools.partial(fitted, side=self.resolution)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of the tokenizer's weights, the order of the codes and the preprocessing."""
        digest = hashlib.sha256(f"{PREPROCESSING}; {self.resolution}".encode())
        digest.update(self.codebook_number.cpu().numpy().tobytes())
        for name, weight in sorted(self.vq.state_dict().items()):
            if not name.startswith("post_quant_conv."):  # only used for the way back to pixels
                digest.update(name.encode())
                digest.update(weight.cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    @functools.cached_property
    def decoder_fingerprint(self) -> str:
        return self.fingerprint if self.decoder is None else fingerprint(self.decoder, self.fingerprint)

    @torch.no_grad()
    def encode(self, images: Sequence[PIL.Image.Image]) -> np.ndarray:
        codes = [self._encode(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        return np.concatenate([np.zeros((0, self.side, self.side), np.uint16), *codes])

    def _encode(self, images: Sequence[PIL.Image.Image]) -> np.ndarray:
        squares = torch.from_numpy(np.stack([square(image, self.resolution) for image in images])).to(self.device)
        numbers = self.vq.encode(as_input(squares), return_dict=True).image_tokens
        return self.code[numbers].view(-1, self.side, self.side).cpu().numpy().astype(np.uint16)

    @torch.no_grad()
    def decode(self, codes: np.ndarray) -> PIL.Image.Image:
        if self.decoder is None:
            raise UserError(
                "This checkpoint cannot draw: it has no pixel_decoder.safetensors; make one from the "
                "model's vqgan.ckpt with `python -m moss.backbones.convert_anole`."
            )
        numbers = self.codebook_number[torch.from_numpy(codes.astype(np.int64)).to(self.device)]
        vectors = self.vq.quantize.embedding(numbers).permute(2, 0, 1)
        return PIL.Image.fromarray(as_bytes(self.decoder(vectors[None]))[0].cpu().numpy())


def grid_side(config: ChameleonVQVAEConfig) -> int:
    """The number of codes in a row, and of rows, for a VQ configuration: the image is halved between the levels."""
    return int(config.resolution) >> len(config.channel_multiplier) - 1


def square(image: PIL.Image.Image, side: int) -> np.ndarray:
    """uint8 (side, side, 3): the picture's middle square. Transparent parts become white."""
    return np.array(fitted(image, side))


def fitted(image: PIL.Image.Image, side: int) -> PIL.Image.Image:
    """The picture's middle square, which is returned unchanged if it is given again."""
    return PIL.ImageOps.fit(opaque(image), (side, side), PIL.Image.Resampling.LANCZOS)


def as_input(squares: Tensor) -> Tensor:
    """uint8 (N, side, side, 3) -> float (N, 3, side, side), -1..1."""
    return squares.permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1  # GroupNorm is slow on channels-last


def as_bytes(pixels: Tensor) -> Tensor:
    """The inverse of `as_input`; values outside -1..1 are clipped."""
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
