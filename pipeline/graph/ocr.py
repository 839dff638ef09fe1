"""The stage that reads the text in images, if the configuration asks for it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.config import Ocr
from pipeline.graph.transforms import Step
from pipeline.ocr import version
from pipeline.run import Run, image_store
from pipeline.storage.store import Store, content_key
from schemas.errors import UserError
from schemas.records import StoredDocument, StoredImage

if TYPE_CHECKING:
    from pipeline.ocr.reader import Reader


def read_images(run: Run) -> Step[list[StoredDocument], list[StoredDocument]]:
    """Read the text in the images of a batch of documents; texts are cached by image and engine.

    Raises UserError if the engine is not installed, or the configuration does not ask for it.
    """
    limits, engine = _engine(run)
    cache, images = Store(run.store("ocr")), image_store(run)
    reader: Reader | None = None
    counts = {"read": 0, "with_text": 0, "from_cache": 0}

    def step(documents: list[StoredDocument]) -> list[StoredDocument]:
        nonlocal reader
        hashes = dict.fromkeys(image.sha256 for document in documents for image in document.images)
        keys = {sha256: _key(engine, sha256) for sha256 in hashes}
        texts = _kept(cache, keys)
        missing = [sha256 for sha256 in hashes if sha256 not in texts]
        counts["from_cache"] += len(texts)
        if missing:
            if reader is None:
                from pipeline.ocr.reader import Reader

                reader = Reader(limits.side, limits.boxes)
            for sha256, text in reader.read_all(missing, images.open).items():
                texts[sha256] = text
                cache.write(keys[sha256], json.dumps(text, ensure_ascii=False).encode())
                counts["read"] += 1
                counts["with_text"] += bool(text)
        return [_with_texts(document, texts) for document in documents]

    return Step(step, lambda: reader.close() if reader else None, lambda: counts)


def kept_texts(run: Run) -> Callable[[StoredDocument], StoredDocument | None]:
    """A function that gives a document the texts that were read in its images before; None if one is not kept.

    Raises UserError as `read_images` does.
    """
    (_, engine), cache = _engine(run), Store(run.store("ocr"))

    def with_kept(document: StoredDocument) -> StoredDocument | None:
        keys = {image.sha256: _key(engine, image.sha256) for image in document.images}
        texts = _kept(cache, keys)
        return _with_texts(document, texts) if len(texts) == len(keys) else None

    return with_kept


def _engine(run: Run) -> tuple[Ocr, str]:
    """The configuration's limits, and the engine's version with them."""
    limits = run.config.ocr
    if limits is None:
        raise UserError("the configuration has no `ocr`, so no images are read.")
    try:
        return limits, version(limits.side, limits.boxes)
    except ModuleNotFoundError as error:
        raise UserError(
            f"`ocr` in the configuration needs {error.name or 'an OCR engine'}: pip install 'leafinstruct[ocr]'."
        ) from error


def _key(engine: str, sha256: str) -> str:
    return content_key("ocr", engine, sha256)


def _kept(cache: Store, keys: dict[str, str]) -> dict[str, str]:
    """Image hash -> text, of those that are in the cache."""
    return {sha256: text for sha256, key in keys.items() if isinstance(text := cache.read_json(key), str)}


def _with_texts(document: StoredDocument, texts: dict[str, str]) -> StoredDocument:
    segments = tuple(
        dataclasses.replace(s, ocr=texts[s.sha256]) if isinstance(s, StoredImage) else s for s in document.segments
    )
    return dataclasses.replace(document, segments=segments)
