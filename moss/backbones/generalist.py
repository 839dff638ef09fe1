"""The few methods that training, evaluation and generation need of a model that reads and writes text and images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import PIL.Image
from peft import PeftModel
from torch import Tensor, cat, int32, nn
from torch.nn.functional import cross_entropy, linear
from transformers import Cache
from transformers.utils.generic import is_flash_attention_requested

from moss.batch import Batch
from moss.layout import ImageLayout
from schemas.errors import UserError


class TextTokenizer(Protocol):
    """Converts text to token ids and back; `bos`, `eos` and `pad` are ids."""

    bos: int
    eos: int
    pad: int

    @property
    def fingerprint(self) -> str:
        """A text that changes if the same text would give other ids."""

    def encode(self, text: str) -> list[int]:
        """The ids of plain text, without special tokens, even if the text contains the name of one."""

    def decode(self, ids: Sequence[int]) -> str: ...


class Pixels(Protocol):
    """Converts images to what the model reads, and back.

    It may also have `prepare`, a plain function that brings an image to the size that `encode` wants, and that changes
    nothing about its codes: worker processes call it on what they have decoded.
    """

    @property
    def fingerprint(self) -> str:
        """A text that changes if the same image would give other codes."""

    @property
    def decoder_fingerprint(self) -> str:
        """A text that changes if the same codes would give another picture."""

    def encode(self, images: Sequence[PIL.Image.Image]) -> np.ndarray:
        """Codes, uint16 (N, rows, columns), or vectors, float16 (N, rows, columns, c)."""

    def decode(self, codes: np.ndarray) -> PIL.Image.Image:
        """The picture of one image's codes or vectors."""


class TokenScores(NamedTuple):
    """One number for each target of a batch, float32: T for text, I for images; surplus targets included (see Batch).

    loss: cross-entropy in nats (squared error, mean over c, for vectors). hit: 1.0 where the most likely token is
    right (cosine for vectors). log_z: log of the softmax's denominator, which a z-loss keeps near 0.
    """

    text_loss: Tensor
    text_hit: Tensor
    text_log_z: Tensor
    image_loss: Tensor
    image_hit: Tensor
    image_log_z: Tensor


class Generalist(nn.Module):
    """A transformers model whose image tokens are ids of its own vocabulary (Chameleon, Emu3).

    `model` is what adapters are put on: `generalist.model = get_peft_model(generalist.model, config)`. Its core (the
    part before the output layer) is called directly, so that no library masks image logits and the large output layer
    runs at targets alone. Other backbones override `hidden`, `text_logits`, `image_logits` and `image_scores`.
    """

    pixels: Pixels | None

    def __init__(
        self,
        name: str,
        model: nn.Module,
        layout: ImageLayout,
        tokenizer: TextTokenizer,
        pixels: Pixels | None,
        target_modules: str,
    ) -> None:
        super().__init__()
        self.name, self.model, self.layout, self.tokenizer = name, model, layout, tokenizer
        self.target_modules = target_modules  # regular expression of the language model's linear layers
        object.__setattr__(self, "pixels", pixels)  # not a submodule: neither trained, saved nor sharded with the rest

    @property
    def plain_model(self) -> Any:
        """The transformers model itself, without PEFT's wrapper if there is one.

        Its type is Any, because what a backbone uses of its own class (heads, embeddings, image tokenizer) has no
        common type.
        """
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    @property
    def core(self) -> Any:
        """The part of `plain_model` before its output layer."""
        return getattr(self.plain_model, self.plain_model.base_model_prefix)

    @property
    def context_length(self) -> int | None:
        """The most tokens of one sequence that the model can hold; None if there is no limit."""
        length: int | None = getattr(self.plain_model.config.get_text_config(), "max_position_embeddings", None)
        return length

    def hidden(
        self,
        ids: Tensor,
        positions: Tensor | None = None,
        vectors: Tensor | None = None,
        cache: Cache | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """The last hidden states (B, L, d) of ids (B, L).

        With a transformers cache, the ids continue the sequence in it. mask: int64 (B, so far + L), 0 where a row is
        padded on the left.
        """
        return self.run_core(positions, cache, mask, input_ids=ids)

    def hidden_of(
        self, embedded: Tensor, ids: Tensor, positions: Tensor | None, cache: Cache | None, mask: Tensor | None
    ) -> Tensor:
        """As `hidden`, for a backbone that has embedded the ids itself: `embedded` (B, L, d).

        Adapters get the ids too, because they route by them.
        """
        routed = {"moss_ids": ids} if hasattr(self.core, "moss_router") else {}
        return self.run_core(positions, cache, mask, inputs_embeds=embedded, **routed)

    def run_core(self, positions: Tensor | None, cache: Cache | None, mask: Tensor | None, **inputs: Any) -> Tensor:
        """The last hidden states (B, L, d) of the core, called as transformers calls it.

        Samples in a row are kept apart by the mask that transformers makes of positions that begin again. Flash
        attention has no mask and gets their lengths instead.
        """
        if positions is not None and cache is None and mask is None and self._flash:
            inputs |= sample_lengths(positions)
        found: Tensor = self.core(
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
            **inputs,
        ).last_hidden_state
        return found

    @property
    def _flash(self) -> bool:
        return bool(is_flash_attention_requested(self.core.get_decoder().config))

    def text_logits(self, hidden: Tensor) -> Tensor:
        """(N, d) -> (N, vocabulary), with image tokens if they are in the vocabulary."""
        logits: Tensor = self.plain_model.lm_head(hidden)
        return logits

    def image_logits(self, hidden: Tensor) -> Tensor:
        """(N, d) -> (N, codes).

        Only the image tokens' part of the vocabulary, which is 6 to 8 times smaller than all of it.
        """
        head = self.plain_model.lm_head
        bias = None if head.bias is None else head.bias[self.layout.low : self.layout.high]
        weight = head.weight[self.layout.low : self.layout.high]
        return linear(hidden.to(weight.dtype), weight, bias)  # a trained head is in float32

    def image_scores(self, hidden: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(I, d) and targets -> loss, hit, log_z, each (I,)."""
        return _scores(self.image_logits(hidden), target)

    def forward(self, batch: Batch) -> TokenScores:
        hidden = self.hidden(batch.ids, batch.positions, batch.vectors).flatten(0, 1)
        text = _scores(self.text_logits(hidden[batch.text_at]), batch.text_target)
        image = self.image_scores(hidden[batch.image_at], batch.image_target)
        return TokenScores(*text, *image)


def sample_lengths(positions: Tensor) -> dict[str, Any]:
    """What flash attention needs of positions (B, L) that are 0 where a sample begins, under transformers' names.

    transformers would find it only for a single row, and where the model hands positions on (Chameleon does not);
    elsewhere samples would see each other.
    """
    flat = positions.flatten()
    starts = (flat == 0).nonzero().flatten()
    bounds = cat([starts, starts.new_tensor([len(flat)])]).to(int32)
    longest = int(bounds.diff().max())
    return {"cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds, "max_length_q": longest, "max_length_k": longest}


def pixels_of(generalist: Generalist) -> Pixels:
    """The image tokenizer of a generalist. Raises UserError if the checkpoint was loaded without one."""
    if generalist.pixels is None:
        raise UserError(
            f"the backbone {generalist.name} was loaded without an image tokenizer; give its checkpoint with one"
        )
    return generalist.pixels


def _scores(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logits = logits.float()
    loss = cross_entropy(logits, target, reduction="none")
    return loss, (logits.argmax(-1) == target).float(), logits.logsumexp(-1)
