"""From excerpts to what the generalist reads, and the subsets that it is trained on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import PIL.Image
from tqdm import tqdm

from moss.backbones.generalist import Generalist, pixels_of
from moss.batch import Sample
from moss.data import samples
from pipeline.coherence.damage import order
from pipeline.instances.assemble import assemble
from pipeline.launch.try_out import NO_SCORES
from pipeline.run import Run, image_store
from schemas.codec import key_of
from schemas.errors import RecordFault
from schemas.records import GeneratedInstruction, Instance, InstructedDocument, StoredDocument, StoredImage

LENGTH = 1024
"""The most tokens of a sample, and the tokens of a row."""
PART = 2 / 3
"""The share of the smallest pool that a subset has, so that every seed draws another one from every pool."""

Codes = Mapping[str, np.ndarray]
"""An image's hash -> its codes (rows, columns)."""
Pools = Mapping[str, Mapping[str, Sample]]
"""A subset's name -> document id -> the sample of what the subset has of the document."""


def encoded(run: Run, generalist: Generalist, excerpts: Iterable[StoredDocument]) -> Codes:
    """The codes of all images of the excerpts."""
    pixels, open_image = pixels_of(generalist), image_store(run).open
    hashes = iter(
        tqdm(sorted({image.sha256 for excerpt in excerpts for image in excerpt.images}), desc="encoding images")
    )
    found: dict[str, np.ndarray] = {}
    while some := list(itertools.islice(hashes, 64)):
        pictures: list[PIL.Image.Image] = [open_image(sha256) for sha256 in some]
        found.update(zip(some, pixels.encode(pictures), strict=True))
    return found


def instance_of(run: Run, excerpt: StoredDocument, instruction: str) -> Instance:
    """The instance without context: all of the excerpt is the output. Raises AssembleFault."""
    generated = GeneratedInstruction(instruction, "", 0)
    document = InstructedDocument.of(excerpt, coherence=NO_SCORES, ratings={}, generated=generated)
    return assemble(document, key=key_of(excerpt.id), context_free=1.0, min_words=1, salt="", provenance=run.provenance)


def sample_of(instance: Instance, codes: Codes, generalist: Generalist) -> Sample:
    """The tokens of an instance."""
    images = [codes[segment.sha256] for segment in instance.output if isinstance(segment, StoredImage)]
    return samples.sample(instance, np.stack(images), generalist.layout, generalist.tokenizer)


def fitting(
    run: Run, excerpts: Iterable[StoredDocument], instructions: Mapping[str, str], codes: Codes, generalist: Generalist
) -> dict[str, Sample]:
    """Document id -> the sample of its excerpt; those with more than `LENGTH` tokens are left out.

    A document's instruction is its title, unless `instructions` has another for its id.
    """
    found = {}
    for excerpt in excerpts:
        try:
            instance = instance_of(run, excerpt, instructions.get(excerpt.id, excerpt.title))
        except RecordFault:
            continue
        sample = sample_of(instance, codes, generalist)
        if len(sample.ids) <= LENGTH:
            found[excerpt.id] = sample
    return found


def size_of(pools: Pools) -> int:
    """The number of documents in every subset."""
    return int(PART * min(map(len, pools.values())))


def draw(pool: Mapping[str, Sample], size: int, seed: int) -> tuple[Sample, ...]:
    """The `size` samples whose documents' ids have the smallest hashes with the seed.

    So subsets of one seed differ in no more documents than the stages make them differ.
    """
    ids: Sequence[str] = sorted(pool, key=lambda id: order(str(seed), id))[:size]
    return tuple(pool[id] for id in ids)
