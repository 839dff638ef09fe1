"""Planted damage that only the deep mode can find: bytes, tars, JSON, pictures, and what ties them to the index.

Every set is signed again after the damage, so that not the checksum but the check itself is proven; the cases named
"unsigned" are the other way round.
"""

from __future__ import annotations

import tarfile

import pytest

from schemas.codec import json_bytes, rank_of
from schemas.validate import validate
from tests.schemas import example
from tests.schemas.damage import (
    KEYS,
    SHARDS,
    bomb,
    edit,
    first,
    grey,
    header,
    index,
    manifest,
    members,
    patch,
    raw_json,
    replace_picture,
    rewrite,
    sign,
)
from tests.schemas.test_validate import L0, S0, S1, S2, I, at, places

K0, K1, K2, K3 = KEYS[:4]
STRANGER = next(example.sample(i) for i in range(30, 9999) if rank_of(f"doc-{i}", example.SALT) > b"\xfe")
NEW = STRANGER[1]["key"]
RATINGS = STRANGER[1]["scores"]["ratings"]


def _with(part: str, number: int, **fields):
    """A change to the JSON: other values in a segment."""
    return lambda value: value[part][number].update(fields)


def _scores(**fields):
    return lambda value: value["scores"].update(fields)


def _flip(folder):
    with tarfile.open(folder / S0) as tar:
        place = tar.getmember(f"{K0}.01.jpg").offset_data + 30
    data = bytearray((folder / S0).read_bytes())
    data[place] ^= 1
    (folder / S0).write_bytes(data)


def _flip_signed(folder):
    _flip(folder)
    sign(folder)


def _picture(data, **fields):
    return lambda f: replace_picture(f, 0, "01.jpg", data, **fields)


def _renumber(folder):
    """01.jpg becomes 03.jpg, in the tar and in the JSON."""
    rewrite(folder, 0, lambda files: [(n.replace(f"{K0}.01", f"{K0}.03"), d) for n, d in files])
    edit(folder, 0, _with("output", 2, image="03.jpg"))


def _swap(folder, one: str, two: str):
    def change(files):
        names = [name for name, _ in files]
        i, j = names.index(one), names.index(two)
        files[i], files[j] = files[j], files[i]
        return files

    rewrite(folder, 0, change)


def _swap_samples(folder):
    """The first two samples of the first shard change places; the index follows."""
    rewrite(folder, 0, lambda files: files[4:6] + files[:4] + files[6:])


def _copy_sample(folder):
    """The last shard's only sample is replaced by one of the first shard."""
    copy = [m for m in members(folder, 0) if m[0].startswith(K1)]
    rewrite(folder, 2, lambda files: copy, follow=False)


def _replace_sample(folder):
    """The last sample becomes another that neither index nor ledger know."""
    _, value, pictures = STRANGER
    rewrite(
        folder,
        2,
        lambda files: [
            (f"{value['key']}.json", json_bytes(value)),
            *((f"{value['key']}.{name}", data) for name, data in pictures),
        ],
    )


def _gnu(block):
    block[257:265] = b"ustar  \0"


def _mtime(block):
    block[136:148] = b"00000000001\0"


def _link(block):
    block[156:157] = b"2"


def _pad(folder):
    end = len(dict(members(folder, 0))[f"{K0}.json"]) + 512
    patch(folder, 0, lambda data: data.__setitem__(end, 1))


def _swap_pictures(folder):
    def change(files):
        (one, a), (two, b) = files[2:4]
        return [*files[:2], (one, b), (two, a), *files[4:]]

    rewrite(folder, 0, change)


def _move_picture(rows):
    rows[0]["images"][1]["offset"] += 512
    return rows


ADDED = ("notes.txt", b"hello")
J0 = {"key": K0, "file": S0}

DEEP = {
    "unsigned flipped bit": (_flip, [at("file-sha256", S0), at("image-sha256", S0, K0, "/output/2/sha256")]),
    "flipped bit": (_flip_signed, [at("image-sha256", S0, K0, "/output/2/sha256")]),
    "index sha256": (lambda f: manifest(f, lambda m: m["index"].update(sha256="0" * 64)), [at("file-sha256", I)]),
    "ledger sha256": (lambda f: manifest(f, lambda m: m["ledger"][0].update(sha256="0" * 64)), [at("file-sha256", L0)]),
    "shard is a folder": (
        lambda f: [(f / S1).unlink(), (f / S1).mkdir()],
        [at("file-missing", S1), at("file-unreadable", S1)],
    ),
    # pictures
    "picture cut": (_picture(example.picture(5)[:400]), [at("image-undecodable", S0, K0, "/output/2/image")]),
    "picture empty": (_picture(b""), [at("image-undecodable", S0, K0, "/output/2/image")]),
    "picture is text": (_picture(b"<html>404</html>"), [at("image-undecodable", S0, K0, "/output/2/image")]),
    "picture is a bomb": (_picture(bomb()), [at("image-undecodable", S0, K0, "/output/2/image")]),
    "picture grey": (_picture(grey()), [at("image-mode", S0, K0, "/output/2/image")]),
    "picture of other format": (_picture(example.picture(5, "PNG")), [at("image-format", S0, K0, "/output/2/image")]),
    "picture of other size": (
        _picture(example.picture(5, size=(24, 17))),
        [at("image-size", S0, K0, "/output/2/height")],
    ),
    "picture exchanged": (
        _swap_pictures,
        [at("image-sha256", S0, K0, "/output/2/sha256"), at("image-sha256", S0, K0, "/output/3/sha256")],
    ),
    # the JSON
    "json cut": (lambda f: raw_json(f, 0, lambda d: d[:100]), [at("json-unreadable", S0, K0)]),
    "json with NaN": (
        lambda f: raw_json(f, 0, lambda d: d.replace(b'"margin":0.05', b'"margin":NaN')),
        [at("json-unreadable", S0, K0)],
    ),
    "json name twice": (
        lambda f: raw_json(f, 0, lambda d: d.replace(b'{"context"', b'{"id":"x","context"', 1)),
        [at("json-unreadable", S0, K0)],
    ),
    "json not UTF-8": (
        lambda f: raw_json(f, 0, lambda d: d.replace(b"Job", b"J\xff", 1)),
        [at("json-unreadable", S0, K0)],
    ),
    "json half a character": (
        lambda f: raw_json(f, 0, lambda d: d.replace(b"Job", b"\\ud800", 1)),
        [at("json-unreadable", S0, K0)],
    ),
    "json bottomless": (lambda f: raw_json(f, 0, lambda d: b"[" * 100_000), [at("json-unreadable", S0, K0)]),
    "json with spaces": (lambda f: raw_json(f, 0, lambda d: d.replace(b":", b": ", 1)), [at("json-form", S0, K0)]),
    "json is a number": (lambda f: raw_json(f, 0, lambda d: b"7\n"), [at("instance-schema", S0, K0)]),
    "unknown field": (lambda f: edit(f, 0, lambda v: v.update(split="train")), [at("instance-schema", S0, K0)]),
    "field lost": (lambda f: edit(f, 0, lambda v: v.pop("license")), [at("instance-schema", S0, K0)]),
    "rating of 6": (
        lambda f: edit(f, 0, _scores(ratings={**RATINGS, "fluency": 6.0})),
        [at("instance-schema", **J0, pointer="/scores/ratings/fluency")],
    ),
    "cosine of 2": (
        lambda f: edit(f, 0, _scores(matched=[2.0, 0.2, 0.2])),
        [at("instance-schema", **J0, pointer="/scores/matched/0")],
    ),
    "blank text": (
        lambda f: edit(f, 0, _with("output", 1, text=" \n")),
        [at("instance-schema", **J0, pointer="/output/1/text")],
    ),
    "blank instruction": (
        lambda f: edit(f, 0, lambda v: v.update(instruction="")),
        [at("instance-schema", **J0, pointer="/instruction")],
    ),
    "output without a picture": (
        lambda f: edit(f, 0, lambda v: v.update(output=v["output"][:2])),
        [at("instance-schema", **J0, pointer="/output"), at("counts", "manifest.json", pointer="/counts/images")],
    ),
    "unknown segment": (
        lambda f: edit(f, 0, _with("context", 0, type="video")),
        [at("instance-schema", **J0, pointer="/context/0/type")],
    ),
    "sha256 in capitals": (
        lambda f: edit(f, 0, _with("context", 1, sha256="A" * 64)),
        [at("instance-schema", **J0, pointer="/context/1/sha256")],
    ),
    "width 0": (
        lambda f: edit(f, 0, _with("context", 1, width=0)),
        [at("instance-schema", **J0, pointer="/context/1/width")],
    ),
    "key changed": (
        lambda f: edit(f, 0, lambda v: v.update(key=K1)),
        [
            at("key", **J0, pointer="/key"),
            at("index-key", I, K1, "/key"),
            at("index-missing", I, K0),
            at("ledger-index", L0, K0),
        ],
    ),
    "domain not in the list": (
        lambda f: edit(f, 6, lambda v: v.update(domain="magic")),
        [
            at("domain", S2, KEYS[6], "/domain"),
            at("domain", I, KEYS[6], "/domain"),
            at("counts", "manifest.json", pointer="/counts/domains"),
        ],
    ),
    "other model": (
        lambda f: edit(f, 0, lambda v: v["provenance"].update(llm="gpt")),
        [at("provenance", **J0, pointer="/provenance/llm")],
    ),
    "mean is not the mean": (
        lambda f: edit(f, 0, _scores(coherence=0.5)),
        [at("scores", **J0, pointer="/scores/coherence")],
    ),
    "a score too few": (
        lambda f: edit(f, 0, _scores(max_previous_similarity=[-1.0])),
        [at("scores", **J0, pointer="/scores/max_previous_similarity")],
    ),
    "a rating that the manifest does not name": (
        lambda f: manifest(f, lambda m: m["rating_aspects"].pop("fluency")),
        [
            at("index-schema", I),
            *(at("scores", S0, key, "/scores/ratings") for key in KEYS[:3]),
            *(at("scores", S1, key, "/scores/ratings") for key in KEYS[3:6]),
            at("scores", S2, KEYS[6], "/scores/ratings"),
        ],
    ),
    "score not rounded": (
        lambda f: edit(f, 0, _scores(margin=0.123456)),
        [at("scores", **J0, pointer="/scores/margin")],
    ),
    # members
    "json lost": (lambda f: rewrite(f, 0, lambda files: files[1:]), [at("member-missing", **J0)]),
    "picture lost": (
        lambda f: rewrite(f, 0, lambda files: files[:2] + files[3:]),
        [at("member-missing", **J0, pointer="/output/2/image")],
    ),
    "picture too many": (
        lambda f: rewrite(f, 0, lambda files: [*files[:4], (f"{K0}.03.jpg", b"x"), *files[4:]]),
        [at("member-stray", **J0)],
    ),
    "foreign file": (
        lambda f: rewrite(f, 0, lambda files: [*files[:2], ADDED, *files[2:]]),
        [at("member-stray", **J0)],
    ),
    "picture twice": (
        lambda f: rewrite(f, 0, lambda files: [*files[:4], files[3], *files[4:]]),
        [at("member-duplicate", **J0)],
    ),
    "members in other order": (lambda f: _swap(f, f"{K0}.01.jpg", f"{K0}.02.jpg"), [at("member-order", **J0)]),
    "json last": (
        lambda f: rewrite(f, 0, lambda files: files[1:4] + files[:1] + files[4:]),
        [at("member-order", **J0)],
    ),
    "pictures numbered badly": (
        _renumber,
        [at("member-name", **J0, pointer="/output/2/image"), at("counts", "manifest.json", pointer="/members")],
    ),
    "a member used twice": (
        lambda f: edit(f, 0, _with("output", 3, image="01.jpg")),
        [
            at("member-name", **J0, pointer="/output/3/image"),
            at("member-stray", **J0),
            at("image-sha256", **J0, pointer="/output/3/sha256"),
        ],
    ),
    # samples
    "samples in other order": (_swap_samples, [at("order", S0, K0, "/id"), at("index-order", I, K0)]),
    "sample lost": (lambda f: rewrite(f, 0, lambda files: files[:6]), [at("shard-size", S0), at("index-extra", I, K2)]),
    "sample in two shards": (
        _copy_sample,
        [
            at("duplicate-key", S2, K1, shard=SHARDS[2]),
            at("index-missing", I, K1, shard=SHARDS[2]),
            at("index-extra", I, KEYS[6]),
        ],
    ),
    "sample that nobody knows": (
        _replace_sample,
        [at("index-missing", I, NEW, shard=SHARDS[2]), at("index-extra", I, KEYS[6])],
    ),
    # the index against the shard
    "index: another score": (lambda f: index(f, first(coherence=0.9)), [at("index-row", I, K0, "/coherence")]),
    "index: another title": (lambda f: index(f, first(title="x")), [at("index-row", I, K0, "/title")]),
    "index: another count": (lambda f: index(f, first(n_output_texts=9)), [at("index-row", I, K0, "/n_output_texts")]),
    "index: JSON elsewhere": (lambda f: index(f, first(json_offset=511)), [at("index-row", I, K0, "/json_offset")]),
    "index: picture elsewhere": (lambda f: index(f, _move_picture), [at("index-row", I, K0, "/images")]),
    # the tar itself
    "tar header with a time": (lambda f: header(f, 0, 0, _mtime), [at("tar-header", S0, K0)]),
    "tar header of GNU": (lambda f: header(f, 0, 0, _gnu), [at("tar-header", S0, K0)]),
    "member is a link": (lambda f: header(f, 1, 0, _link), [at("tar-header", S1, K3), at("member-missing", S1, K3)]),
    "header checksum wrong": (lambda f: patch(f, 1, lambda d: d.__setitem__(0, 0)), [at("tar-broken", S1)]),
    "padding not empty": (_pad, [at("tar-header", S0, K0)]),
    "end mark lost": (
        lambda f: patch(f, 2, lambda d: d.rstrip(b"\0") + bytes(-len(d.rstrip(b"\0")) % 512)),
        [at("tar-truncated", S2, KEYS[6])],
    ),
    "tar cut inside a picture": (lambda f: patch(f, 0, lambda d: d[:2600]), [at("tar-truncated", S0, K0)]),
    "tar empty": (lambda f: patch(f, 0, lambda d: d[:512]), [at("tar-truncated", S0, K0)]),
    "bytes after the end": (lambda f: patch(f, 0, lambda d: d + bytes(512)), [at("tar-end", S0)]),
    "noise in the end": (lambda f: patch(f, 0, lambda d: d[:-1] + b"x"), [at("tar-end", S0)]),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_mode_finds_exactly(name, folder):
    damage, expected = DEEP[name]
    damage(folder)
    found = validate(folder, deep=True)
    assert places(found) == set(expected)
    assert len(found) == len(expected)  # each once
