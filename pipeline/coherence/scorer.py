"""Text-image coherence with open_clip, for many documents at once.

Each distinct image and sentence of a call is encoded once, in batches across documents. Batches have a few fixed shapes
(the last one is padded with copies, sentences are padded to a multiple of 16 tokens), because a matrix product rounds
differently for another shape. So a score depends only on its image and its sentence, not on the rest of the batch, and
any number of workers computes the same scores.
"""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import PIL.Image
import torch

from pipeline.coherence.fold_batchnorm import fold
from pipeline.coherence.model import TextTower, load
from pipeline.coherence.places import Place, match, places
from pipeline.coherence.version import clip_format, clip_version, device
from pipeline.coherence.witness import Measures, joined
from pipeline.coherence.words import at_place, in_image, shared
from pipeline.config import Ocr
from schemas.records import Coherence, StoredDocument

REMEMBERED = 16_384
"""The number of vectors that a scorer keeps between calls: 16 MB with the embedded model's 256 dimensions, 48 MB with
ViT-L/14's 768."""

TOKENS = {"cpu": 512, "cuda": 256}
"""The number of tokens in a text batch for each image of an image batch. With 4 images, this is the fastest on a CPU:
with half as many tokens, a token takes 1.15 times as long. With 128 documents, about 5 % of the rows are padding."""

THREADS = torch.get_num_threads()
"""The number of batches that are processed at the same time, each in one thread on one core. On two cores the embedded
model is about 1.25 times as fast as with one batch at a time on both, and gives the same vectors. Set at import,
because the threads change what torch returns."""

_ANY_PICTURE = PIL.Image.radial_gradient("L").convert("RGB")

OpenImage = Callable[[str], PIL.Image.Image]
Item = TypeVar("Item")


class PendingBatch(NamedTuple):
    """Known vectors by name, batches of names, and the vectors [batch, width] of these batches, in the same order."""

    kind: str
    found: dict[str, np.ndarray]
    batches: list[list[str]]
    vectors: Iterator[np.ndarray]


class Scorer:
    """An open_clip model that scores documents, on a GPU if there is one. Threads may share it.

    model, pretrained: as in open_clip, a name and a tag (or a file), or `local-dir:FOLDER` and None. dtype: the number
    format ("auto": bfloat16 if it is fast here). batch_size: images in a batch, by default 64 on a GPU and 4 on a CPU
    (the fastest: more do not fit into its cache); a batch of sentences has `TOKENS` times as many tokens. It is halved
    if there is not enough memory. ocr: the weights of text in images; None: it does not count. Raises UserError if the model cannot be loaded.
    """

    def __init__(
        self,
        model: str,
        pretrained: str | None = None,
        dtype: str = "auto",
        *,
        batch_size: int | None = None,
        ocr: Ocr | None = None,
    ):
        self.ocr = ocr
        self.version = clip_version(model, pretrained, dtype)
        self.device, self.dtype = device(), getattr(torch, clip_format(dtype).name)
        self.batch_size = batch_size or (64 if self.device == "cuda" else 4)
        self.model, self.preprocess, tokenizer = load(model, pretrained)
        self.model.visual = fold(self.model.visual, self.preprocess(_ANY_PICTURE)[None])
        *self._shape, _, self._normalise = self.preprocess.transforms  # between them: to numbers from 0 to 1
        self.model.to(self.device, self.dtype, memory_format=torch.channels_last)
        self.text_tower = TextTower(self.model, tokenizer)
        self._keeping = threading.Lock()
        self._vectors: collections.OrderedDict[tuple[str, str], np.ndarray] = collections.OrderedDict()
        self._executor = concurrent.futures.ThreadPoolExecutor(THREADS, "clip", torch.set_num_threads, (1,))
        self._turns = threading.Semaphore(1 if self.device == "cuda" else THREADS)

    def score(self, documents: Sequence[StoredDocument], open_image: OpenImage) -> list[Coherence]:
        """The coherence of each document; `open_image` opens an image by its sha256.

        An image without text next to it has cosines of 0.
        """
        return [self._coherence(found) for found in self.measure(documents, open_image)]

    def measure(self, documents: Sequence[StoredDocument], open_image: OpenImage) -> list[Measures]:
        """The measures of each document's images and their positions, before they are combined into scores."""
        hashes = [[image.sha256 for image in document.images] for document in documents]
        slots = [places(document) for document in documents]
        reads = [[" ".join((image.ocr or "").split()) for image in document.images] for document in documents]
        pending_images = self._begin_images(itertools.chain.from_iterable(hashes), open_image)
        pending_texts = self._begin_texts(
            itertools.chain(
                (sentence for own in slots for slot in own for sentence in slot.sentences),
                (text for own in reads for text in own if text),
            )
        )
        images, texts = self._end(pending_images), self._end(pending_texts)
        return [
            measures([images[sha256] for sha256 in own_images], own_slots, own_reads, texts)
            for own_images, own_slots, own_reads in zip(hashes, slots, reads, strict=True)
        ]

    def image_vectors(self, hashes: Iterable[str], open_image: OpenImage) -> dict[str, np.ndarray]:
        """Image hash -> unit vector, float32."""
        return self._end(self._begin_images(hashes, open_image))

    def text_vectors(self, texts: Iterable[str]) -> dict[str, np.ndarray]:
        """Sentence -> unit vector, float32; sentences longer than the model's context are truncated, with end token."""
        return self._end(self._begin_texts(texts))

    def forget(self) -> None:
        """Drop the vectors kept from earlier calls."""
        self._vectors.clear()

    def _pixels(self, picture: PIL.Image.Image) -> torch.Tensor:
        """open_clip's preprocessing as far as 8-bit pixels; the rest is done for a whole batch, on the device."""
        for transform in self._shape:
            picture = transform(picture)
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)

    def _encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        pixels = self._normalise(pixels.float().div_(255)).to(self.dtype)
        vectors: torch.Tensor = self.model.encode_image(pixels.contiguous(memory_format=torch.channels_last))
        return vectors

    def _begin_images(self, hashes: Iterable[str], open_image: OpenImage) -> PendingBatch:
        """Start to decode and encode the images whose vectors are not known."""

        def encode(batch: list[str]) -> np.ndarray:
            rows = torch.stack([self._pixels(open_image(sha256)) for sha256 in batch])
            return self._encode(self._encode_images, rows, 1)

        found, missing = self._remembered("image", hashes)
        batches = _batches(missing, self.batch_size)
        return PendingBatch("image", found, batches, self._executor.map(encode, batches))

    def _begin_texts(self, texts: Iterable[str]) -> PendingBatch:
        """Tokenise the sentences whose vectors are not known, and start to encode them."""

        def encode(rows: list[torch.Tensor]) -> np.ndarray:
            return self._encode(self.text_tower.encode, torch.stack(rows), TOKENS[self.device] / len(rows[0]))

        found, missing = self._remembered("text", texts)
        batches = [
            dict(batch)
            for length, tokens in self.text_tower.tokens(missing).items()
            for batch in _batches(list(tokens.items()), self._rows(TOKENS[self.device] / length))
        ]
        return PendingBatch(
            "text",
            found,
            [list(batch) for batch in batches],
            self._executor.map(encode, [list(batch.values()) for batch in batches]),
        )

    def _end(self, pending: PendingBatch) -> dict[str, np.ndarray]:
        for names, vectors in zip(pending.batches, pending.vectors, strict=True):
            pending.found.update(self._remember(pending.kind, names, vectors))
        return pending.found

    def _rows(self, share: float) -> int:
        return max(1, int(self.batch_size * share))

    @torch.inference_mode()
    def _encode(self, encode: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor, share: float) -> np.ndarray:
        """Unit vectors of the rows; the model always gets `batch_size * share` rows, padded with copies."""
        batch_size, size, made = self.batch_size, self._rows(share), []
        try:
            with self._turns:
                for part in rows.split(size):
                    filled = torch.cat([part, part[:1].expand(size - len(part), *part.shape[1:])])
                    vectors = encode(filled.to(self.device))[: len(part)].float()
                    made.append(torch.nn.functional.normalize(vectors, dim=-1).cpu())
            return torch.cat(made).numpy()
        except torch.OutOfMemoryError:
            if batch_size == 1:
                raise
        self.batch_size = min(self.batch_size, batch_size // 2)  # another thread may have halved it
        torch.cuda.empty_cache()
        return self._encode(encode, rows, share)

    def _remembered(self, kind: str, names: Iterable[str]) -> tuple[dict[str, np.ndarray], list[str]]:
        """The known vectors, and the distinct other names in the order of their first use."""
        found, missing = {}, []
        with self._keeping:
            for name in dict.fromkeys(names):
                if (kind, name) in self._vectors:
                    self._vectors.move_to_end((kind, name))
                    found[name] = self._vectors[kind, name]
                else:
                    missing.append(name)
        return found, missing

    def _remember(self, kind: str, names: list[str], vectors: np.ndarray) -> dict[str, np.ndarray]:
        made = dict(zip(names, vectors, strict=True))
        with self._keeping:
            self._vectors.update({(kind, name): vector for name, vector in made.items()})
            while len(self._vectors) > REMEMBERED:
                self._vectors.popitem(last=False)
        return made

    def _coherence(self, found: Measures) -> Coherence:
        if not len(found.clip):
            return Coherence((), (), (), None, None, self.version)
        return coherence(joined(found, self.ocr), found.alike, found.apart, self.version)


def measures(
    images: Sequence[np.ndarray], slots: Sequence[Place], reads: Sequence[str], texts: Mapping[str, np.ndarray]
) -> Measures:
    """The measures, from the unit vectors of images, the place of each, the text in each, and the vectors of texts."""
    has_text = np.array([bool(read) for read in reads], dtype=bool)
    if not images:
        return Measures(*(np.zeros((0, 0)),) * 4, has_text, np.zeros((0, 0), dtype=bool))
    stack = np.stack(images)
    read = np.stack([texts[text] if text else np.zeros_like(images[0]) for text in reads])
    shown, beside = [in_image(text) if text else None for text in reads], [at_place(slot) for slot in slots]
    return Measures(
        _matched(stack, slots, texts),
        _matched(read, slots, texts),
        np.array([[shared(image, place) if image else 0.0 for place in beside] for image in shown]),
        stack @ stack.T,
        has_text,
        np.array([[one.sentences != other.sentences for other in slots] for one in slots]),
    )


def _matched(vectors: np.ndarray, slots: Sequence[Place], texts: Mapping[str, np.ndarray]) -> np.ndarray:
    """[vector, slot]: how well they match, 0 for a slot without a sentence."""
    matched = [
        match(vectors @ np.stack([texts[s] for s in slot.sentences]).T, slot.weights)
        if slot.sentences
        else np.zeros(len(vectors))
        for slot in slots
    ]
    return np.stack(matched, axis=1)


def _batches(items: list[Item], size: int) -> list[list[Item]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def coherence(scores: np.ndarray, alike: np.ndarray, apart: np.ndarray, model: str) -> Coherence:
    """The coherence of one document, from scores[image, place], and of images and their places alike and apart; n x n.

    The baseline is the mean over all pairs of an image and the place of another, if that has another text. If all images
    stand at one place, there is none. Equal scores count as a hit in recall.
    """
    n = len(scores)
    own, others = np.diagonal(scores), apart.sum(axis=1)
    other = np.where(others > 0, (scores * apart).sum(axis=1) / np.maximum(others, 1), own)
    previous = [-1.0, *(alike[i, :i].max() for i in range(1, n))]
    matched, mismatched, similarity = (tuple(round(float(x), 4) for x in values) for values in (own, other, previous))
    margin = recall = None
    if apart.any():
        margin = round(sum(matched) / n - sum(mismatched) / n, 4)
        recall = round(float((own >= scores.max(axis=1)).mean()), 4)
    return Coherence(matched, mismatched, similarity, margin, recall, model)
