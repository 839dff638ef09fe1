"""A few dropped documents of every rule, kept with their words and small pictures, so that people can judge the rule.

Kept are the PER_RULE documents whose hashed ids come first, whatever the order in which they are met: every run, with
any number of workers, ends with the same ones. They lie in `folder/<rule>/<hash>.json` (folder: `DIR/.work/dropped`).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable

import PIL.Image

from pipeline.report.pictures import jpeg
from pipeline.storage import uris
from pipeline.storage.store import write_bytes
from schemas.codec import Json
from schemas.outcome import Outcome
from schemas.records import Document, Image

PER_RULE = 4
MAX_TEXTS, MAX_IMAGES, MAX_CHARACTERS, THUMBNAIL = 4, 3, 600, 240
"""What a sample holds: paragraphs, pictures, characters of a paragraph, and pixels of a picture's longer side."""

OpenImage = Callable[[Image], PIL.Image.Image | None]
"""Gives the picture of an image segment, or None where it cannot be had (not stored, or gone)."""


def keep_sample(folder: str, document: Document, outcome: Outcome, open_image: OpenImage) -> None:
    """Write the document's sample if it is among the first of its rule so far. Those that it overtakes stay, and are
    not read; there are few of them (about PER_RULE times the logarithm of the number of documents)."""
    path = f"{folder}/{outcome.rule}/{rank(document.id)}.json"
    present = _first(f"{folder}/{outcome.rule}")
    if path in present or len(present) == PER_RULE and path > present[-1]:
        return
    sample = dropped_sample(document, outcome, open_image)
    write_bytes(path, json.dumps(sample, ensure_ascii=False).encode())


def dropped_sample(document: Document, outcome: Outcome, open_image: OpenImage) -> Json:
    """The beginning of a dropped document as plain JSON types, pictures as base64 of small JPEGs (None: not there)."""
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
    return {"id": document.id, "title": document.title, "source": document.source, "url": document.url,
            "stage": outcome.stage, "rule": outcome.rule, "texts": texts, "images": images, "segments": segments}


def read_samples(folder: str, rules: Iterable[str]) -> dict[str, Json]:
    """Document id -> sample, at most PER_RULE for each of the rules; fewer where a run kept fewer."""
    samples: dict[str, Json] = {}
    for rule in rules:
        for path in _first(f"{folder}/{rule}"):
            sample = json.loads(uris.read_bytes(path))
            samples[sample["id"]] = sample
    return samples


def rank(id_: str) -> str:
    """The hash that decides which documents are shown: evenly spread, and the same in every run."""
    return hashlib.blake2b(id_.encode(), digest_size=10, person=b"report").hexdigest()


def _first(folder: str) -> list[str]:
    return uris.find(folder, (".json",))[:PER_RULE]


def _image(image: Image, picture: PIL.Image.Image | None) -> Json:
    thumbnail = base64.b64encode(jpeg(picture, THUMBNAIL)).decode() if picture else None
    return {"type": "image", "alt": image.alt, "uri": image.uri, "width": image.width, "height": image.height,
            "thumbnail": thumbnail}
