"""Planted damage to shards: bytes, tars, members, samples. All else follows, so that the check itself is proven."""

from __future__ import annotations

import io
import tarfile

import pytest

from schemas import tar
from schemas.codec import json_bytes, rank_of
from tests.schemas import example
from tests.schemas.damage import (
    KEYS,
    L0,
    S0,
    S1,
    S2,
    SHARDS,
    I,
    M,
    at,
    edit,
    follow,
    header,
    manifest,
    members,
    patch,
    raw_json,
    rewrite,
    sign,
)
from tests.schemas.prove import prove

K0, K1, K2, K3, K4, K5, K6 = KEYS
STRANGER = next(example.sample(i) for i in range(30, 9999) if rank_of(f"doc-{i}", example.SALT) > b"\xfe")
NEW = STRANGER[1]["key"]
ADDED = ("notes.txt", b"hello")


def _change(number: int, **fields):
    """Other values at the top of a sample's JSON."""
    return lambda f: edit(f, number, lambda value: value.update(fields))


def _segment(part: str, number: int, **fields):
    """Other values in a segment of the first sample."""
    return lambda f: edit(f, 0, lambda value: value[part][number].update(fields))


def _raw(old: bytes, new: bytes):
    """Other bytes in the JSON of the first sample."""

    def change(data):
        assert old in data
        return data.replace(old, new, 1)

    return lambda f: raw_json(f, 0, change)


def _files(change, shard: int = 0):
    return lambda f: rewrite(f, shard, change)


def _patch(change, shard: int = 0):
    return lambda f: patch(f, shard, change)


def _header(change, shard: int = 0):
    return lambda f: header(f, shard, 0, change)


def _put(start: int, data: bytes):
    """Bytes of a header."""
    return lambda block: block.__setitem__(slice(start, start + len(data)), data)


def _flip(folder):
    with tarfile.open(folder / S0) as file:
        place = file.getmember(f"{K0}.01.jpg").offset_data + 30
    data = bytearray((folder / S0).read_bytes())
    data[place] ^= 1
    (folder / S0).write_bytes(data)


def _flip_signed(folder):
    _flip(folder)
    sign(folder)


def _renumber(folder):
    """01.jpg becomes 03.jpg, in the tar and in the JSON."""
    rewrite(folder, 0, lambda files: [(n.replace(f"{K0}.01", f"{K0}.03"), d) for n, d in files])
    _segment("output", 2, image="03.jpg")(folder)


def _swap(one: int, two: int):
    def change(files):
        files[one], files[two] = files[two], files[one]
        return files

    return _files(change)


def _swap_data(files):
    (one, a), (two, b) = files[2:4]
    return [*files[:2], (one, b), (two, a), *files[4:]]


def _copy_sample(folder):
    """The last shard's only sample is replaced by one of the first shard."""
    copy = [m for m in members(folder, 0) if m[0].startswith(K1)]
    rewrite(folder, 2, lambda files: copy)


def _copy_in_shard(files):
    return files[:4] + files[:4] + files[6:]


def _replace_sample(folder):
    """The last sample becomes another that neither index nor ledger know."""
    _, value, images = STRANGER
    rewrite(
        folder,
        2,
        lambda files: [
            (f"{value['key']}.json", json_bytes(value)),
            *((f"{value['key']}.{name}", data) for name, data in images),
        ],
    )


def _exchange_shards(folder):
    """The first two shards under each other's name."""
    one, two = (folder / S0).read_bytes(), (folder / S1).read_bytes()
    (folder / S0).write_bytes(two)
    (folder / S1).write_bytes(one)
    follow(folder)


def _archived(kind: int, name: str = f"{K0}.json", **fields):
    """The first file under a header that Python's tarfile writes, in another format or of another kind."""

    def damage(folder):
        files = members(folder, 0)
        out = io.BytesIO()
        info = tarfile.TarInfo(name)
        info.size = len(files[0][1])
        for field, value in fields.items():
            setattr(info, field, value)
        out.write(info.tobuf(kind))
        out.write(files[0][1] + bytes(-len(files[0][1]) % 512))
        for name_, data in files[1:]:
            tar.add(out, name_, data)
        tar.finish(out)
        (folder / S0).write_bytes(out.getvalue())
        follow(folder)

    return damage


def _pad(folder):
    end = len(dict(members(folder, 0))[f"{K0}.json"]) + 512
    patch(folder, 0, lambda data: data.__setitem__(end, 1))


def _large(folder):
    """A JSON file of 5 MB."""
    rewrite(folder, 0, lambda files: [(files[0][0], b" " * 5_000_000), *files[1:]])


def _crowd(folder):
    rewrite(folder, 2, lambda files: files + [(f"{K6}.99.png", b"")] * 110)


CASES = {
    "unsigned flipped bit": (_flip, [at("image-sha256", S0, K0, "/output/2/sha256"), at("file-sha256", S0)]),
    "flipped bit": (_flip_signed, [at("image-sha256", S0, K0, "/output/2/sha256")]),
    "index sha256": (lambda f: manifest(f, lambda m: m["index"].update(sha256="0" * 64)), [at("file-sha256", I)]),
    "ledger sha256": (lambda f: manifest(f, lambda m: m["ledger"][0].update(sha256="0" * 64)), [at("file-sha256", L0)]),
    "shard sha256": (lambda f: manifest(f, lambda m: m["shards"][0].update(sha256="0" * 64)), [at("file-sha256", S0)]),
    "json cut": (lambda f: raw_json(f, 0, lambda d: d[:100]), [at("json-unreadable", S0, K0)]),
    "json empty": (
        lambda f: raw_json(f, 0, lambda d: b""),
        [at("index-place", I, K0, "/json_offset"), at("json-unreadable", S0, K0)],
    ),
    "json with NaN": (
        _raw(b'"margin":0.05', b'"margin":NaN'),
        [at("index-value", I, K0, "/margin"), at("ledger-row", L0, K0, "/scores"), at("json-unreadable", S0, K0)],
    ),
    "json with infinity": (
        _raw(b'"margin":0.05', b'"margin":1e999'),
        [at("index-value", I, K0, "/margin"), at("ledger-row", L0, K0, "/scores"), at("json-unreadable", S0, K0)],
    ),
    "json name twice": (_raw(b'{"context"', b'{"id":"x","context"'), [at("json-unreadable", S0, K0)]),
    "json not UTF-8": (_raw(b"Job", b"J\xff"), [at("json-unreadable", S0, K0)]),
    "json half a character": (_raw(b"Job", b"\\ud800"), [at("json-unreadable", S0, K0)]),
    "json bottomless": (lambda f: raw_json(f, 0, lambda d: b"[" * 100_000), [at("json-unreadable", S0, K0)]),
    "json nested too deeply for a schema": (
        lambda f: raw_json(f, 0, lambda d: b"[" * 900 + b"]" * 900 + b"\n"),
        [at("json-unreadable", S0, K0)],
    ),
    "json with a number of a thousand digits": (
        _raw(b'"alt":"alt 0"', b'"alt":1' + b"0" * 1000),
        [at("instance-schema", S0, K0, "/context/1/alt")],
    ),
    "json with spaces": (_raw(b":", b": "), [at("json-form", S0, K0)]),
    "json with escapes": (_raw("字".encode(), b"\\u5b57"), [at("json-form", S0, K0)]),
    "json without its newline": (lambda f: raw_json(f, 0, bytes.rstrip), [at("json-form", S0, K0)]),
    "json of 5 MB": (
        _large,
        [
            at("index-place", I, K0, "/json_offset"),
            at("index-place", I, K1, "/json_offset"),
            at("member-size", S0, K0),
            at("member-missing", S0, K0),
        ],
    ),
    "json is a number": (lambda f: raw_json(f, 0, lambda d: b"7\n"), [at("instance-schema", S0, K0)]),
    "unknown field": (_change(0, split="train"), [at("instance-schema", S0, K0)]),
    "field lost": (lambda f: edit(f, 0, lambda v: v.pop("license")), [at("instance-schema", S0, K0)]),
    "blank instruction": (_change(0, instruction=" "), [at("instance-schema", S0, K0, "/instruction")]),
    "instruction with an escape sequence": (
        _change(0, instruction="Explain \x1b[2J how."),
        [at("instance-schema", S0, K0, "/instruction")],
    ),
    "text with NUL": (
        _segment("output", 1, text="Do it \0 with care, and no haste."),
        [at("instance-schema", S0, K0, "/output/1/text")],
    ),
    "title with a return": (_change(0, title="Job\r2"), [at("instance-schema", S0, K0, "/title")]),
    "blank text": (_segment("output", 1, text=" \n"), [at("instance-schema", S0, K0, "/output/1/text")]),
    "unknown segment": (_segment("context", 0, type="video"), [at("instance-schema", S0, K0, "/context/0/type")]),
    "text that is an image too": (
        _segment("context", 0, image="00.jpg"),
        [at("instance-schema", S0, K0, "/context/0")],
    ),
    "sha256 in capitals": (
        _segment("context", 1, sha256="A" * 64),
        [at("instance-schema", S0, K0, "/context/1/sha256")],
    ),
    "image name that climbs out": (
        _segment("context", 1, image="../1.jpg"),
        [at("instance-schema", S0, K0, "/context/1/image")],
    ),
    "width 0": (_segment("context", 1, width=0), [at("instance-schema", S0, K0, "/context/1/width")]),
    "output without an image": (
        lambda f: edit(f, 0, lambda v: v.update(output=v["output"][:2])),
        [
            at("index-value", I, K0, "/n_output_texts"),
            at("index-value", I, K0, "/images"),
            at("instance-schema", S0, K0, "/output"),
        ],
    ),
    "output without a text": (
        lambda f: edit(f, 0, lambda v: v.update(output=[s for s in v["output"] if s["type"] == "image"])),
        [at("index-value", I, K0, "/n_output_texts"), at("instance-schema", S0, K0, "/output")],
    ),
    "key changed": (
        _change(0, key=K1),
        [at("index-key", I, K1, "/key"), at("key", S0, K0, "/key"), at("index-missing", I, K0)],
    ),
    "id changed": (
        _change(0, id="doc-99"),
        [
            at("index-key", I, K0, "/key"),
            at("ledger-index", L0, K0),
            at("ledger-index", L0, K1),
            at("ledger-index", L0, K2),
            at("ledger-index", I, K0),
            at("index-order", I, K1),
            at("key", S0, K0, "/id"),
            at("order", S0, K1, "/id"),
        ],
    ),
    "domain not in the list": (
        _change(6, domain="magic"),
        [
            at("domain", M, pointer="/counts/domains/magic"),
            at("domain", I, K6, "/domain"),
            at("domain", S2, K6, "/domain"),
        ],
    ),
    "other model": (
        lambda f: edit(f, 0, lambda v: v["provenance"].update(llm="gpt")),
        [at("provenance", S0, K0, "/provenance/llm")],
    ),
    "other prompt": (
        lambda f: edit(f, 0, lambda v: v["provenance"].update(rate_prompt="rate-2")),
        [at("provenance", S0, K0, "/provenance/rate_prompt")],
    ),
    "other version of the pipeline": (
        lambda f: edit(f, 0, lambda v: v["provenance"].update(pipeline="0.0.9")),
        [at("provenance", S0, K0, "/provenance/pipeline")],
    ),
    "other configuration": (
        lambda f: edit(f, 0, lambda v: v["provenance"].update(config="0" * 16)),
        [at("provenance", S0, K0, "/provenance/config")],
    ),
    "json lost": (
        _files(lambda files: files[1:]),
        [
            at("index-place", I, K0, "/json_offset"),
            at("index-place", I, K1, "/json_offset"),
            at("member-missing", S0, K0),
        ],
    ),
    "image lost": (
        _files(lambda files: files[:2] + files[3:]),
        [at("index-value", I, K0, "/images"), at("member-missing", S0, K0, "/output/2/image")],
    ),
    "image too many": (
        _files(lambda files: [*files[:4], (f"{K0}.03.jpg", b"x"), *files[4:]]),
        [at("index-value", I, K0, "/images"), at("member-stray", S0, K0), at("index-row", I, K0, "/images")],
    ),
    "foreign file": (
        _files(lambda files: [*files[:2], ADDED, *files[2:]]),
        [
            at("index-place", I, K0, "/json_offset"),
            at("index-place", I, K1, "/json_offset"),
            at("member-stray", S0, K0),
        ],
    ),
    "foreign file before the first sample": (
        _files(lambda files: [ADDED, *files]),
        [at("index-place", I, K0, "/json_offset"), at("member-stray", S0)],
    ),
    "file with an escape sequence for a name": (
        _files(lambda files: [*files[:2], ("\x1b[2J.txt", b""), *files[2:]]),
        [
            at("index-place", I, K0, "/json_offset"),
            at("index-place", I, K1, "/json_offset"),
            at("member-stray", S0, K0),
        ],
    ),
    "file that climbs out": (
        _files(lambda files: [*files[:2], ("../../notes.txt", b""), *files[2:]]),
        [
            at("index-place", I, K0, "/json_offset"),
            at("index-place", I, K1, "/json_offset"),
            at("member-stray", S0, K0),
        ],
    ),
    "file that differs by case": (
        _files(lambda files: [*files[:4], (f"{K0}.JSON", b"{}"), *files[4:]]),
        [at("index-place", I, K1, "/json_offset"), at("member-stray", S0, K0)],
    ),
    "key that differs by case": (
        _files(lambda files: [*files[:4], (f"{K0.upper()}.json", files[0][1]), *files[4:]]),
        [at("index-place", I, K1, "/json_offset"), at("member-stray", S0, K0)],
    ),
    "image twice": (
        _files(lambda files: [*files[:4], files[3], *files[4:]]),
        [
            at("index-place", I, K0, "/json_offset"),
            at("index-place", I, K1, "/json_offset"),
            at("member-duplicate", S0, K0),
        ],
    ),
    "members in other order": (
        _swap(2, 3),
        [at("index-value", I, K0, "/images"), at("member-order", S0, K0), at("index-row", I, K0, "/images")],
    ),
    "json last": (
        _files(lambda files: files[1:4] + files[:1] + files[4:]),
        [at("index-place", I, K0, "/json_offset"), at("member-order", S0, K0)],
    ),
    "images numbered badly": (
        _renumber,
        [at("index-value", I, K0, "/images"), at("member-name", S0, K0, "/output/2/image")],
    ),
    "images exchanged": (
        _files(_swap_data),
        [at("image-sha256", S0, K0, "/output/2/sha256"), at("image-sha256", S0, K0, "/output/3/sha256")],
    ),
    "a member used twice": (
        _segment("output", 3, image="01.jpg"),
        [
            at("member-name", S0, K0, "/output/3/image"),
            at("member-stray", S0, K0),
            at("image-sha256", S0, K0, "/output/3/sha256"),
            at("index-row", I, K0, "/images"),
        ],
    ),
    "a hundred members too many": (
        _crowd,
        [
            at("index-place", I, K6, "/json_offset"),
            at("index-value", I, K6, "/images"),
            at("index-place", I, shard=SHARDS[2]),
            at("member-size", S2, K6),
            at("member-stray", S2, K6),
            at("member-duplicate", S2, K6),
            at("index-row", I, K6, "/images"),
        ],
    ),
    "samples in other order": (
        _files(lambda files: files[4:6] + files[:4] + files[6:]),
        [at("ledger-index", L0, K0), at("index-order", I, K0), at("order", S0, K0, "/id")],
    ),
    "shards in other order": (
        _exchange_shards,
        [
            at("ledger-index", L0, K0, shard=SHARDS[1]),
            at("ledger-index", L0, K1, shard=SHARDS[1]),
            at("ledger-index", L0, K2, shard=SHARDS[1]),
            at("index-order", I, K0, shard=SHARDS[1]),
            at("order", S1, K0, shard=SHARDS[1]),
        ],
    ),
    "sample lost": (
        _files(lambda files: files[:6]),
        [at("index-place", I, shard=SHARDS[0]), at("shard-size", S0), at("index-extra", I, K2)],
    ),
    "sample twice in a shard": (
        _files(_copy_in_shard),
        [
            at("index-place", I, K0, "/json_offset"),
            at("index-place", I, K2, "/json_offset"),
            at("member-duplicate", S0, K0),
            at("shard-size", S0),
            at("index-extra", I, K1),
        ],
    ),
    "sample in two shards": (
        _copy_sample,
        [
            at("index-place", I, K2, "/json_offset"),
            at("ledger-index", L0, K1, shard=SHARDS[2]),
            at("index-order", I, K1, shard=SHARDS[2]),
            at("index-place", I, K6, "/json_offset"),
            at("index-rows", I, shard=SHARDS[0]),
            at("index-rows", I, shard=SHARDS[2]),
            at("index-missing", I, K1),
            at("index-extra", I, K6),
            at("order", S2, K1, shard=SHARDS[2]),
            at("duplicate-key", S2, K1, shard=SHARDS[2]),
        ],
    ),
    "sample that nobody knows": (
        _replace_sample,
        [at("index-missing", I, "2456b30a1812ea9bf164", shard=SHARDS[2]), at("index-extra", I, K6)],
    ),
    "tar header with a time": (_header(_put(136, b"00000000001\0")), [at("tar-header", S0, K0)]),
    "tar header with an owner": (_header(_put(265, b"root")), [at("tar-header", S0, K0)]),
    "tar header with a user's number": (_header(_put(108, b"0000001\0")), [at("tar-header", S0, K0)]),
    "tar header with another mode": (_header(_put(100, b"0000755\0")), [at("tar-header", S0, K0)]),
    "tar header of GNU": (_header(_put(257, b"ustar  \0")), [at("tar-header", S0, K0)]),
    "tar header of the seventh edition": (_header(_put(257, bytes(8))), [at("tar-header", S0, K0)]),
    "tar header with bytes behind its fields": (_header(_put(500, b"hidden")), [at("tar-header", S0, K0)]),
    "tar header with a size in binary": (
        _header(lambda b: b.__setitem__(slice(124, 136), b"\x80" + bytes(7) + int(b[124:135], 8).to_bytes(4, "big"))),
        [at("tar-header", S0, K0)],
    ),
    "tar header with a negative size": (_header(_put(124, b"\xff" * 12)), [at("tar-broken", S0)]),
    "tar header with a size beyond the file": (_header(_put(124, b"77777777777\0")), [at("tar-truncated", S0, K0)]),
    "tar header with a prefix": (_header(_put(345, b"shards")), [at("member-stray", S0), at("member-missing", S0, K0)]),
    "tar header of pax": (
        _archived(tarfile.PAX_FORMAT, pax_headers={"comment": "hidden"}),
        [at("index-place", I, K0, "/json_offset"), at("tar-header", S0)],
    ),
    "tar header of pax with a name": (
        _archived(tarfile.PAX_FORMAT, name=f"{K0}.json" + "x" * 200),
        [
            at("index-place", I, K0, "/json_offset"),
            at("index-place", I, K1, "/json_offset"),
            at("tar-header", S0),
            at("member-stray", S0),
            at("member-missing", S0, K0),
        ],
    ),
    "tar header of GNU with a long name": (
        _archived(tarfile.GNU_FORMAT, name=f"{K0}.json" + "x" * 200),
        [
            at("index-place", I, K0, "/json_offset"),
            at("index-place", I, K1, "/json_offset"),
            at("tar-header", S0),
            at("member-stray", S0),
            at("member-missing", S0, K0),
        ],
    ),
    "member is sparse": (_header(_put(156, b"S"), 1), [at("tar-header", S1, K3)]),
    "member is a link": (_header(_put(156, b"2"), 1), [at("tar-header", S1, K3), at("member-missing", S1, K3)]),
    "member is a hard link": (_header(_put(156, b"1"), 1), [at("tar-header", S1, K3), at("member-missing", S1, K3)]),
    "member is a device": (_header(_put(156, b"3"), 1), [at("tar-header", S1, K3), at("member-missing", S1, K3)]),
    "member is a folder": (_header(_put(156, b"5"), 1), [at("tar-header", S1, K3), at("member-missing", S1, K3)]),
    "member is a FIFO": (_header(_put(156, b"6"), 1), [at("tar-header", S1, K3), at("member-missing", S1, K3)]),
    "member of the old kind": (_header(_put(156, b"\0"), 1), [at("tar-header", S1, K3)]),
    "header checksum wrong": (_patch(lambda d: d.__setitem__(0, 0), 1), [at("tar-broken", S1)]),
    "padding not empty": (_pad, [at("tar-header", S0, K0)]),
    "end mark lost": (
        _patch(lambda d: d.rstrip(b"\0") + bytes(-len(d.rstrip(b"\0")) % 512), 2),
        [at("index-place", I, shard=SHARDS[2]), at("tar-truncated", S2, K6)],
    ),
    "tar cut inside an image": (
        _patch(lambda d: d[:2600]),
        [at("index-place", I, shard=SHARDS[0]), at("tar-truncated", S0, K0)],
    ),
    "tar cut inside a header": (
        _patch(lambda d: d[:200]),
        [at("index-place", I, shard=SHARDS[0]), at("tar-truncated", S0)],
    ),
    "tar empty": (_patch(lambda d: d[:512]), [at("index-place", I, shard=SHARDS[0]), at("tar-truncated", S0, K0)]),
    "bytes after the end": (
        _patch(lambda d: d + bytes(512)),
        [at("index-place", I, shard=SHARDS[0]), at("tar-end", S0)],
    ),
    "a record after the end": (
        _patch(lambda d: d + bytes(10240)),
        [at("index-place", I, shard=SHARDS[0]), at("tar-end", S0)],
    ),
    "a second tar after the end": (_patch(lambda d: d + d), [at("index-place", I, shard=SHARDS[0]), at("tar-end", S0)]),
    "noise in the end": (_patch(lambda d: d[:-1] + b"x"), [at("tar-end", S0)]),
    "not a tar": (_patch(lambda d: b"PK" + d[2:]), [at("tar-broken", S0)]),
}


@pytest.mark.parametrize("name", CASES)
def test_deep_mode_finds_exactly(name, folder):
    prove(folder, *CASES[name], deep=True)
