"""Planted damage to instances: scores that do not follow from each other, thresholds that are not kept, images outside
their form. Everything else follows, so that the check itself is proven."""

from __future__ import annotations

import json
import struct
import zlib

import PIL.Image
import PIL.PngImagePlugin
import pytest

from schemas.codec import json_bytes
from tests.schemas import example
from tests.schemas.damage import (
    KEYS,
    L0,
    S0,
    S1,
    S2,
    I,
    at,
    bomb,
    configured,
    edit,
    encoded,
    image,
    rewrite,
)
from tests.schemas.prove import prove

K0, K1, K2, K3, K4, K5, K6 = KEYS
JPEG, PNG = example.picture(5), example.picture(5, "PNG")


def _scores(number: int = 0, **fields):
    """Other scores in the JSON of a sample."""
    return lambda f: edit(f, number, lambda value: value["scores"].update(fields))


def _change(number: int, **fields):
    return lambda f: edit(f, number, lambda value: value.update(fields))


def _same_image(folder, similarity=0.5):
    """The second image of the first sample is the third as well."""

    def change(files):
        value = json.loads(files[0][1])
        one, two = value["output"][2:4]
        two["sha256"] = one["sha256"]
        value["scores"]["max_previous_similarity"][2] = similarity
        return [(files[0][0], json_bytes(value)), *files[1:3], (files[3][0], files[2][1]), *files[4:]]

    rewrite(folder, 0, change)


def _repeat(folder):
    """The context word for word in the output, with the same image."""

    def change(files):
        value = json.loads(files[0][1])
        value["output"][1:3] = [*value["context"][:1], {**value["output"][2], "sha256": value["context"][1]["sha256"]}]
        value["scores"]["max_previous_similarity"][1] = 0.9999
        return [(files[0][0], json_bytes(value)), *files[1:2], (files[2][0], files[1][1]), *files[3:]]

    rewrite(folder, 0, change)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(*chunks: bytes) -> bytes:
    """A PNG of 24 x 16 with these chunks in the place of its data."""
    return PNG[:33] + b"".join(chunks) + PNG[-12:]


LINES = zlib.decompress(PNG[41:-16])
"""The data of the little PNG, whose only IDAT stands behind the header."""


def _idat(data: bytes) -> bytes:
    return _chunk(b"IDAT", data)


def _png_in(data: bytes):
    """A damage: other bytes in the place of a PNG."""
    return image(data, 0, "00.png")


def _segment_in_jpeg(marker: int, body: bytes) -> bytes:
    """The JPEG with a segment behind its JFIF header."""
    return JPEG[:20] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + JPEG[20:]


def _two_scans() -> bytes:
    start = JPEG.index(b"\xff\xda")
    return JPEG[:-2] + JPEG[start:]


CASES = {
    "cosine of 2": (_scores(matched=[2.0, 0.22, 0.23]), [at("instance-schema", S0, K0, "/scores/matched/0")]),
    "rating of 6": (
        _scores(ratings={**example.RATINGS, "fluency": 6.0}),
        [
            at("index-value", I, K0, "/ratings"),
            at("ledger-row", L0, K0, "/scores"),
            at("instance-schema", S0, K0, "/scores/ratings/fluency"),
        ],
    ),
    "rating lost": (
        lambda f: edit(f, 0, lambda v: v["scores"]["ratings"].pop("fluency")),
        [at("index-schema", I), at("ledger-row", L0, K0, "/scores"), at("scores", S0, K0, "/scores/ratings")],
    ),
    "mean is not the mean": (_scores(coherence=0.5), [at("scores", S0, K0, "/scores/coherence")]),
    "margin does not follow": (_scores(margin=0.06), [at("scores", S0, K0, "/scores/margin")]),
    "margin does not follow, for a single image": (
        _scores(1, margin=0.06, recall_at_1=1.0),
        [at("scores", S0, K1, "/scores/margin")],
    ),
    "no margin, and two different scores": (
        _scores(margin=None, recall_at_1=None),
        [
            at("ledger-row", L0, K0, "/scores"),
            at("scores", S0, K0, "/scores/margin"),
        ],
    ),
    "margin without recall": (
        _scores(recall_at_1=None),
        [
            at("index-value", I, K0, "/margin"),
            at("ledger-row", L0, K0, "/scores"),
            at("scores", S0, K0, "/scores/margin"),
        ],
    ),
    "recall that no number of images gives": (
        _scores(recall_at_1=0.5123),
        [at("scores", S0, K0, "/scores/recall_at_1")],
    ),
    "recall of more than all": (
        _scores(recall_at_1=1.5),
        [
            at("index-value", I, K0, "/recall_at_1"),
            at("ledger-row", L0, K0, "/scores"),
            at("instance-schema", S0, K0, "/scores/recall_at_1"),
        ],
    ),
    "a score too few": (
        _scores(max_previous_similarity=[-1.0]),
        [at("scores", S0, K0, "/scores/max_previous_similarity")],
    ),
    "a score too many": (_scores(mismatched=[0.17, 0.18, 0.19, 0.2]), [at("scores", S0, K0, "/scores/mismatched")]),
    "a first image like an earlier one": (
        _scores(max_previous_similarity=[0.5, 0.5, 0.25]),
        [at("scores", S0, K0, "/scores/max_previous_similarity/0")],
    ),
    "score not rounded": (_scores(matched=[0.220001, 0.23, 0.24]), [at("scores", S0, K0, "/scores/matched")]),
    "rating not rounded": (
        _scores(ratings={**example.RATINGS, "fluency": 4.000001}),
        [
            at("index-value", I, K0, "/ratings"),
            at("ledger-row", L0, K0, "/scores"),
            at("scores", S0, K0, "/scores/ratings"),
        ],
    ),
    "an image below the threshold": (
        _scores(matched=[0.05, 0.23, 0.41]),
        [at("threshold", S0, K0, "/scores/matched/0")],
    ),
    "an image too much like another": (
        _scores(max_previous_similarity=[-1.0, 0.96, 0.25]),
        [at("threshold", S0, K0, "/scores/max_previous_similarity/1")],
    ),
    "coherence below the threshold": (
        _scores(matched=[0.1, 0.1, 0.11], mismatched=[0.05, 0.05, 0.06], coherence=0.1033),
        [at("threshold", I, K0, "/coherence"), at("ledger-row", L0, K0, "/scores")],
    ),
    "margin below the threshold": (
        _scores(mismatched=[0.21, 0.22, 0.23], margin=0.01),
        [at("threshold", I, K0, "/margin"), at("ledger-row", L0, K0, "/scores")],
    ),
    "rating below the threshold": (
        _scores(ratings={**example.RATINGS, "fluency": 2.9}),
        [at("threshold", I, K0, "/ratings"), at("ledger-row", L0, K0, "/scores")],
    ),
    "mean rating below the threshold": (
        _scores(ratings=dict.fromkeys(example.RATINGS, 3.9)),
        [at("threshold", I, K0, "/ratings"), at("ledger-row", L0, K0, "/scores")],
    ),
    "another threshold, which an image misses": (
        configured("coherence", "matched_at_least", value=0.21),
        [at("ledger-row", L0, pointer="/dropped_images/1/drop"), at("threshold", S1, K4, "/scores/matched/0")],
    ),
    "another threshold, which a text misses": (
        configured("excerpt", "min_words", value=26),
        [
            at("threshold", S0, K0, "/output"),
            at("threshold", S0, K1, "/output"),
            at("threshold", S0, K2, "/output"),
            at("threshold", S1, K3, "/output"),
            at("threshold", S1, K4, "/output"),
            at("threshold", S1, K5, "/output"),
            at("threshold", S2, K6, "/output"),
        ],
    ),
    "another threshold, which sides miss": (
        configured("images", "max_side", value=20),
        [
            at("image-side", S0, K0, "/context/1/image"),
            at("image-side", S0, K0, "/output/2/image"),
            at("image-side", S0, K0, "/output/3/image"),
            at("image-side", S0, K1, "/output/2/image"),
            at("image-side", S0, K2, "/context/1/image"),
            at("image-side", S0, K2, "/output/2/image"),
            at("image-side", S0, K2, "/output/3/image"),
            at("image-side", S1, K3, "/context/1/image"),
            at("image-side", S1, K3, "/output/2/image"),
            at("image-side", S1, K4, "/output/2/image"),
            at("image-side", S1, K5, "/output/2/image"),
            at("image-side", S2, K6, "/context/1/image"),
            at("image-side", S2, K6, "/output/2/image"),
        ],
    ),
    "another threshold, which numbers of images miss": (
        configured("excerpt", "max_images", value=2),
        [at("threshold", I, K0, "/images"), at("threshold", I, K2, "/images")],
    ),
    "text too long": (
        lambda f: edit(f, 0, lambda v: v["output"][1].update(text="word " * 60)),
        [at("threshold", S0, K0, "/output")],
    ),
    "text too short": (
        _change(1, output=[{"type": "text", "text": "Do."}, *json.loads(example.sample(3)[0])["output"][2:3]]),
        [at("threshold", S0, K1, "/output")],
    ),
    "the same image twice, unlike itself": (_same_image, [at("scores", S0, K0, "/scores/max_previous_similarity/2")]),
    "the same image twice, against the threshold": (
        lambda f: _same_image(f, 1.0),
        [at("threshold", S0, K0, "/scores/max_previous_similarity/2")],
    ),
    "context again in the output": (
        _repeat,
        [
            at("threshold", S0, K0, "/scores/max_previous_similarity/1"),
            at("repeat", S0, K0, "/context"),
            at("image-format", S0, K0, "/output/2/image"),
        ],
    ),
    "image cut": (image(JPEG[:400]), [at("image-undecodable", S0, K0, "/output/2/image")]),
    "image cut before its size": (image(JPEG[:100]), [at("image-undecodable", S0, K0, "/output/2/image")]),
    "image empty": (
        image(b""),
        [at("index-place", I, K0, "/json_offset"), at("image-undecodable", S0, K0, "/output/2/image")],
    ),
    "image is text": (image(b"<html>404</html>"), [at("image-undecodable", S0, K0, "/output/2/image")]),
    "image is a GIF": (image(encoded(form="GIF")), [at("image-undecodable", S0, K0, "/output/2/image")]),
    "image is a WebP": (image(encoded(form="WEBP")), [at("image-undecodable", S0, K0, "/output/2/image")]),
    "image is a bomb": (image(bomb()), [at("image-undecodable", S0, K0, "/output/2/image")]),
    "image is a bomb, and says so": (
        image(bomb(), width=60000, height=60000),
        [at("image-undecodable", S0, K0, "/output/2/image")],
    ),
    "image grey": (image(encoded("L")), [at("image-mode", S0, K0, "/output/2/image")]),
    "image CMYK": (image(encoded("CMYK")), [at("image-mode", S0, K0, "/output/2/image")]),
    "image of other format": (image(PNG), [at("image-format", S0, K0, "/output/2/image")]),
    "image of other width": (image(example.picture(5, size=(25, 16))), [at("image-size", S0, K0, "/output/2/width")]),
    "image of other height": (image(example.picture(5, size=(24, 17))), [at("image-size", S0, K0, "/output/2/height")]),
    "image too large": (
        image(example.picture(5, size=(65, 16)), width=65),
        [at("image-side", S0, K0, "/output/2/image")],
    ),
    "image progressive": (image(encoded(progressive=True)), [at("image-form", S0, K0, "/output/2/image")]),
    "image with EXIF": (
        image(_segment_in_jpeg(0xE1, b"Exif\0\0" + bytes(20))),
        [at("image-form", S0, K0, "/output/2/image")],
    ),
    "image with a comment": (image(_segment_in_jpeg(0xFE, b"hidden")), [at("image-form", S0, K0, "/output/2/image")]),
    "image with a colour profile": (
        image(_segment_in_jpeg(0xE2, b"ICC_PROFILE\0" + bytes(20))),
        [at("image-form", S0, K0, "/output/2/image")],
    ),
    "image with a thumbnail": (image(JPEG[:18] + b"\1\1" + JPEG[20:]), [at("image-form", S0, K0, "/output/2/image")]),
    "image with bytes behind its end": (image(JPEG + b"hidden"), [at("image-form", S0, K0, "/output/2/image")]),
    "image with another behind its end": (image(JPEG + JPEG), [at("image-form", S0, K0, "/output/2/image")]),
    "image with bytes before its header": (image(b"\xff" + JPEG), [at("image-undecodable", S0, K0, "/output/2/image")]),
    "image with two scans": (image(_two_scans()), [at("image-form", S0, K0, "/output/2/image")]),
    "image without data": (
        image(JPEG[: JPEG.index(b"\xff\xda")] + b"\xff\xd9"),
        [at("image-undecodable", S0, K0, "/output/2/image")],
    ),
    "PNG with an alpha channel": (_png_in(encoded("RGBA", "PNG")), [at("image-mode", S0, K0, "/context/1/image")]),
    "PNG with a palette": (_png_in(encoded("P", "PNG")), [at("image-mode", S0, K0, "/context/1/image")]),
    "PNG with a text": (
        _png_in(_png(_chunk(b"tEXt", b"a\0hidden"), PNG[33:-12])),
        [at("image-form", S0, K0, "/context/1/image")],
    ),
    "PNG with a colour profile": (
        _png_in(_png(_chunk(b"gAMA", bytes(4)), PNG[33:-12])),
        [at("image-form", S0, K0, "/context/1/image")],
    ),
    "PNG animated": (
        _png_in(encoded(form="PNG", save_all=True, append_images=[PIL.Image.new("RGB", (24, 16), "red")])),
        [at("image-form", S0, K0, "/context/1/image")],
    ),
    "PNG interlaced": (
        _png_in(PNG[:28] + b"\1" + struct.pack(">I", zlib.crc32(PNG[12:28] + b"\1")) + PNG[33:]),
        [at("image-form", S0, K0, "/context/1/image")],
    ),
    "PNG with a wrong checksum": (
        _png_in(PNG[:-13] + bytes([PNG[-13] ^ 1]) + PNG[-12:]),
        [at("image-undecodable", S0, K0, "/context/1/image")],
    ),
    "PNG with bytes behind its end": (_png_in(PNG + b"hidden"), [at("image-form", S0, K0, "/context/1/image")]),
    "PNG with data behind its lines": (
        _png_in(_png(_idat(zlib.compress(LINES + b"hidden")))),
        [at("image-undecodable", S0, K0, "/context/1/image")],
    ),
    "PNG with bytes behind its data": (
        _png_in(_png(_idat(PNG[41:-16] + b"hidden"))),
        [at("image-undecodable", S0, K0, "/context/1/image")],
    ),
    "PNG with too few lines": (
        _png_in(_png(_idat(zlib.compress(LINES[:-73])))),
        [at("image-undecodable", S0, K0, "/context/1/image")],
    ),
    "PNG that inflates without end": (
        _png_in(_png(_idat(zlib.compress(bytes(50_000_000), 9)))),
        [at("image-undecodable", S0, K0, "/context/1/image")],
    ),
    "PNG with an unknown filter": (
        _png_in(_png(_idat(zlib.compress(b"\x09" + LINES[1:])))),
        [at("image-undecodable", S0, K0, "/context/1/image")],
    ),
    "PNG cut": (_png_in(PNG[:-20]), [at("image-form", S0, K0, "/context/1/image")]),
    "PNG without data": (_png_in(_png()), [at("image-form", S0, K0, "/context/1/image")]),
}


@pytest.mark.parametrize("name", CASES)
def test_deep_mode_finds_exactly(name, folder):
    prove(folder, *CASES[name], deep=True)
