"""An instance as JSON and back, and the names that follow from its id."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from schemas.records import Coherence, Instance, Provenance, StoredImage, StoredSegment, Text

Json = dict[str, Any]
"""A JSON object as Python reads it."""

_SAME = ("id", "key", "instruction", "domain", "title", "source", "url", "license")


def key_of(id: str) -> str:
    """The name of an instance inside its shard: 20 hex digits, no dots (webdataset splits names at the first dot).

    >>> key_of("kitchen-lemonade")
    '8feba69b641746de6d73'
    """
    return hashlib.blake2b(id.encode(), digest_size=10).hexdigest()


def rank_of(id: str, salt: str) -> bytes:
    """The 16 bytes that instances are ordered by; each `salt` (at most 64 bytes) gives another fixed order.

    >>> sorted(["a", "b", "c"], key=lambda id: rank_of(id, "leafinstruct"))
    ['c', 'b', 'a']
    """
    return hashlib.blake2b(id.encode(), digest_size=16, key=salt.encode()).digest()


def shard_name(index: int) -> str:
    """The file name of the shard number `index`, counted from 0.

    >>> shard_name(12)
    'leafinstruct-00012.tar'
    """
    return f"leafinstruct-{index:05d}.tar"


def config_hash(config: Mapping[str, Any]) -> str:
    """The first 16 hex digits of the sha256 of a configuration as JSON with sorted keys.

    >>> config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


def to_json(instance: Instance) -> dict[str, Any]:
    """The instance as the dict that its .json member contains.

    Its image members are named 00.jpg, 01.png ... in reading order over context, then output. Raises ValueError for
    more than 100 images, which two digits cannot name.
    """
    images = [s for s in instance.context + instance.output if isinstance(s, StoredImage)]
    if len(images) > 100:
        raise ValueError(f"{instance.id} has {len(images)} images; an instance can name 100")
    names = iter([f"{i:02d}.{image.extension}" for i, image in enumerate(images)])
    coherence = instance.coherence
    return {
        **{name: getattr(instance, name) for name in _SAME},
        "context": [_segment(s, names) for s in instance.context],
        "output": [_segment(s, names) for s in instance.output],
        "scores": {
            "coherence": mean_coherence(coherence.matched),
            "margin": coherence.margin,
            "recall_at_1": coherence.recall_at_1,
            "matched": list(coherence.matched),
            "mismatched": list(coherence.mismatched),
            "max_previous_similarity": list(coherence.max_previous_similarity),
            "ratings": dict(instance.ratings),
        },
        "provenance": dataclasses.asdict(instance.provenance),
    }


def from_json(value: Mapping[str, Any]) -> Instance:
    """The instance in a dict as `to_json` makes it.

    An image's `uri` is its member's name, `coherence.model` is provenance.clip.
    """
    scores = value["scores"]
    return Instance(
        **{name: value[name] for name in _SAME},
        context=tuple(map(_read_segment, value["context"])),
        output=tuple(map(_read_segment, value["output"])),
        coherence=Coherence(
            tuple(scores["matched"]),
            tuple(scores["mismatched"]),
            tuple(scores["max_previous_similarity"]),
            scores["margin"],
            scores["recall_at_1"],
            value["provenance"]["clip"],
        ),
        ratings=dict(scores["ratings"]),
        provenance=Provenance(**value["provenance"]),
    )


def mean_margin(matched: Sequence[float], mismatched: Sequence[float]) -> float:
    """The mean of the matched cosines less the mean of the mismatched, to 4 decimals.

    >>> mean_margin([0.25, 0.3], [0.1, 0.2])
    0.125
    """
    return round(sum(matched) / len(matched) - sum(mismatched) / len(mismatched), 4)


def mean_coherence(matched: Sequence[float]) -> float:
    """The mean of the images' matched cosines, to 4 decimals: an instance's one number for coherence.

    >>> mean_coherence([0.25, 0.3])
    0.275
    """
    return round(sum(matched) / len(matched), 4)


def mean_rating(ratings: Mapping[str, float]) -> float:
    """The mean over the rating aspects, to 4 decimals.

    >>> mean_rating({"fluency": 5.0, "completeness": 4.5})
    4.75
    """
    return round(sum(ratings.values()) / len(ratings), 4)


def json_bytes(value: Any) -> bytes:
    """Canonical JSON: sorted keys, UTF-8, no spaces, a newline at the end. Raises ValueError for NaN and infinity.

    >>> json_bytes({"b": 1, "a": [True, None]})
    b'{"a":[true,null],"b":1}\\n'
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest, which has only one form: sorted keys, an indent of 2, UTF-8.

    Raises ValueError for NaN and infinity.
    """
    return json.dumps(manifest, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def parse_json(data: bytes) -> Any:
    """Strict JSON: also raises ValueError for NaN, for duplicate names, for invalid UTF-8 and for too deep nesting."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name is given twice")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _segment(segment: StoredSegment, names: Iterator[str]) -> dict[str, Any]:
    if isinstance(segment, Text):
        return {"type": "text", "text": segment.text}
    read = {} if segment.ocr is None else {"ocr": segment.ocr}
    return read | {
        "type": "image",
        "image": next(names),
        "sha256": segment.sha256,
        "width": segment.width,
        "height": segment.height,
        "alt": segment.alt,
        "caption": segment.caption,
    }


def _read_segment(value: Mapping[str, Any]) -> StoredSegment:
    if value["type"] == "text":
        return Text(value["text"])
    return StoredImage(
        uri=value["image"],
        alt=value["alt"],
        caption=value["caption"],
        width=value["width"],
        height=value["height"],
        sha256=value["sha256"],
        extension=value["image"].rpartition(".")[2],
        ocr=value.get("ocr"),
    )
