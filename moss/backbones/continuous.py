"""An Emu2-like backbone (Emu2: arXiv 2312.13286): any causal language model that reads and writes images as vectors.

An image is 64 vectors, 8 x 8 in raster order, between a begin and an end token. `up` puts a vector into the model in
place of a token's embedding; `down` predicts the next vector from a hidden state, by regression. Emu2 itself is
the backbone `emu2`. Here `up`, `down` and the two new tokens are new weights, `Continuous.extra`: the base model and
its vocabulary stay as they are, and `extra` has to be trained and saved beside the adapters.

Any folder that AutoModelForCausalLM reads will do if the model neither scales nor caps its logits, as Granite, Cohere
and Gemma 2 do. Its own licence holds; SmolLM2's is Apache-2.0:

    hf download HuggingFaceTB/SmolLM2-360M --local-dir checkpoints/continuous
    python -m moss.train --config configs/moss_continuous.yaml --set backbone.path=checkpoints/continuous

Not run with a large model here. Its Pixels decide which vectors an image has: `PatchPixels` are the pixels of patches,
small but exact in both directions; `ClipPixels` are features of a vision tower, which need a decoder such as Emu2-Gen's
to become an image again (none is included).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cosine_similarity, mse_loss
from transformers import (
    AutoModelForCausalLM,
    Cache,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from moss.backbones.generalist import Generalist
from moss.backbones.hub import (
    HubText,
    byte_tokenizer,
    check_folder,
    check_logits,
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
from schemas.images import opaque

GRID = 8  # Emu2's 8 x 8 vectors
BATCH = 64  # images that go through a vision tower at a time


def load(
    path: Path | str,
    *,
    dtype: torch.dtype = torch.float32,
    clip: str | None = None,
    clip_weights: str | None = None,
    extra: Path | str | None = None,
) -> Continuous:
    """Load a causal language model from its folder.

    clip, clip_weights: an open_clip model and its weights (a file or open_clip's name for them); without them, images
    are `PatchPixels`. extra: a safetensors file of `Continuous.extra`; without it, these weights are new, and the same
    every time. Raises UserError for a folder or a model that does not fit.
    """
    folder = check_folder(path)
    model = pretrained(AutoModelForCausalLM, folder, dtype=dtype, layers="model.layers")
    pixels = clip_pixels(clip, clip_weights) if clip else PatchPixels()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # every process of a run starts with the same new weights
        generalist = Continuous(model, load_tokenizer(folder), pixels)
    if extra is not None:
        generalist.extra.load_state_dict(safetensors.torch.load_file(extra))
    return generalist


def tiny(seed: int = 0) -> Continuous:
    """A model with random weights: an image of 32 pixels is 8 x 8 vectors of 48 numbers, text is bytes."""
    tokenizer = byte_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**tiny_decoder(tokenizer)))
        enlarge(model)
        return Continuous(model, tokenizer, PatchPixels())


class Continuous(Generalist):
    """A language model whose images are vectors.

    Three ids follow its vocabulary: begin and end of an image (embedded and predicted by `extra`), and the slot of a
    vector, which is never predicted as text. `extra` is kept in float32.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, pixels: PatchPixels | ClipPixels
    ) -> None:
        table = model.get_input_embeddings().weight
        head = model.get_output_embeddings().weight  # type: ignore[no-untyped-call]  # transformers
        assert isinstance(table, Tensor) and isinstance(head, Tensor)
        begin, end, slot = range(len(table), len(table) + 3)
        layout = ImageLayout(GRID, GRID, low=slot, high=slot + 1, begin=begin, end=end)
        super().__init__("continuous", model, layout, HubText(tokenizer, layout), pixels, linear_layers(model))
        check_logits(model)
        embedding_std, head_std = (w.detach().std().item() for w in (table, head))
        scaled = embedding_std * embedding_scale(model.get_input_embeddings())
        self.extra: Extra = new_weights(pixels.channels, table.shape[1], scaled, head_std)

    def hidden(
        self,
        ids: Tensor,
        positions: Tensor | None = None,
        vectors: Tensor | None = None,
        cache: Cache | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """As `Generalist.hidden`.

        vectors: float32 (slots in `ids`, c), in reading order; with a cache, only those of the current `ids`. Raises
        ValueError for another number of vectors.
        """
        table, slots = self.plain_model.get_input_embeddings(), ids == self.layout.low
        embedded = self.embed(table, ids)
        up = self.extra.up
        if vectors is None:  # `up` gets a zero gradient instead of none, which distributed training waits for
            vectors = up.weight.new_empty(0, up.in_features)
        if int(slots.sum()) != len(vectors):
            raise ValueError(f"{len(vectors)} vectors for {int(slots.sum())} image slots")
        embedded = embedded.masked_scatter(slots.unsqueeze(-1), up(vectors.to(up.weight.dtype)).to(embedded.dtype))
        return self.hidden_of(embedded, ids, positions, cache, mask)

    def text_logits(self, hidden: Tensor) -> Tensor:
        """(N, d) -> (N, vocabulary + 2): the begin and the end token of an image come last."""
        own, head = self.plain_model.get_output_embeddings()(hidden), self.extra.bound_head
        return torch.cat([own, head(hidden.to(head.weight.dtype)).to(own.dtype)], dim=-1)

    def embed(self, table: nn.Module, ids: Tensor) -> Tensor:
        """(B, L) -> (B, L, d); what stands in slots is replaced by `hidden`."""
        embedded: Tensor = table(ids.clamp(max=self.layout.begin - 1))
        bounds = self.extra.bounds((ids - self.layout.begin).clamp(0, 1)).to(embedded.dtype)
        return torch.where((ids >= self.layout.begin).unsqueeze(-1), bounds, embedded)

    def image_vectors(self, hidden: Tensor) -> Tensor:
        """(N, d) -> float32 (N, c): the next vectors."""
        down = self.extra.down
        vectors: Tensor = down(hidden.to(down.weight.dtype)).float()
        return vectors

    def image_logits(self, hidden: Tensor) -> Tensor:
        raise NotImplementedError("this backbone's images are vectors, not codes: ask image_vectors for them")

    def image_scores(self, hidden: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(I, d) and vectors (I, c) -> squared error (mean over c), cosine, and zeros for log_z, each (I,)."""
        predicted = self.image_vectors(hidden)
        target = target.float().reshape(len(predicted), -1).expand_as(predicted)  # zeros (I,) if there is no image
        loss = mse_loss(predicted, target, reduction="none").mean(-1)
        return loss, cosine_similarity(predicted.detach(), target, dim=-1), torch.zeros_like(loss)


class Extra(nn.Module):
    """The weights besides the language model.

    Projections of vectors into (`up`) and out of (`down`) it, and an image's begin and end tokens.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(channels, width), nn.Linear(width, channels)
        self.bounds, self.bound_head = nn.Embedding(2, width), nn.Linear(width, 2, bias=False)
        self.float()


def new_weights(channels: int, width: int, embedding_std: float, head_std: float) -> Extra:
    """Random `up`, `down` and image tokens, at the scale of the model's own embeddings for vectors of unit variance."""
    extra = Extra(channels, width)
    nn.init.normal_(extra.up.weight, std=embedding_std / channels**0.5)
    nn.init.zeros_(extra.up.bias)
    nn.init.normal_(extra.bounds.weight, std=embedding_std)
    nn.init.normal_(extra.bound_head.weight, std=head_std)
    return extra


@torch.no_grad()
def embedding_scale(embedding: nn.Module) -> float:
    """What an embedding multiplies its table's rows by: 1, or in Gemma the root of the width."""
    table = embedding.get_parameter("weight")
    some = torch.arange(min(len(table), 64), device=table.device)
    return float(embedding(some).float().norm() / table[some].float().norm())


def linear_layers(model: PreTrainedModel) -> str:
    """A regular expression of all linear layers before the output layer. Raises UserError if there are none."""
    prefix = model.base_model_prefix
    names = {
        name.rpartition(".")[2]
        for name, module in getattr(model, prefix).named_modules()
        if isinstance(module, nn.Linear)
    }
    if not names:
        raise UserError(
            f"{type(model).__name__} has no torch.nn.Linear layers for adapters (GPT-2's are Conv1D): "
            "choose a model such as SmolLM2"
        )
    return rf"{re.escape(prefix)}\..*\.({'|'.join(sorted(map(re.escape, names)))})"


class PatchPixels:
    """Images of 8 * patch pixels per side; a vector has the patch * patch * 3 pixel values of a patch, from -1 to 1.

    It is exact in both directions (float16 distinguishes all 256 levels), so good for tests and demos, but does not
    represent what an image shows.
    """

    def __init__(self, patch: int = 4) -> None:
        self.patch, self.channels = patch, patch * patch * 3
        self.fingerprint = self.decoder_fingerprint = f"patch-pixels-{patch}"
        self.prepare = functools.partial(square, size=GRID * patch)

    def encode(self, images: Sequence[PIL.Image.Image]) -> np.ndarray:
        pixels = np.stack([np.asarray(square(image, GRID * self.patch), dtype=np.float32) for image in images])
        patches = pixels.reshape(-1, GRID, self.patch, GRID, self.patch, 3).swapaxes(2, 3)
        return (patches.reshape(-1, GRID, GRID, self.channels) / 127.5 - 1).astype(np.float16)

    def decode(self, vectors: np.ndarray) -> PIL.Image.Image:
        pixels = (np.clip(vectors.astype(np.float32), -1, 1) + 1) * 127.5
        patches = pixels.reshape(GRID, GRID, self.patch, self.patch, 3).swapaxes(1, 2)
        return PIL.Image.fromarray(patches.reshape(GRID * self.patch, GRID * self.patch, 3).round().astype(np.uint8))


class ClipPixels:
    """The last layer's patch features of an open_clip vision tower, average-pooled to 8 x 8 as Emu2 does with EVA-CLIP.

    visual: the tower; preprocess: PIL image -> (3, H, W). Raises UserError for a tower of fewer than 8 x 8 patches.
    """

    def __init__(self, visual: nn.Module, preprocess: Callable[[PIL.Image.Image], Tensor]) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.visual, self.preprocess = visual.train(False).requires_grad_(False).to(device), preprocess
        rows, columns, self.channels = self.encode_raw([PIL.Image.new("RGB", (64, 64))]).permute(0, 2, 3, 1).shape[1:]
        if min(rows, columns) < GRID:
            raise UserError(
                f"the vision tower has {rows} x {columns} patches; choose one of at least 8 x 8, such as ViT-B-16"
            )

    @functools.cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.visual, str(self.preprocess))

    @property
    def decoder_fingerprint(self) -> str:
        return self.fingerprint  # there is no way back

    @torch.no_grad()
    def encode_raw(self, images: Sequence[PIL.Image.Image]) -> Tensor:
        """The features float32 (N, c, rows, columns), before pooling."""
        device = next(self.visual.parameters()).device
        pixels = torch.stack([self.preprocess(opaque(image)) for image in images]).to(device)
        features = self.visual.forward_intermediates(  # type: ignore[operator]  # a method of open_clip's towers
            pixels, indices=1, normalize_intermediates=True, intermediates_only=True
        )
        last: Tensor = features["image_intermediates"][-1].float()
        return last

    def encode(self, images: Sequence[PIL.Image.Image]) -> np.ndarray:
        return in_batches(self._encode, images, BATCH)

    def _encode(self, images: Sequence[PIL.Image.Image]) -> np.ndarray:
        pooled = adaptive_avg_pool2d(self.encode_raw(images), GRID)
        vectors: np.ndarray = pooled.permute(0, 2, 3, 1).cpu().numpy().astype(np.float16)
        return vectors

    def decode(self, vectors: np.ndarray) -> PIL.Image.Image:
        raise UserError(
            "a vision tower's features cannot be turned back into pixels here: that needs a decoder "
            "trained for them, such as Emu2-Gen's. Evaluate losses with this backbone, or use PatchPixels"
        )


def clip_pixels(name: str, weights: str | None) -> ClipPixels:
    """The vision tower of an open_clip model as Pixels. Raises UserError if it or its weights cannot be loaded."""
    import open_clip

    try:
        model, preprocess = open_clip.create_model_from_pretrained(name, pretrained=weights)
    except (OSError, ValueError, RuntimeError, AssertionError) as error:
        raise UserError(
            f"backbone.clip: open_clip cannot load {name} with backbone.clip_weights {weights}: {error}"
        ) from error
    return ClipPixels(model.visual, preprocess)
