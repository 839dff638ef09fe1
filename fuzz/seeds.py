"""A few small good inputs for each target: what a fuzzer changes. They are made here, so that none is kept as a file."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from typing import cast

import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from pipeline import corpora
from prompts.control import TOKENS

LINE = (
    json.dumps({"id": "d", "title": "T", "segments": [{"text": "Cut."}, {"image": "a.jpg", "alt": "a saw"}]}).encode()
    + b"\n"
)


def of(target: str) -> list[bytes]:
    """The seeds of a target."""
    found: list[bytes] = globals()[f"_{target}"]()
    return found


def _records() -> list[bytes]:
    from tests.pipeline.corpora.test_hostile import PAGES, RECORDS

    seeds = []
    for number, name in enumerate(sorted(corpora.FORMATS)):
        seeds.append(
            bytes([number]) + (PAGES[name] if name in PAGES else json.dumps(RECORDS[name], default=str).encode())
        )
    return seeds


def _files() -> list[bytes]:
    zipped, parquet = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", LINE)
        archive.writestr("b.jsonl", LINE)
    pq.write_table(pa.table({"texts": [["Cut.", None]], "images": [[None, "https://example.org/a.jpg"]]}), parquet)
    return [
        b"\0" + LINE * 3,
        b"\1" + gzip.compress(LINE * 3),
        b"\2" + zipped.getvalue(),
        b"\3" + _tars()[0],
        b"\4" + parquet.getvalue(),
        *_whole_files(),
    ]


def _whole_files() -> list[bytes]:
    """Files that are neither lines nor rows."""
    from tests.pipeline.corpora.test_hostile import PAGES, RECORDS

    step = {"photo_flickr_id": "9", "album_id": "2", "story_id": "1", "worker_arranged_photo_order": 0, "text": "a"}
    stories = {"images": [{"id": "9"}], "albums": [{"id": "2"}], "annotations": [[step]]}
    videos = {"database": {"v": cast(dict[str, object], RECORDS["youcook2"]) | {"subset": "training"}}}
    response = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Encoding: gzip\r\n\r\n"
    response += gzip.compress(PAGES["html"])
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://example.org/\r\nContent-Type: application/http\r\n"
    )
    pickled, shard = io.BytesIO(), io.BytesIO()
    torch.save([RECORDS["comm"]], pickled)
    with tarfile.open(fileobj=shard, mode="w") as tar:
        info = tarfile.TarInfo("1.json")
        info.size = len(data := json.dumps(RECORDS["mint1t"]).encode())
        tar.addfile(info, io.BytesIO(data))
    return [
        b"\5" + json.dumps([RECORDS["m4_instruct"]] * 2).encode(),
        b"\6" + json.dumps(stories).encode(),
        b"\7" + json.dumps(videos).encode(),
        b"\x08" + shard.getvalue(),
        b"\x09" + f"{head}Content-Length: {len(response)}\r\n\r\n".encode() + response + b"\r\n\r\n",
        b"\x0a" + pickled.getvalue(),
    ]


def _tars() -> list[bytes]:
    seeds = []
    for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=format) as tar:
            for name in ("docs.jsonl", "é.jsonl", "long/" * (15 if format == tarfile.USTAR_FORMAT else 40) + "x.jsonl"):
                info = tarfile.TarInfo(name)
                info.size = len(LINE)
                tar.addfile(info, io.BytesIO(LINE))
        seeds.append(out.getvalue())
    return seeds


def _pixels() -> list[bytes]:
    seeds = []
    picture = PIL.Image.effect_noise((24, 16), 60).convert("RGB")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    for format, mode, options in (
        ("JPEG", "RGB", {"exif": exif}),
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "RGB", {}),
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {"exif": exif}),
        ("PNG", "P", {}),
        ("PNG", "I;16", {}),
        ("GIF", "P", {}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("BMP", "RGB", {}),
        ("BMP", "P", {}),
        ("AVIF", "RGB", {}),
    ):
        out = io.BytesIO()
        (picture.convert("L") if mode == "I;16" else picture).convert(mode).save(out, format, **options)
        seeds.append(out.getvalue())
    return seeds


_headers = _pixels


def _replies() -> list[bytes]:
    token = {
        "token": "5",
        "logprob": -0.1,
        "top_logprobs": [{"token": "5", "logprob": -0.1}, {"token": "4", "logprob": -9999.0}],
    }
    choice = {"finish_reason": "stop", "message": {"content": '{"fluency": 5}'}, "logprobs": {"content": [token]}}
    return [
        json.dumps({"choices": [choice], "usage": {"prompt_tokens": 9}}).encode(),
        b'{"error": {"message": "too long", "code": 400}}',
        b'{"choices": [{"message": {"content": null}}]}',
    ]


def _servers() -> list[bytes]:
    body = _pixels()[3][:200]
    return [
        b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /b.jpg\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Robots-Tag: otherbot: noai, nofollow\r\nTDM-Reservation: 1\r\nContent-Length: 0\r\n\r\n",
    ]


def _rules() -> list[bytes]:
    return [
        b"User-agent: *\nDisallow: /a/*.gif$\nAllow: /a/b\nCrawl-delay: 2.5\nRequest-rate: 1/10s\n\0\0a/b.gif",
        b"User-agent: LeafInstruct\nRequest-rate: 5/" + b"9" * 400 + b"m 0400-0845\nVisit-time: 0400-0845\n\0\0a",
        b"User-agent: x\nUser-agent: *\nDisallow: /%E4%zz\n" + b'\0[{"location": "/a*b$", "tdm-reservation": 1}]\0a/b',
    ]


def _addresses() -> list[bytes]:
    return [
        b"http://example.org:80/a.jpg?x=1#y",
        b"//example.org/a.jpg",
        b"../a.jpg",
        b"https://[2001:db8::1]:443/",
        b"http://me@x/",
        "http://bücher.example/ä".encode(),
        b"file:///etc/passwd",
    ]


def _texts() -> list[bytes]:
    return [
        "Cut – 木 \x1b[31m\u202e\u200b|<b>http://x www.x me@x.org".encode(),
        " ".join(TOKENS).encode(),
        "".join(TOKENS[:9]).encode(),
    ]


def _folders() -> list[bytes]:
    from fuzz.targets import _published

    folder = _published()
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [bytes([number]) + path.read_bytes() for number, path in enumerate(paths)]
