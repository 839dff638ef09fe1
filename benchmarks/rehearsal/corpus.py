"""Writes the made-up corpus, in the native format: the same number of documents and seed give the same bytes.

One document is in memory at a time, and the last 64 of which repeats are made. Pictures are of a few hundred bytes; each
document that reaches the stage *Store images* has its own, because pictures that recur are removed.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.rehearsal import pictures, texts
from benchmarks.rehearsal.kinds import counts
from benchmarks.rehearsal.truth import Truth

IN_A_FILE = 5000
"""Documents in one file."""
A_LOGO_IN = 100
"""Documents, or a few more, that have the same logo; if there are not twice as many, all have the same one."""
COPIES, ORIGINALS = 8, 64
"""How often a picture is repeated at most, so that it does not count as recurring; and how many documents are kept in
mind to be repeated."""
REPEATS = ("duplicate_id", "duplicate_text", "near_duplicate", "repeated_image", "kept_without_copy")
COPIED = ("repeated_image", "kept_without_copy")
SHARED = {
    "small_image": ["small.png"],
    "endless_image": ["endless.png"],
    "banner": ["banner.png"],
    "gallery": ["icon.png"] * 61,
    "icon_sheet": ["icon.png"] * 8,
    "truncated": ["truncated.jpg"],
    "no_picture": ["page.png"],
    "missing": ["nowhere.png"],
    **{kind: ["icon.png"] for kind in texts.BROKEN},
}
"""Kind -> the pictures of `pictures.shared` that it has; it has no others."""
SENTENCES = {"icon_sheet": 9, "gallery": 140, "one_paragraph": 45}
Segment = dict[str, str]


@dataclasses.dataclass
class Original:
    """A kept document that others repeat, and how many have its picture."""

    id: str
    segments: list[Segment]
    seed: str
    copies: int = 0

    @property
    def picture(self) -> str:
        return _name(self.seed)


@dataclasses.dataclass(frozen=True)
class Planted:
    """One record: its kind, its line without the line break, and the pictures that come with it, by name."""

    kind: str
    line: bytes
    pictures: dict[str, bytes]


def write(folder: Path, documents: int, seed: int) -> Truth:
    """Write the corpus to a folder that is not there yet. Raises ValueError for too few documents."""
    images = folder / "images"
    sizes = collections.Counter(
        images=sum(pictures.write(images / "shared" / name, data) for name, data in pictures.shared().items())
    )
    found: collections.Counter[str] = collections.Counter()
    own = 0
    records = planted(documents, seed)
    for first in range(0, documents, IN_A_FILE):
        with open(folder / f"docs-{first // IN_A_FILE:05d}.jsonl", "wb") as file:
            for _ in range(min(IN_A_FILE, documents - first)):
                record = next(records)
                sizes["texts"] += file.write(record.line + b"\n")
                new = {name: data for name, data in record.pictures.items() if not (images / name).exists()}  # logos
                sizes["images"] += sum(pictures.write(images / name, data) for name, data in new.items())
                own += len(new)
                found[record.kind] += 1
    return Truth(dict(found), dict(sizes), own)


def planted(documents: int, seed: int) -> Iterator[Planted]:
    """The records in their order. A repeat comes after what it repeats."""
    left = counts(documents)
    logos = max(1, (left["logo"] + left["kept_without_logo"]) // A_LOGO_IN)
    originals: collections.deque[Original] = collections.deque(maxlen=ORIGINALS)
    order = random.Random(seed)
    for number in range(documents):
        kinds = {kind: count for kind, count in left.items() if count and (kind not in REPEATS or _of(kind, originals))}
        kind = order.choices(list(kinds), list(kinds.values()))[0]
        left[kind] -= 1
        draw = random.Random(f"{seed} {number}")
        id_, own = f"{kind}-{number}", f"{seed} {number}"
        if kind in BAD:
            yield Planted(kind, BAD[kind] % id_.encode(), {})
            continue
        original = draw.choice(_of(kind, originals)) if kind in REPEATS else None
        if original and kind in ("duplicate_text", "near_duplicate"):
            more = [{"text": texts.prose(draw, 1)}] if kind == "near_duplicate" else []
            yield Planted(kind, _line(id_, [*original.segments, *more]), {})
            continue
        files = _pictures(kind, own, number % logos, original)
        new = {name: data for name, data in files if data}
        segments = _segments(kind, draw, [name for name, _ in files])
        yield Planted(kind, _line(original.id if original and kind == "duplicate_id" else id_, segments), new)
        if original and kind in COPIED:
            original.copies += 1
        if kind == "kept":
            originals.append(Original(id_, segments, own))


BAD = {
    "bad_json": b'{"id": "%s", "segments": [{"text": "It breaks off',
    "bad_record": b'{"id": "%s", "title": "Nothing"}',
    "bad_utf8": b'{"id": "%s", "segments": [{"text": "caf\xe9"}]}',
    "not_an_object": b'["%s"]',
}
"""Kind -> a line that cannot be read."""


def _of(kind: str, originals: Iterable[Original]) -> list[Original]:
    """The documents that one of this kind may repeat."""
    return [one for one in originals if kind not in COPIED or one.copies < COPIES]


def _name(seed: str, ending: str = "") -> str:
    """The name of the picture of a document: at most 1,000 documents have theirs in one folder."""
    number = int(seed.split()[1])
    return f"{number // 1000:04d}/{number}{ending}.png"


def _pictures(kind: str, own: str, logo: int, original: Original | None) -> list[tuple[str, bytes]]:
    """The names of the document's pictures, and the bytes of those that come with it (empty: it is there already)."""
    if kind in SHARED:
        return [(f"shared/{name}", b"") for name in SHARED[kind]]
    mine = (_name(own), pictures.squares(own))
    logos = (f"logos/{logo}.png", pictures.squares(f"logo {logo}"))
    if kind == "no_image":
        return []
    if kind == "logo":
        return [logos]
    if original and kind in COPIED:
        copy = (original.picture, b"")
        if original.copies % 2:
            copy = (_name(own, "-copy"), pictures.squares(original.seed, brighter=8))
        return [copy] if kind == "repeated_image" else [mine, copy]
    if kind in ("kept_with_two", "exchanged_images"):
        return [mine, (_name(own, "-two"), pictures.squares(f"{own} two"))]
    others = {"kept_without_logo": logos, "kept_without_twin": mine, "kept_without_banner": ("shared/banner.png", b"")}
    return [mine, others[kind]] if kind in others else [mine]


def _segments(kind: str, draw: random.Random, names: list[str]) -> list[Segment]:
    """Title, text, picture, text, the other pictures; then, in most, a longer part without pictures."""
    mark = texts.marking(kind)
    images = [{"image": name, "alt": mark} for name in names]
    head = {"text": f"# {texts.title(draw)}"}
    if kind in texts.BROKEN:
        return [head, {"text": texts.BROKEN[kind](draw)}, *images]
    if kind in SENTENCES:
        return [head, {"text": texts.prose(draw, SENTENCES[kind])}, *images]
    return [
        head,
        {"text": f"{texts.prose(draw, 5)} {mark}"},
        *images[:1],
        {"text": texts.prose(draw, 6)},
        *images[1:],
        {"text": f"## {texts.title(draw)}"},
        *({"text": texts.prose(draw, 7)} for _ in range(3)),
    ]


def _line(id_: str, segments: list[Segment]) -> bytes:
    record: dict[str, Any] = {
        "id": id_,
        "source": "rehearsal",
        "license": "CC0-1.0",
        "title": segments[0]["text"].lstrip("# "),
        "segments": segments,
    }
    return json.dumps(record).encode()
