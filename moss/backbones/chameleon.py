"""Chameleon and Anole: one vocabulary for text and image codes, 32 x 32 codes for a picture of 512 pixels.

A checkpoint's folder is in transformers' format: config.json, model.safetensors (or shards of it), tokenizer.json, and
pixel_decoder.safetensors where pictures are to be drawn (see convert_anole.py). The weights that Meta and the Anole
authors publish are under Meta's Chameleon research licence. They were never run here.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import ChameleonConfig, ChameleonForConditionalGeneration, ChameleonVQVAEConfig
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.chameleon.modeling_chameleon import ChameleonImageVocabularyMapping, ChameleonVQVAE

from moss.backbones.chameleon_pixels import ChameleonPixels, grid_side
from moss.backbones.generalist import Generalist
from moss.backbones.hub import pretrained
from moss.backbones.pixel_decoder import PixelDecoder
from moss.layout import ImageLayout
from schemas.errors import UserError

BOS, PAD, EOS, UNKNOWN, END, BEGIN, PLACEHOLDER = "<s>", "<pad>", "</s>", "<unk>", "<eoss>", "<racm3:break>", "<image>"
TARGETS = r".*\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"
PIXEL_DECODER = "pixel_decoder.safetensors"


class ChameleonForInterleaved(ChameleonForConditionalGeneration):  # type: ignore[no-untyped-call]  # transformers
    """transformers' Chameleon without the mask on the logits of image tokens.

    So it can write images, and its loss is finite.

    transformers' own forward sets them to the lowest number at every call (5.23), and the loss of an image token is
    infinite then. The VQ tokenizer's weights stay in float32.
    """

    _keep_in_fp32_modules_strict = {"vqmodel"}

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        mm_encoder_outputs: dict[str, Any] | None = None,
        **more: Any,
    ) -> CausalLMOutputWithPast:
        # `generate` looks for pixel_values and mm_encoder_outputs among the arguments' names
        core = self.model(input_ids=input_ids, pixel_values=pixel_values, mm_encoder_outputs=mm_encoder_outputs, **more)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(core.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            # `more` has the Trainer's num_items_in_batch, without which accumulated gradients would be too large
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **more)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=core.past_key_values,
            hidden_states=core.hidden_states,
            attentions=core.attentions,
        )


class ChameleonText:
    """A tokenizer without special tokens, so that a text which contains the name of one stays text.

    The ids of special tokens are looked up by name, as Meta's own code does, and not taken from config.json: the
    defaults of transformers' config are Llama's ids.
    """

    def __init__(self, document: str) -> None:
        self.document = document
        self.fingerprint = hashlib.sha256(document.encode()).hexdigest()[:12]
        parsed = json.loads(document)
        added = {token["content"]: token["id"] for token in parsed["added_tokens"]}
        self.ids: dict[str, int] = parsed["model"]["vocab"] | added
        self.special = set(added.values()) | {n for name, n in self.ids.items() if name.startswith("IMGIMG")}
        self.tokenizer = Tokenizer.from_str(json.dumps(parsed | {"added_tokens": [], "post_processor": None}))
        self.bos, self.eos, self.pad = (self.id(name) for name in (BOS, EOS, PAD))

    def id(self, name: str) -> int:
        """The id of a token. Raises UserError if there is no such token."""
        if name not in self.ids:
            raise UserError(f"tokenizer.json has no token {name}; use that of a Chameleon or Anole checkpoint.")
        return self.ids[name]

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these ids; special tokens and image tokens are left out."""
        text: str = self.tokenizer.decode([int(n) for n in ids if int(n) not in self.special])
        return text


def load(path: Path | str, *, dtype: torch.dtype = torch.float32) -> Generalist:
    """The model in a checkpoint's folder, on the CPU. Raises UserError if something is missing or does not fit."""
    folder = Path(path)
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise UserError(f"{folder} has no {name}; name a folder in the format of transformers.")
    text = ChameleonText((folder / "tokenizer.json").read_text(encoding="utf-8"))
    model = pretrained(ChameleonForInterleaved, folder, dtype=dtype, layers="model.layers", local_files_only=True)
    decoder = None
    if (folder / PIXEL_DECODER).is_file():
        decoder = PixelDecoder(vq_config(model.config))
        weights = load_file(folder / PIXEL_DECODER)
        try:
            decoder.load_state_dict(weights)
        except RuntimeError as error:
            raise UserError(f"{folder / PIXEL_DECODER} does not fit vq_config of config.json: {error}") from error
    return generalist(model, text, decoder)


def save(trained: Generalist, folder: Path) -> None:
    """Write a folder that `load` reads. Adapters are left out: they are saved by PEFT."""
    text, pixels = trained.tokenizer, trained.pixels
    assert isinstance(text, ChameleonText) and isinstance(pixels, ChameleonPixels), "not a Chameleon"
    trained.plain_model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(text.document, encoding="utf-8")
    if pixels.decoder is not None:
        save_file(pixels.decoder.cpu().state_dict(), folder / PIXEL_DECODER)
        pixels.decoder.to(pixels.device)


def generalist(model: ChameleonForInterleaved, text: ChameleonText, decoder: PixelDecoder | None) -> Generalist:
    """Combine the parts. The model's own copy of the VQ tokenizer is frozen, and not used in a forward pass."""
    layout = image_layout(model.config, text)
    vq = model.model.vqmodel
    assert isinstance(vq, ChameleonVQVAE)
    pixels = ChameleonPixels(copy.deepcopy(vq), decoder, codebook_numbers(model.config))
    torch.nn.Module.to(vq, model.dtype).requires_grad_(False)
    model.eval()  # type: ignore[no-untyped-call]  # transformers
    return Generalist("chameleon", model, layout, text, pixels, TARGETS)


def image_layout(config: ChameleonConfig, text: ChameleonText) -> ImageLayout:
    """The layout of an image in the model's token sequence. Raises UserError if config.json and tokenizer.json disagree."""
    ids = vocabulary_mapping(config).image_tokens
    if not ids or ids != list(range(ids[0], ids[0] + vq_config(config).num_embeddings)):
        raise UserError(
            f"vocabulary_map of config.json names {len(ids)} image tokens (IMGIMG...); it takes "
            f"{vq_config(config).num_embeddings} with consecutive ids."
        )
    for name in (BEGIN, END):
        if (config.vocabulary_map or {}).get(name, text.id(name)) != text.id(name):
            raise UserError(
                f"{name} is {(config.vocabulary_map or {})[name]} in config.json and {text.id(name)} in "
                f"tokenizer.json; take both files from one checkpoint."
            )
    side = grid_side(vq_config(config))
    return ImageLayout(side, side, low=ids[0], high=ids[-1] + 1, begin=text.id(BEGIN), end=text.id(END))


def vq_config(config: ChameleonConfig) -> ChameleonVQVAEConfig:
    """The configuration of the image tokenizer. Raises UserError if config.json has none."""
    if not isinstance(config.vq_config, ChameleonVQVAEConfig):
        raise UserError("config.json has no vq_config; give the folder of a Chameleon or Anole checkpoint.")
    return config.vq_config


def vocabulary_mapping(config: ChameleonConfig) -> ChameleonImageVocabularyMapping:
    """transformers' reading of vocabulary_map: which ids are image tokens, and their codes."""
    return ChameleonImageVocabularyMapping(config.vocabulary_map or {})  # type: ignore[no-untyped-call]  # transformers


def codebook_numbers(config: ChameleonConfig) -> np.ndarray:
    """For each code its number in the codebook, int64 (codes,), which is part of its token's name."""
    named = vocabulary_mapping(config).bpe2img
    numbers = np.array([named[token] for token in sorted(named)], dtype=np.int64)
    if not np.array_equal(np.sort(numbers), np.arange(vq_config(config).num_embeddings)):
        raise UserError(
            f"The image tokens of config.json's vocabulary_map do not name the "
            f"{vq_config(config).num_embeddings} codes of the codebook, each once."
        )
    return numbers


def special_names(codes: int) -> list[str]:
    """Names with the ids 0, 1, ... in Chameleon's order. IMGIMGBCZ is code 12: digits are written as A to J."""
    images = ["IMGIMG" + "".join(chr(ord("A") + int(digit)) for digit in str(code)) + "Z" for code in range(codes)]
    return [BOS, PAD, EOS, UNKNOWN, *images, END, BEGIN, PLACEHOLDER]


def tiny(seed: int = 0) -> Generalist:
    """A model with random weights and 0.5M parameters: images of 32 pixels are 8 x 8 codes of 64, text is bytes."""
    names = special_names(64)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {name: n for n, name in enumerate(itertools.chain(names, alphabet))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(names)
    vq = ChameleonVQVAEConfig(
        embed_dim=32,
        num_embeddings=64,
        latent_channels=32,
        resolution=32,
        base_channels=32,
        channel_multiplier=[1, 1, 1],
        num_res_blocks=1,
    )
    config = ChameleonConfig(
        vocab_size=len(vocabulary),
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        vq_config=vq,
        vocabulary_map={name: n for n, name in enumerate(names)},
        pad_token_id=names.index(PAD),
        bos_token_id=names.index(BOS),
        eos_token_id=names.index(EOS),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, decoder = ChameleonForInterleaved(config), PixelDecoder(vq)
        vq_model = model.model.vqmodel
        assert isinstance(vq_model, ChameleonVQVAE)
        spread_codebook(vq_model)
        vq_model.post_quant_conv.load_state_dict(decoder.post_quant_conv.state_dict())
    return generalist(model, ChameleonText(tokenizer.to_str()), decoder)


@torch.no_grad()
def spread_codebook(vq: ChameleonVQVAE) -> None:
    """Set the codebook of random weights such that images get different codes.

    Its vectors become the encoder's outputs for random colours.
    """
    for layer in vq.encoder.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.reset_parameters()
    colours = torch.rand(16, 3, 4, 4) * 2 - 1
    pictures = torch.nn.functional.interpolate(colours, size=vq.config.resolution)
    vectors = vq.quant_conv(vq.encoder(pictures)).permute(0, 2, 3, 1).flatten(0, 2)
    vq.quantize.embedding.weight.copy_(vectors[torch.randperm(len(vectors))[: vq.config.num_embeddings]])
