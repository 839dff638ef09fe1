"""Examples of dropped documents for every rule, with text and small images, so that people can check the rule.

The STORED documents with the lowest hashes of their ids are stored, so every run ends with the same examples, with
any number of workers. They are in `folder/<rule>/<hash>.json` (folder: `WORK/dropped`). The report shows the first
PER_RULE of a rule, an audit takes from all of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable

import PIL.Image

from pipeline.report.pictures import jpeg
from pipeline.storage import uris
from pipeline.storage.files import write_bytes
from schemas.codec import Json
from schemas.outcome import Outcome
from schemas.records import Document, Image

PER_RULE, STORED = 4, 20
MAX_TEXTS, MAX_IMAGES, MAX_CHARACTERS, THUMBNAIL = 4, 3, 600, 240
"""The limits of an example: texts, images, characters of a text, and pixels of an image's longer side."""

OpenImage = Callable[[Image], PIL.Image.Image | None]
"""Returns the decoded image of an image segment, or None if it is not in the store."""


def keep_sample(
    folder: str,
    document: Document,
    outcome: Outcome,
    open_image: OpenImage,
    lowest: dict[str, list[str]] | None = None,
) -> None:
    """Write the document's example if its hash is among the lowest of its rule so far.

    `lowest` is what the caller keeps between its calls: the paths that were found, so that the folder is listed only
    for a document that may belong there.

    Examples that are no longer among the lowest are not deleted, but not read either; there are few of them (about
    STORED times the logarithm of the number of documents).
    """
    path = f"{folder}/{outcome.rule}/{rank(document.id)}.json"
    lowest = {} if lowest is None else lowest
    for look in (False, True):
        present = _first(f"{folder}/{outcome.rule}") if look else lowest.get(outcome.rule, [])
        if path in present or (len(present) == STORED and path > present[-1]):
            return
    lowest[outcome.rule] = sorted([*present, path])[:STORED]
    sample = dropped_sample(document, outcome, open_image)
    write_bytes(path, json.dumps(sample, ensure_ascii=False).encode())


def dropped_sample(document: Document, outcome: Outcome, open_image: OpenImage) -> Json:
    """The beginning of a dropped document as plain JSON types; images as base64 of small JPEGs (None: not stored)."""
    segments: list[Json] = []
    texts = images = 0
    for segment in document.segments:
        if isinstance(segment, Image):
            if images < MAX_IMAGES:
                segments.append(_image(segment, open_image(segment)))
            images += 1
        else:
            if texts < MAX_TEXTS:
                segments.append({"type": "text", "text": segment.text[:MAX_CHARACTERS]})
            texts += 1
    return {
        "id": document.id,
        "title": document.title,
        "source": document.source,
        "url": document.url,
        "stage": outcome.stage,
        "rule": outcome.rule,
        "texts": texts,
        "images": images,
        "segments": segments,
    }


def read_samples(folder: str, rules: Iterable[str], most: int = PER_RULE) -> dict[str, Json]:
    """Document id -> example, at most `most` for each of the rules."""
    samples: dict[str, Json] = {}
    for rule in rules:
        for path in _first(f"{folder}/{rule}")[:most]:
            sample = json.loads(uris.read_bytes(path))
            samples[sample["id"]] = sample
    return samples


def rank(id_: str) -> str:
    """The hash that decides which documents are shown: uniform, and the same in every run."""
    return hashlib.blake2b(id_.encode(), digest_size=10, person=b"report").hexdigest()


def _first(folder: str) -> list[str]:
    return uris.find(folder, (".json",))[:STORED]


def _image(image: Image, picture: PIL.Image.Image | None) -> Json:
    thumbnail = base64.b64encode(jpeg(picture, THUMBNAIL)).decode() if picture else None
    return {
        "type": "image",
        "alt": image.alt,
        "uri": image.uri,
        "width": image.width,
        "height": image.height,
        "thumbnail": thumbnail,
    }
