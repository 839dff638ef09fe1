"""The training data of the projections: images and texts of a corpus, as vectors of the two frozen towers."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import numpy as np
import PIL.Image
import torch
from tqdm import tqdm

from models import HELD_OUT
from pipeline import corpora
from pipeline.coherence import model as clip_model
from pipeline.coherence.places import places
from pipeline.coherence.version import clip_format
from pipeline.images.store import ImageStore
from schemas.records import Document

BATCH = 32


@dataclasses.dataclass(frozen=True)
class Item:
    """One image with its context.

    picture: the index of its vector. beside: the indices of the sentences next to it that the pipeline would compare it
    with (nearest first on each side). described: the indices of its alternative text and its caption, if there are any.
    """

    picture: int
    document: int
    source: str
    beside: tuple[int, ...]
    described: tuple[int, ...]

    @property
    def held_out(self) -> bool:
        """Whether its source is kept for evaluation."""
        return self.source in HELD_OUT


@dataclasses.dataclass(frozen=True)
class Features:
    """Items, and the towers' vectors of their images [n, 1280] and texts [m, 384], not normalised, float32."""

    items: list[Item]
    pictures: torch.Tensor
    texts: torch.Tensor

    @functools.cached_property
    def meanings(self) -> torch.Tensor:
        """The text vectors minus their mean, as unit vectors."""
        return torch.nn.functional.normalize(self.texts - self.texts.mean(dim=0), dim=-1)


def read(corpus: str, work: pathlib.Path) -> tuple[list[Item], list[str], list[str], ImageStore]:
    """Items, image hashes and texts of a corpus of the native format; its images are in the returned store."""
    store = ImageStore(str(work / "images"), max_side=1024, max_bytes=20_000_000, max_pixels=50_000_000)
    items: list[Item] = []
    hashes: dict[str, int] = {}
    texts: dict[str, int] = {}
    documents = [
        record
        for part in corpora.parts("native", corpus)
        for record in corpora.read(part)
        if isinstance(record, Document)
    ]
    for number, document in enumerate(tqdm(documents, "storing pictures")):
        for image, place in zip(document.images, places(document), strict=True):
            described = [text for text in (image.alt.strip(), image.caption.strip()) if text]
            items.append(
                Item(
                    hashes.setdefault(store.store(image).sha256, len(hashes)),
                    number,
                    document.source,
                    *(
                        tuple(texts.setdefault(text, len(texts)) for text in group)
                        for group in (place.sentences, described)
                    ),
                )
            )
    return items, list(hashes), list(texts), store


def features(corpus: str, work: pathlib.Path, model: str) -> Features:
    """The vectors of the whole corpus by the towers of the open_clip model, cached in `work` for the next run."""
    items, hashes, texts, store = read(corpus, work)
    path = work / "features.npz"
    if path.exists():
        kept = np.load(path)
        if list(kept["hashes"]) == hashes and list(kept["names"]) == texts:
            return Features(items, torch.tensor(kept["pictures"]), torch.tensor(kept["texts"]))
    towers = Towers(model)
    made = Features(items, towers.pictures(hashes, store.open), towers.texts(texts))
    work.mkdir(parents=True, exist_ok=True)  # the store may not have written yet
    np.savez(path, hashes=hashes, names=texts, pictures=made.pictures.numpy(), texts=made.texts.numpy())
    return made


class Towers:
    """The two towers without their projections, in bfloat16 if that is fast here."""

    def __init__(self, model: str):
        self.dtype = getattr(torch, clip_format().name)
        self.model, self.preprocess, tokenizer = clip_model.load(model, None)
        self.model.visual.head = self.model.text.proj = torch.nn.Identity()
        self.model.to(dtype=self.dtype, memory_format=torch.channels_last)
        self.text_tower = clip_model.TextTower(self.model, tokenizer)

    @torch.inference_mode()
    def pictures(self, hashes: list[str], open_image: Callable[[str], PIL.Image.Image]) -> torch.Tensor:
        """[hashes, width]: the image tower's vectors, float32."""
        made = []
        for batch in tqdm([hashes[i : i + BATCH] for i in range(0, len(hashes), BATCH)], f"pictures by {BATCH}"):
            pixels = torch.stack([self.preprocess(open_image(sha256)) for sha256 in batch]).to(self.dtype)
            made.append(self.model.encode_image(pixels.contiguous(memory_format=torch.channels_last)).float())
        return torch.cat(made)

    @torch.inference_mode()
    def texts(self, texts: list[str]) -> torch.Tensor:
        """[texts, width]: the text tower's vectors, float32."""
        made: dict[str, torch.Tensor] = {}
        groups = self.text_tower.tokens(texts).values()
        batches = [list(group.items())[i : i + BATCH] for group in groups for i in range(0, len(group), BATCH)]
        for batch in tqdm(batches, f"texts by {BATCH}"):
            vectors = self.text_tower.encode(torch.stack([tokens for _, tokens in batch])).float()
            made.update(zip((text for text, _ in batch), vectors, strict=True))
        return torch.stack([made[text] for text in texts])
