"""Emu3 (arXiv 2409.18869): text and images as ids of one vocabulary; an image's rows end with a token of their own.

The checkpoints BAAI/Emu3-Gen-hf and BAAI/Emu3-Chat-hf are published under the Apache-2.0 licence (about 34 GB each; Gen
was trained to write images, Chat to read them):

    hf download BAAI/Emu3-Gen-hf --local-dir checkpoints/emu3
    python -m moss.train --config configs/moss_emu3.yaml --set backbone.path=checkpoints/emu3

Not run with the real weights here: the tests use the same classes with random weights.

All images of a run have one size, `size` x `size` pixels: 256 gives 32 x 32 codes, 1,056 tokens with the row ends; 512
gives 4,160. The authors generate at 720 (8,190 tokens), which leaves little room for a second picture in Emu3's 9,216
positions.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from transformers import (
    Emu3Config,
    Emu3ForConditionalGeneration,
    Emu3ImageProcessor,
    Emu3VQVAE,
    Emu3VQVAEConfig,
    PreTrainedTokenizerFast,
)

from moss.backbones.generalist import Generalist
from moss.backbones.hub import (
    HubText,
    byte_tokenizer,
    check_folder,
    enlarge,
    fingerprint,
    in_batches,
    load_tokenizer,
    pretrained,
    square,
    tiny_decoder,
)
from moss.layout import ImageLayout
from schemas.errors import UserError

BATCH_PIXELS = 4 * 256 * 256
"""Pixels that go through the image tokenizer at a time: its widest activation takes 1 KiB a pixel in float32."""
TARGET_MODULES = r".*text_model\.layers\.\d+\.(self_attn|mlp)\.\w+_proj"
"""The text model's linear layers. The image tokenizer (`vqmodel`) has linear layers of the same names: not those."""


# transformers' own switch, set on its class: it renames a checkpoint's weights for its own classes only, so that a
# subclass of ours would be loaded without its output layer
Emu3VQVAE._keep_in_fp32_modules_strict = ["vqmodel"]


def load(path: Path | str, *, dtype: torch.dtype = torch.float32, size: int = 256) -> Generalist:
    """Load a checkpoint from its folder.

    The image tokenizer stays in float32, so that codes do not depend on `dtype`; attention dropout (0.1 by default in
    Emu3's configuration) is off. Raises UserError for another kind of folder, or if `size` is not a multiple of the
    tokenizer's patch (8).
    """
    folder = check_folder(path)
    config = Emu3Config.from_pretrained(folder)
    config.get_text_config().attention_dropout = 0.0
    layers = "model.text_model.layers"
    model = pretrained(Emu3ForConditionalGeneration, folder, config=config, dtype=dtype, layers=layers)
    processor = Emu3ImageProcessor.from_pretrained(folder)
    return _generalist(model, load_tokenizer(folder), processor, size)


def tiny(seed: int = 0) -> Generalist:
    """A model with random weights: an image of 32 pixels is 8 x 8 codes of 64, text is bytes."""
    visual = [f"<|visual token {code:06d}|>" for code in range(64)]
    tokenizer = byte_tokenizer(
        ["<|extra_200|>", *visual],
        image_token="<image>",
        boi_token="<|image start|>",
        eoi_token="<|image end|>",
        image_wrapper_token="<|image token|>",
        eof_token="<|extra_201|>",
    )
    text = tiny_decoder(tokenizer) | {"attention_dropout": 0.0}
    vq = dict(
        codebook_size=64,
        embed_dim=4,
        latent_channels=4,
        base_channels=32,
        channel_multiplier=[1, 1, 1],
        num_res_blocks=1,
        attn_resolutions=[2],
        hidden_size=32,
        num_attention_heads=1,
        temporal_downsample_factor=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Emu3ForConditionalGeneration(
            Emu3Config(text_config=text, vq_config=vq, vocabulary_map=tokenizer.get_vocab())
        )
        enlarge(model.model.text_model, model.lm_head)
    return _generalist(model, tokenizer, Emu3ImageProcessor(), 32)


def _generalist(
    model: Emu3ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, processor: Emu3ImageProcessor, size: int
) -> Generalist:
    model.model.vqmodel.requires_grad_(False)
    layout = image_layout(model.config, tokenizer, size)
    text = HubText(tokenizer, layout)
    return Generalist("emu3", model, layout, text, Emu3Pixels(model, processor, layout, text.eos), TARGET_MODULES)


def image_layout(config: Emu3Config, tokenizer: PreTrainedTokenizerFast, size: int) -> ImageLayout:
    """The layout of an image as transformers' Emu3Processor writes it.

    Start, "rows*columns" as text, the image marker, the rows, each with its end, end of file, end of image.
    """
    vq = config.vq_config
    if not isinstance(vq, Emu3VQVAEConfig):
        raise UserError("config.json has no vq_config: give a checkpoint such as BAAI/Emu3-Gen-hf")
    patch = 2 ** (len(vq.channel_multiplier) - 1)
    if size % patch:
        raise UserError(f"pictures of {size} pixels are not a whole number of patches: choose a multiple of {patch}")
    vocabulary, codes = config.vocabulary_map or {}, vq.codebook_size
    visual = [vocabulary.get(f"<|visual token {code:06d}|>", -1) for code in range(codes)]
    if visual[0] < 0 or visual != list(range(visual[0], visual[0] + codes)):
        raise UserError(
            "the checkpoint's vocabulary_map does not name its image codes by ids in a row: give a "
            "checkpoint that was converted for transformers, such as BAAI/Emu3-Gen-hf"
        )
    grid = size // patch
    size_string = tokenizer.encode(f"{grid}*{grid}", add_special_tokens=False)
    return ImageLayout(
        grid,
        grid,
        low=visual[0],
        high=visual[-1] + 1,
        begin=tokenizer.boi_token_id,
        header=(*size_string, tokenizer.image_wrapper_token_id),
        row_end=int(vocabulary["<|extra_200|>"]),
        footer=(tokenizer.eof_token_id,),
        end=tokenizer.eoi_token_id,
    )


class Emu3Pixels:
    """Codes by the checkpoint's own image tokenizer, on whatever device the model is."""

    def __init__(
        self, model: Emu3ForConditionalGeneration, processor: Emu3ImageProcessor, layout: ImageLayout, eos: int
    ) -> None:
        self.model, self.processor, self.layout, self.eos = model.model, processor, layout, eos
        self.size = layout.rows * model.model.vqmodel.vision_spatial_factor
        self.prepare = functools.partial(square, size=self.size)

    @functools.cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.model.vqmodel, self.size, self.processor.image_mean, self.processor.image_std)

    @property
    def decoder_fingerprint(self) -> str:
        return self.fingerprint  # which is of both directions

    def encode(self, images: Sequence[PIL.Image.Image]) -> np.ndarray:
        return in_batches(self._encode, images, max(1, BATCH_PIXELS // self.size**2))

    @torch.no_grad()
    def _encode(self, images: Sequence[PIL.Image.Image]) -> np.ndarray:
        vq = self.model.vqmodel.eval().float()  # codes must not depend on the state of the rest of the model
        squared = [square(image, self.size) for image in images]
        given = self.processor(squared, do_resize=False, return_tensors="pt")
        ids = self.model.get_image_tokens(given["pixel_values"].to(vq.device), given["image_sizes"])
        rows = ids.view(len(squared), self.layout.rows, self.layout.stride)[:, :, : self.layout.columns]
        codes: np.ndarray = (rows - self.layout.low).cpu().numpy().astype(np.uint16)
        return codes

    @torch.no_grad()
    def decode(self, codes: np.ndarray) -> PIL.Image.Image:
        vq = self.model.vqmodel.eval().float()
        body = self.layout.block(codes)[1 + len(self.layout.header) :]
        generated = torch.tensor([[*body, self.eos]], device=vq.device)  # transformers drops the last three
        pixels = self.model.decode_image_tokens(
            image_tokens=generated, height=self.layout.rows, width=self.layout.columns
        )
        picture: PIL.Image.Image = self.processor.postprocess(list(pixels.float().cpu()))["pixel_values"][0]
        return picture
