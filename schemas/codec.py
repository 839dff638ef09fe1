"""An instance as JSON and back, and the names that follow from its id."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from schemas.records import Coherence, Image, Instance, Provenance, Ratings, Segment, Text

_SAME = ("id", "key", "instruction", "domain", "title", "source", "url", "license")


def key_of(id: str) -> str:
    """The name of an instance inside its shard: 20 hex digits, no dots (webdataset splits names at the first dot)."""
    return hashlib.blake2b(id.encode(), digest_size=10).hexdigest()


def rank_of(id: str, salt: str) -> bytes:
    """The 16 bytes that instances are ordered by: `salt` (at most 64 bytes) fixes one shuffle for good."""
    return hashlib.blake2b(id.encode(), digest_size=16, key=salt.encode()).digest()


def shard_name(index: int) -> str:
    """The file name of the shard number `index`, counted from 0."""
    return f"leafinstruct-{index:05d}.tar"


def config_hash(config: Mapping[str, Any]) -> str:
    """The first 16 hex digits of the sha256 of a configuration as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


def to_json(instance: Instance, extensions: Mapping[str, str]) -> dict:
    """The instance as the dict that its .json member holds.

    `extensions` says of every stored picture (by sha256) whether its file is "jpg" or "png": members are named
    00.jpg, 01.png ... in reading order over context, then output. Raises KeyError for an unknown picture and
    ValueError for more than 100 of them, which two digits cannot name.
    """
    images = [s for s in instance.context + instance.output if isinstance(s, Image)]
    if len(images) > 100:
        raise ValueError(f"{instance.id} has {len(images)} images; an instance can name 100")
    names = iter([f"{i:02d}.{extensions[image.sha256]}" for i, image in enumerate(images)])
    coherence, ratings = instance.coherence, instance.ratings
    return {
        **{name: getattr(instance, name) for name in _SAME},
        "context": [_segment(s, names) for s in instance.context],
        "output": [_segment(s, names) for s in instance.output],
        "scores": {
            "coherence": mean_coherence(coherence.own), "margin": coherence.margin,
            "recall_at_1": coherence.recall_at_1, "own": list(coherence.own), "other": list(coherence.other),
            "similar": list(coherence.similar), "fluency": ratings.fluency, "text_coherence": ratings.coherence,
            "completeness": ratings.completeness, "usefulness": ratings.usefulness},
        "provenance": dataclasses.asdict(instance.provenance)}


def from_json(value: Mapping[str, Any]) -> Instance:
    """The instance of such a dict. An image's `uri` is its member name; the model of `coherence` is provenance.clip."""
    scores = value["scores"]
    return Instance(
        **{name: value[name] for name in _SAME},
        context=tuple(map(_read_segment, value["context"])), output=tuple(map(_read_segment, value["output"])),
        coherence=Coherence(
            tuple(scores["own"]), tuple(scores["other"]), tuple(scores["similar"]), scores["margin"],
            scores["recall_at_1"], value["provenance"]["clip"]),
        ratings=Ratings(scores["fluency"], scores["text_coherence"], scores["completeness"], scores["usefulness"]),
        provenance=Provenance(**value["provenance"]))


def mean_coherence(own) -> float:
    """The mean of the images' own cosines, to 4 decimals: an instance's one number for coherence."""
    return round(sum(own) / len(own), 4)


def json_bytes(value: Any) -> bytes:
    """Canonical JSON: sorted keys, UTF-8, no spaces, a newline at the end. Raises ValueError for NaN and infinity."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def parse_json(data: bytes) -> Any:
    """Strict JSON: raises ValueError also for NaN, for a name given twice, for bad UTF-8 and for bottomless nesting."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _once(pairs: list[tuple[str, Any]]) -> dict:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name is given twice")
    return value


def _no_constant(name: str):
    raise ValueError(f"{name} is not JSON")


def _segment(segment: Segment, names) -> dict:
    if isinstance(segment, Text):
        return {"type": "text", "text": segment.text}
    return {"type": "image", "image": next(names), "sha256": segment.sha256, "width": segment.width,
            "height": segment.height, "alt": segment.alt, "caption": segment.caption}


def _read_segment(value: Mapping[str, Any]) -> Segment:
    if value["type"] == "text":
        return Text(value["text"])
    return Image(value["image"], value["alt"], value["caption"], value["width"], value["height"], value["sha256"])
