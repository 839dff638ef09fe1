"""Loading an open_clip model, and its text tower with little padding."""

from __future__ import annotations

import copy
import functools
import itertools
import threading
from typing import Any, Protocol

import torch_compat  # noqa: F401 - before open_clip, which imports torchvision

# isort: split
import open_clip
import torch
from open_clip.hf_model import HFTextEncoder

from pipeline.coherence.version import plain_errors


class Tokenizer(Protocol):
    """open_clip's tokenizer: texts to token ids [text, context_length], int64; None: the tokenizer's own length."""

    context_length: int

    def __call__(self, texts: list[str], context_length: int | None = None) -> torch.Tensor: ...


def load(model: str, pretrained: str | None) -> tuple[Any, Any, Tokenizer]:
    """The open_clip model in evaluation mode, its image preprocessing (torchvision's Compose) and its tokenizer.

    The first two have no types that are known here. Raises UserError.
    """
    with plain_errors(model, pretrained):
        made, _, preprocess = open_clip.create_model_and_transforms(model, pretrained=pretrained)
        return made.eval(), preprocess, open_clip.get_tokenizer(model)


class TextTower:
    """Makes tokens with as little padding as the model allows, and their vectors.

    A Hugging Face tower has a mask, so padding changes nothing. CLIP's own tower looks backwards only and takes its
    vector at the end token, so what follows it may be cut off. Any other tower gets its full length.
    """

    STEP, SHORT = 16, 32
    """Tokens. Lengths are multiples of STEP, so that there are few shapes."""

    def __init__(self, model: Any, tokenizer: Tokenizer):
        self.model, self.tokenizer = model, tokenizer
        self._tokenizing = threading.Lock()
        self.masked = isinstance(getattr(model, "text", None), HFTextEncoder)
        self.causal = (
            isinstance(model, open_clip.CLIP)
            and model.attn_mask is not None
            and model.text_pool_type in ("argmax", "eos")
        )
        self.pad = model.text.config.pad_token_id if self.masked else 0
        self._cut = functools.cache(self._shorter)

    def tokens(self, texts: list[str]) -> dict[int, dict[str, torch.Tensor]]:
        """Length -> the texts of that many tokens or up to 15 fewer -> their token ids (int64, of that length)."""
        context = self.tokenizer.context_length
        if not (self.masked or self.causal):
            return {context: self._tokenize(texts, context)}
        # Most sentences are short, and padding all of them to the full context costs more than asking some twice.
        found: dict[int, dict[str, torch.Tensor]] = {}
        for most in (self.SHORT, context):
            longer = []
            rows = self._tokenize(texts, min(most, context))
            for (text, row), used in zip(rows.items(), self._used(rows), strict=True):
                if used == len(row) < context:
                    longer.append(text)
                else:
                    length = min(-(-used // self.STEP) * self.STEP, context)
                    found.setdefault(length, {})[text] = row[:length]
            texts = longer
        return dict(sorted(found.items()))

    def _used(self, rows: dict[str, torch.Tensor]) -> list[int]:
        """The number of tokens up to the last one that is not padding."""
        if not rows:
            return []
        ids = torch.stack(list(rows.values()))
        used: list[int] = ((ids != self.pad) * torch.arange(1, ids.shape[1] + 1)).amax(dim=1).tolist()
        return used

    def _tokenize(self, texts: list[str], context: int) -> dict[str, torch.Tensor]:
        if not texts:
            return {}
        with self._tokenizing:  # Hugging Face's keep the length: another thread's would cut these texts
            return dict(zip(texts, self.tokenizer(texts, context_length=context), strict=True))

    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        """The vectors [batch, width] of token ids [batch, length]."""
        vectors: torch.Tensor = (self._cut(tokens.shape[1]) if self.causal else self.model).encode_text(tokens)
        return vectors

    def _shorter(self, length: int) -> Any:
        """The model with positions and mask for that many tokens.

        It shares the weights, and several threads may use it, which `torch.func.functional_call` does not allow.
        """
        tensors = itertools.chain(self.model.parameters(), self.model.buffers())
        cut = copy.deepcopy(self.model, {id(tensor): tensor for tensor in tensors})
        cut.positional_embedding = torch.nn.Parameter(self.model.positional_embedding[:length], requires_grad=False)
        cut.attn_mask = self.model.attn_mask[:length, :length]
        return cut
