"""Janus and Janus-Pro (arXiv 2410.13848, 2501.17811): a language model with an embedding and a head for image codes.

The checkpoints deepseek-community/Janus-Pro-1B and Janus-Pro-7B are for transformers. The authors' repository puts the
code under the MIT licence and the weights under the DeepSeek Model License, whose use restrictions pass on to adapters:

    hf download deepseek-community/Janus-Pro-1B --local-dir checkpoints/janus
    python -m moss.train --config configs/moss_janus.yaml --set backbone.path=checkpoints/janus

Not run with the real weights here: the tests use the same classes with random weights.

Janus's authors do not offer interleaved generation (transformers issue 36053): their model writes either text or one
image, as it is told beforehand, and reads images through an encoder (SigLIP) that is not that of the codes which it
writes. Here every image, read or written, is its 576 codes; fine-tuning must teach both to begin an image and to read
codes.

In our stream the ids of the codes follow the text vocabulary. The checkpoint does not have these ids.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import Cache, JanusConfig, JanusForConditionalGeneration, PreTrainedTokenizerFast
from transformers.models.janus.modeling_janus import JanusVQVAE

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
    token_id,
)
from moss.layout import ImageLayout

BATCH_PIXELS = 4 * 256 * 256
"""Pixels that go through the image tokenizer at a time: its widest activation takes 1 KiB a pixel in float32."""
TARGET_MODULES = r".*language_model\.layers\.\d+\.(self_attn|mlp)\.\w+_proj"
"""The language model's linear layers; the vision tower has layers of the same names."""

JanusVQVAE._keep_in_fp32_modules_strict = ["vqmodel"]  # transformers' own switch: codes must not depend on dtype


def load(path: Path | str, *, dtype: torch.dtype = torch.float32) -> Janus:
    """Load a checkpoint from its folder.

    The image tokenizer stays in float32. Raises UserError for another kind of folder.
    """
    folder = check_folder(path)
    model = pretrained(JanusForConditionalGeneration, folder, dtype=dtype, layers="model.language_model.layers")
    return Janus(model, load_tokenizer(folder))


def tiny(seed: int = 0) -> Janus:
    """A model with random weights: an image of 32 pixels is 8 x 8 codes of 64, text is bytes."""
    tokenizer = byte_tokenizer(
        image_token="<image_placeholder>", boi_token="<begin_of_image>", eoi_token="<end_of_image>"
    )
    text = tiny_decoder(tokenizer) | {"model_type": "llama", "num_key_value_heads": 4}
    vision = dict(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=4,
        projection_dim=96,
        mlp_ratio=2,
        num_image_tokens=64,
    )
    vq = dict(
        embed_dim=8,
        num_embeddings=64,
        latent_channels=32,
        base_channels=32,
        channel_multiplier=[1, 1, 1],
        num_res_blocks=1,
        projection_dim=96,
        image_token_embed_dim=96,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = JanusForConditionalGeneration(
            JanusConfig(text_config=text, vision_config=vision, vq_config=vq, image_token_id=tokenizer.image_token_id)
        )
        enlarge(
            model.model.language_model,
            model.lm_head,
            model.model.generation_embeddings,
            model.model.generation_aligner,
            model.model.generation_head,
        )
    return Janus(model, tokenizer)


class Janus(Generalist):
    """Text ids go through the text embedding and `lm_head`, codes through the generation embedding and head.

    The core is JanusModel, called with `inputs_embeds`: it passes them on to the language model unchanged.
    """

    def __init__(self, model: JanusForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
        vq_model = model.model.vqmodel
        assert isinstance(vq_model, JanusVQVAE)
        vq_model.requires_grad_(False)
        low, vq = model.config.get_text_config().vocab_size, vq_model.config
        layout = ImageLayout(
            vq.num_patches,
            vq.num_patches,
            low=low,
            high=low + vq.num_embeddings,
            begin=token_id(tokenizer, "<begin_of_image>"),
            end=token_id(tokenizer, "<end_of_image>"),
        )
        super().__init__("janus", model, layout, HubText(tokenizer, layout), JanusPixels(vq_model), TARGET_MODULES)

    def hidden(
        self,
        ids: Tensor,
        positions: Tensor | None = None,
        vectors: Tensor | None = None,
        cache: Cache | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        model, low = self.plain_model, self.layout.low
        text = model.get_input_embeddings()(ids.clamp(max=low - 1))
        image = model.prepare_embeddings_for_image_generation((ids - low).clamp(min=0))
        embedded = torch.where((ids >= low).unsqueeze(-1), image, text)
        return self.hidden_of(embedded, ids, positions, cache, mask)

    def image_logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.plain_model.model.generation_head(hidden)
        return logits


class JanusPixels:
    """Codes by the checkpoint's own image tokenizer, on whatever device the model is. Pixels run from -1 to 1."""

    def __init__(self, vq: JanusVQVAE) -> None:
        self.vq = vq
        self.grid = self.vq.config.num_patches
        self.size = self.grid * 2 ** (len(self.vq.config.channel_multiplier) - 1)
        self.prepare = functools.partial(square, size=self.size)

    @functools.cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.vq, self.size)

    @property
    def decoder_fingerprint(self) -> str:
        return self.fingerprint  # which is of both directions

    def encode(self, images: Sequence[PIL.Image.Image]) -> np.ndarray:
        return in_batches(self._encode, images, max(1, BATCH_PIXELS // self.size**2))

    @torch.no_grad()
    def _encode(self, images: Sequence[PIL.Image.Image]) -> np.ndarray:
        """The nearest codes by angle, as the tokenizer was trained (codebook_l2_norm in the authors' vq_model.py).

        transformers' own encode compares lengths too, which gives other codes.
        """
        squares = np.stack([np.asarray(square(image, self.size), dtype=np.float32) for image in images])
        pixels = torch.from_numpy(squares / 127.5 - 1).permute(0, 3, 1, 2).to(self.vq.device)
        self.vq.train(False).float()  # independent of the type of the rest of the model
        latent = normalize(self.vq.quant_conv(self.vq.encoder(pixels)), dim=1)
        codebook = normalize(self.vq.quantize.embedding.weight, dim=-1)
        codes: np.ndarray = torch.einsum("ncij,kc->nijk", latent, codebook).argmax(-1).cpu().numpy().astype(np.uint16)
        return codes

    @torch.no_grad()
    def decode(self, codes: np.ndarray) -> PIL.Image.Image:
        flat = torch.from_numpy(codes.astype(np.int64)).reshape(1, -1).to(self.vq.device)
        pixels = self.vq.train(False).float().decode(flat)[0].permute(1, 2, 0)
        return PIL.Image.fromarray(((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy())
