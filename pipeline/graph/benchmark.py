"""The step that keeps a benchmark out of the dataset."""

from __future__ import annotations

from filters.decontaminate import HASH_SIDE, image_hash
from pipeline.graph.transforms import Step
from pipeline.held_out import Index
from pipeline.run import Run, image_store
from schemas.records import Drop, DroppedDocument, StoredDocument


def decontaminate(run: Run) -> Step[StoredDocument, StoredDocument | DroppedDocument]:
    """Drop a document that has an id, a run of twelve words or an image of the benchmark."""
    assert run.config.decontaminate is not None
    index, images = Index(run.config.decontaminate), image_store(run)

    def step(document: StoredDocument) -> StoredDocument | DroppedDocument:
        hashes = (image_hash(images.open(image.sha256, HASH_SIDE)) for image in document.images)
        hit = index.hit(document, hashes)
        return (
            document
            if hit is None
            else DroppedDocument(
                document, Drop(f"benchmark_{hit.kind}", 1.0, 0.0), detail=f"repeats {hit.item}: {hit.match}"
            )
        )

    return Step(step)
