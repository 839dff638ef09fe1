"""Images to Emu2's 64 vectors by its EVA-CLIP, and back by the diffusion decoder that came with Emu2-Gen."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from timm.data import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
from timm.models.eva import Eva
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from moss.backbones.hub import fingerprint, in_batches
from schemas.errors import UserError
from schemas.images import opaque

GRID = 8
BATCH = 16
"""Images that go through the tower at a time."""
DECODER = ("unet", "vae", "scheduler")
"""The decoder's folders, in diffusers' format."""
PREPROCESSING = "white behind transparency; stretched to a square, bicubic; CLIP's mean and deviation; version 1"
STEPS, GUIDANCE = 50, 3.0
"""Emu2's own settings for drawing (Emu2/emu/diffusion.py of https://github.com/baaivision/Emu)."""


@dataclasses.dataclass(frozen=True)
class Vision:
    """The vision tower's sizes, as `vision_config` in Emu2's config.json names them (448, 14, 1792, 64 there)."""

    image_size: int
    patch_size: int
    width: int
    layers: int
    head_width: int
    mlp_ratio: float
    layer_norm_eps: float = 1e-6

    @classmethod
    def of(cls, published: Mapping[str, Any]) -> Vision:
        """From a published `vision_config`. Raises UserError for a tower that is not built as Emu2's."""
        try:
            found = cls(**{f.name: published[f.name] for f in dataclasses.fields(cls) if f.name in published})
        except TypeError as error:
            raise UserError(f"vision_config of config.json is not Emu2's: {error}") from error
        side, rest = divmod(found.image_size, found.patch_size)
        if rest or side % GRID or published.get("n_query", GRID * GRID) != GRID * GRID:
            raise UserError(
                f"vision_config of config.json: {found.image_size} pixels in patches of {found.patch_size} with n_query "
                f"{published.get('n_query')}; Emu2 pools a square of patches to {GRID} x {GRID} vectors"
            )
        for key, value in (("postnorm", True), ("qkv_bias", True)):
            if published.get(key, value) is not value:
                raise UserError(f"vision_config of config.json: {key} is {published[key]}; Emu2's is {value}")
        return found


def tower(vision: Vision) -> Eva:
    """Emu2's EVA-CLIP as timm builds it.

    It is normalised behind each sublayer, has positions added, and nothing behind the last block. Made under
    `torch.device("meta")` it has no weights yet.
    """
    return Eva(
        img_size=vision.image_size,
        patch_size=vision.patch_size,
        embed_dim=vision.width,
        depth=vision.layers,
        num_heads=vision.width // vision.head_width,
        mlp_ratio=vision.mlp_ratio,
        norm_layer=functools.partial(nn.LayerNorm, eps=vision.layer_norm_eps),
        use_post_norm=True,
        use_post_transformer_norm=False,
        num_classes=0,
        global_pool="",
    )


def filled(vision: Vision, weights: dict[str, Tensor]) -> Eva:
    """The tower with these weights, in their type."""
    with torch.device("meta"):
        made = tower(vision)
    made.load_state_dict(weights, assign=True)
    for block in made.blocks:  # the keys' bias is 0 and in no file
        attention: Any = block.attn
        attention.k_bias = torch.zeros_like(attention.q_bias)
    return made


class EvaPixels:
    """Emu2's 64 vectors of an image: EVA-CLIP's patches, average-pooled to 8 x 8, and its decoder's way back.

    visual: see `tower`. folder: holds DECODER; where it does not, `decode` raises UserError.
    """

    def __init__(self, visual: Eva, folder: Path | None = None) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.visual, self.folder = visual.train(False).requires_grad_(False).to(device), folder
        self.channels = int(visual.embed_dim)
        assert visual.patch_embed.img_size is not None
        self.prepare = functools.partial(stretched, size=visual.patch_embed.img_size)

    @functools.cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.visual, PREPROCESSING)

    @functools.cached_property
    def decoder_fingerprint(self) -> str:
        rest = (self.fingerprint, fingerprint(self.decoder.unet), str(self.decoder.scheduler.config), STEPS, GUIDANCE)
        return fingerprint(self.decoder.vae, *rest)

    def encode(self, images: Sequence[PIL.Image.Image]) -> np.ndarray:
        """float16 (N, 8, 8, c)."""
        return in_batches(self._encode, images, BATCH)

    def _encode(self, images: Sequence[PIL.Image.Image]) -> np.ndarray:
        vectors = self.vectors(torch.stack([self.preprocess(image) for image in images])).cpu().numpy()
        if np.abs(vectors).max() > np.finfo(np.float16).max:
            raise UserError("the vision tower gives numbers beyond float16's; are these the published weights?")
        half: np.ndarray = vectors.astype(np.float16)
        return half

    def preprocess(self, image: PIL.Image.Image) -> Tensor:
        """float32 (3, H, H). As the authors do, an image is stretched to a square, not cropped."""
        scaled = np.asarray(self.prepare(image), dtype=np.float32) / 255
        mean, deviation = (np.array(numbers, np.float32) for numbers in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
        normal = (scaled - mean) / deviation
        return torch.from_numpy(normal).permute(2, 0, 1)

    @torch.no_grad()
    def vectors(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (N, 3, H, H) -> float32 (N, 8, 8, c)."""
        weight = self.visual.cls_token
        assert weight is not None
        patches = self.visual.forward_features(pixels.to(weight.device, weight.dtype))[:, 1:]
        side = round(patches.shape[1] ** 0.5)
        square = patches.unflatten(1, (side, side)).permute(0, 3, 1, 2)
        return avg_pool2d(square, side // GRID).permute(0, 2, 3, 1).float()

    def decode(self, vectors: np.ndarray) -> PIL.Image.Image:
        """The picture of vectors (8, 8, c), of the decoder's own size (1024 pixels). Raises UserError without it."""
        null = self.vectors(torch.zeros(1, 3, *self.visual.patch_embed.img_size or ()))
        return self.decoder.draw(torch.from_numpy(vectors.astype(np.float32))[None].to(null.device), null)

    @functools.cached_property
    def decoder(self) -> Decoder:
        """Loaded when the first picture is drawn: encoding and training do without."""
        if self.folder is None or not (self.folder / DECODER[0]).is_dir():
            raise UserError(
                "this Emu2 was converted without a decoder, so that its vectors cannot be drawn: convert it again with "
                "--decoder and the folder of BAAI/Emu2-Gen, or evaluate losses"
            )
        weight = next(self.visual.parameters())
        return Decoder(self.folder, weight.dtype, weight.device)


def stretched(image: PIL.Image.Image, size: tuple[int, int]) -> PIL.Image.Image:
    """The image in RGB and in this size, not cropped; it is returned unchanged if it is given again."""
    return opaque(image).resize(size, PIL.Image.Resampling.BICUBIC)


class Decoder:
    """Emu2-Gen's decoder: an SDXL-like UNet that is conditioned on the 64 vectors, and SDXL's VAE.

    Drawn as the authors do (50 steps, guidance 3), with two differences: what is guided away from is always the vectors
    of the "null image" (all pixels at CLIP's mean), which they use where they reconstruct an image; and the safety
    checker is not run. The noise is the same every time, so equal vectors give equal pictures.
    """

    def __init__(self, folder: Path, dtype: torch.dtype, device: torch.device) -> None:
        try:
            from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
        except ModuleNotFoundError as error:
            raise UserError(
                "Emu2's decoder needs diffusers, which is not installed: pip install 'leafinstruct[emu2]'"
            ) from error
        unet, vae, scheduler = (folder / name for name in DECODER)
        self.unet: Any = UNet2DConditionModel.from_pretrained(unet, torch_dtype=dtype).to(device).eval()
        self.vae: Any = AutoencoderKL.from_pretrained(vae, torch_dtype=dtype).to(device).eval()
        self.scheduler: Any = EulerDiscreteScheduler.from_pretrained(scheduler)

    @torch.no_grad()
    def draw(self, vectors: Tensor, null: Tensor) -> PIL.Image.Image:
        """vectors, null: (1, 8, 8, c)."""
        given = torch.cat([vectors, null]).flatten(1, 2).to(self.unet.dtype)
        side = self.unet.config.sample_size
        pixels = side * 2 ** (len(self.vae.config.block_out_channels) - 1)
        sizes = given.new_tensor([[pixels, pixels, 0, 0, pixels, pixels]] * 2)  # original, crop's corner, target
        added = {"time_ids": sizes, "text_embeds": given.mean(1)}
        self.scheduler.set_timesteps(STEPS, device=given.device)
        noise = torch.randn(1, self.unet.config.in_channels, side, side, generator=torch.Generator().manual_seed(0))
        latents = noise.to(given.device, given.dtype) * self.scheduler.init_noise_sigma
        for time in self.scheduler.timesteps:
            scaled = self.scheduler.scale_model_input(torch.cat([latents] * 2), time)
            found = self.unet(scaled, time, encoder_hidden_states=given, added_cond_kwargs=added).sample
            wanted, unwanted = found.chunk(2)
            latents = self.scheduler.step(unwanted + GUIDANCE * (wanted - unwanted), time, latents).prev_sample
        image = self.vae.decode(latents / self.vae.config.scaling_factor).sample[0]
        levels = (image.float() / 2 + 0.5).clamp(0, 1).mul(255).round().byte()
        return PIL.Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())
