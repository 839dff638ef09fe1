"""Gets the documents of a corpus for a command that works outside of the graph: after the rules, with stored images."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import prompts
from pipeline.coherence.damage import order
from pipeline.coherence.version import clip_version
from pipeline.config import Config, preset
from pipeline.graph import ocr, reading, stages
from pipeline.images.faults import ImageFault
from pipeline.run import Run
from pipeline.storage import remote
from schemas.errors import UserError
from schemas.records import Document, Drop, DroppedDocument, Provenance, ScoredDocument, StoredDocument

if TYPE_CHECKING:
    from pipeline.coherence.scorer import Scorer


def measured(config: Config, work: str, llm_name: str = "") -> Run:
    """A run that builds nothing, for commands that only measure.

    Its caches are in `work`, and its model server is the configuration's URL, if any. Raises UserError.
    """
    if not work.strip("/"):  # as by --work "$FOLDER" where there is no such variable
        raise UserError("--work must name a folder")
    work = remote.folder(work)
    clip = clip_version(config.clip.model, config.clip.pretrained, config.clip.dtype)
    provenance = Provenance("", "", clip, llm_name, "", "")
    loaded = prompts.load(config.prompts)
    return Run(config, preset(config), loaded, "", work, config.llm.url or "", llm_name, "", provenance)


def stored_documents(run: Run, most: int | None = None) -> list[StoredDocument]:
    """The documents that pass the text and header rules, with stored images.

    If the configuration has `ocr`, the text in the images is read too.

    most: the largest number of documents; those whose ids have the smallest hashes are taken. Documents whose images
    cannot be stored are left out: they say nothing about a model.
    """
    store_images = stages.store_images(run)
    passing = _passing(run)
    chosen = passing if most is None else heapq.nsmallest(most, passing, key=lambda document: order(document.id))
    found = []
    try:
        for document in chosen:
            with contextlib.suppress(ImageFault):
                stored = store_images(document).result()
                if isinstance(stored, StoredDocument):
                    found.append(stored)
    finally:
        store_images.close()
    return read(run, found) if run.config.ocr else found


def read(run: Run, documents: list[StoredDocument]) -> list[StoredDocument]:
    """The documents with the text in their images."""
    with contextlib.ExitStack() as stack:
        step = ocr.read_images(run)
        stack.callback(step.close)
        return step(documents)


def scoring(run: Run, scorer: Scorer | None = None) -> Callable[[Sequence[StoredDocument]], list[ScoredDocument]]:
    """The stage *Score coherence* for any number of documents; `scorer`: a model that is loaded already."""
    score, size = stages.score_coherence(run, scorer), run.config.clip.batch_documents
    return lambda documents: [
        one for at in range(0, len(documents), size) for one in score(list(documents[at : at + size]))
    ]


def excerpting(run: Run, headings: frozenset[bytes]) -> Callable[[ScoredDocument], ScoredDocument | Drop]:
    """The stages from *Filter coherence* to *Take excerpt* as one; `headings` are the keys of those that recur."""
    filter_coherence, filter_images = stages.filter_coherence(run), stages.filter_images(run)
    take_excerpt = stages.take_excerpt(run)

    def excerpt_of(document: ScoredDocument) -> ScoredDocument | Drop:
        coherent = filter_coherence(document)
        if isinstance(coherent, Drop):
            return coherent
        with_images = filter_images(coherent)
        if isinstance(with_images, DroppedDocument):
            return with_images.drop
        excerpt = take_excerpt((with_images, headings))
        return excerpt.drop if isinstance(excerpt, DroppedDocument) else excerpt

    return excerpt_of


def _passing(run: Run) -> Iterator[Document]:
    filter_text, filter_headers = stages.filter_text(run), stages.filter_headers(run)
    for record in reading.records(run):
        if not isinstance(record, Document) or not isinstance(passed := filter_text(record), Document):
            continue
        if isinstance(sized := filter_headers(passed), Document):
            yield sized
