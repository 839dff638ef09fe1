"""One mixture of a crawl, a tree of manuals, and an annotation dump whose pictures come over HTTP, to validated shards."""

from __future__ import annotations

import collections
import gzip
import html
import io
import json
import pathlib

import PIL.Image
import pytest
import yaml
from fastwarc.warc import WarcRecord, WarcRecordType

from pipeline.cli import main
from pipeline.dataset import ledger
from pipeline.launch.build import build
from schemas.validate import validate
from tests.answers import MODEL, server
from tests.pipeline.runs import ROOT, demo_tree
from tests.pipeline.web import Server, answer

COHERENCE = ROOT / "build/models/coherence"
pytestmark = pytest.mark.skipif(not COHERENCE.is_dir(), reason="build/models is not there: run `make models`")

IMAGES = ROOT / "examples/corpus/images"
FORMATS = ("warc", "markdown", "mmc4")


def documents():
    """The example documents that are whole, as (title, [text or (image's name, alternative text)])."""
    for line in (ROOT / "examples/corpus/docs.jsonl").read_text().splitlines():
        if not line.startswith('{"id": "') or line.startswith(('{"id": "bad-', '{"id": "odd-')):
            continue
        record = json.loads(line)
        yield record["title"], [s.get("text") or (s["image"], s.get("alt", "")) for s in record["segments"]]


def smaller(path):
    """The picture at half its size: another file, the same picture."""
    out = io.BytesIO()
    image = PIL.Image.open(path).convert("RGB")
    image.resize((image.width // 2, image.height // 2)).save(out, "JPEG", quality=60)
    return out.getvalue()


def page(title, segments, site):
    """A page of a blog: the document, with a menu, advertisements and comments around it."""
    body = "".join(
        f'<figure><img src="{site}/{segment[0]}" alt="{html.escape(segment[1])}"></figure>'
        if isinstance(segment, tuple)
        else f"<h2>{html.escape(segment.lstrip('# '))}</h2>"
        if segment.startswith("#")
        else f"<p>{html.escape(segment)}</p>"
        for segment in segments
    )
    return f"""<!DOCTYPE html><html lang="en"><head><title>{html.escape(title)} | How we do it</title>
<link rel="stylesheet" href="/style.css"></head><body>
<header><nav class="menu"><ul><li><a href="/">Home</a></li><li><a href="/about">About</a></li></ul></nav>
<img src="{site}/logo.png" alt="logo"></header><main><article><h1>{html.escape(title)}</h1>{body}</article></main>
<aside class="sidebar"><h3>Our shop</h3><a href="/buy"><img src="{site}/banner.png"></a></aside>
<div id="comments" class="comments"><p>First!</p></div><footer>All rights reserved, 2020</footer></body></html>"""


def warc(pages):
    """A crawl: for each page its request and response, each a gzip member of its own."""
    out = b""
    for number, content in enumerate(pages):
        record = WarcRecord()
        record.init_headers(record_type=WarcRecordType.response)
        record.headers["WARC-Target-URI"] = f"https://blog.example.org/{number}/"
        record.headers["Content-Type"] = "application/http; msgtype=response"
        record.set_bytes_content(
            b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + content.encode()
        )
        written = io.BytesIO()
        record.write(written, checksum_data=False)
        out += gzip.compress(written.getvalue())
    return out


def markdown(title, segments):
    """A page of a manual, with its pictures in the folder `img`."""
    return f"# {title}\n\n" + "\n\n".join(
        f"![{segment[1]}](../img/{segment[0]})" if isinstance(segment, tuple) else segment
        for segment in segments
        if segment != f"# {title}"
    )


def mmc4(title, segments, site):
    """A line of MMC4, its pictures in no order."""
    texts, images = [title], []
    for segment in segments:
        if isinstance(segment, tuple):
            images.append({"image_name": f"{len(images)}.jpg", "raw_url": f"{site}/{segment[0]}"})
            images[-1] |= {"matched_text_index": len(texts) - 1, "matched_sim": 0.3}
        else:
            texts.append(segment)
    return {
        "url": f"https://example.com/{len(title)}",
        "text_list": texts,
        "image_info": images[::-1],
        "similarity_matrix": [],
        "could_have_url_duplicate": 0,
    }


@pytest.fixture(scope="module")
def web():
    """Serves the example pictures; some are gone, reserved or damaged."""
    answers = {f"/{path.name}": answer(path.read_bytes()) for path in IMAGES.iterdir()}
    robots = answer(b"User-agent: *\nDisallow: /forbidden/\n")
    good = next(IMAGES.glob("*.jpg")).read_bytes()
    answers |= {
        "/robots.txt": robots,
        "/reserved.jpg": answer(good, headers=[("X-Robots-Tag", "noml")]),
        "/gone.jpg": answer(status=404),
        "/cut.jpg": answer(good[:2000]),
        "/again.jpg": answer(smaller(IMAGES / next(documents())[1][2][0])),
    }
    with Server(answers) as site:
        yield site


@pytest.fixture(scope="module")
def config(tmp_path_factory, web):
    folder, site = tmp_path_factory.mktemp("corpora"), web.url("")
    given = list(documents())[:24]
    (folder / "manual/en").mkdir(parents=True)
    (folder / "manual/img").mkdir()
    for number, (title, segments) in enumerate(given[1::3]):
        (folder / f"manual/en/{number}.md").write_text(markdown(title, segments))
        for name in (segment[0] for segment in segments if isinstance(segment, tuple)):
            (folder / f"manual/img/{name}").write_bytes((IMAGES / name).read_bytes())
    (folder / "crawl.warc.gz").write_bytes(warc([page(*one, site) for one in given[0::3]]))
    lines = [mmc4(*one, site) for one in given[2::3]]
    for name in ("reserved.jpg", "gone.jpg", "cut.jpg", "forbidden/a.jpg", "again.jpg"):
        lines[0]["image_info"].append(
            {"image_name": "x.jpg", "raw_url": f"{site}/{name}", "matched_text_index": 0, "matched_sim": 0.3}
        )
    (folder / "docs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    tree = demo_tree()
    tree["llm"]["name"] = MODEL
    tree["clip"]["model"] = f"local-dir:{COHERENCE}"
    tree["images"] = {"allow_private_hosts": True, "timeout": 30.0}
    tree["web"] = {"contact": "crawl@example.org"}
    tree["duplicates"] = {"image_distance": 4}
    tree["corpora"] = [
        {"format": "warc", "path": f"{folder}/crawl.warc.gz"},
        {"format": "markdown", "path": f"{folder}/manual"},
        {"format": "mmc4", "path": f"{folder}/docs.jsonl"},
    ]
    (folder / "mixture.yaml").write_text(yaml.safe_dump(tree))
    return str(folder / "mixture.yaml")


@pytest.fixture(scope="module")
def built(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    with server() as llm:
        build(config, str(folder / "out"), llm_url=llm.url, work=str(folder / "work"))
    return folder


def outcomes(folder: pathlib.Path):
    return list(ledger.read_outcomes(str(folder / "out")))


def test_the_mixture_is_valid_and_each_source_has_instances_in_it(built):
    assert validate(built / "out", deep=True) == []
    assert main(["validate", str(built / "out"), "--deep"]) == 0
    rows = outcomes(built)
    assert len(rows) == 24
    kept = collections.Counter(row.source for row in rows if row.status == "kept")
    assert set(kept) == {*FORMATS} and min(kept.values()) >= 4, kept


def test_pictures_of_the_web_and_of_the_tree_are_stored_and_the_rest_of_a_page_is_not(built, web):
    rows = {row.source: row for row in outcomes(built) if row.status == "kept"}
    assert all(row.images >= 1 for row in rows.values())
    assert web.rules == ["/robots.txt", "/.well-known/tdmrep.json"]
    assert len(web.asked) == len(set(web.asked)) > 20
    assert not {"/logo.png", "/banner.png", "/forbidden/a.jpg"} & set(web.asked)
    assert all("crawl@example.org" in agent for agent in web.agents)


def test_the_ledger_says_why_a_picture_of_the_web_was_lost(built):
    lost = {
        drop.uri.rpartition("/")[2]: drop.drop.rule
        for row in outcomes(built)
        for drop in row.dropped_images
        if drop.stage == "store_images"
    }
    assert lost == {"reserved.jpg": "opted_out", "gone.jpg": "not_found", "cut.jpg": "truncated", "a.jpg": "robots"}


def test_a_picture_of_the_crawl_that_comes_again_in_the_dump_goes_and_names_it(built):
    lost = {
        drop.uri.rpartition("/")[2]: (row.source, drop.drop.rule, drop.detail)
        for row in outcomes(built)
        for drop in row.dropped_images
        if drop.stage == "compare_images"
    }
    source, rule, detail = lost["again.jpg"]
    first = next(documents())[1][2][0]
    assert (source, rule) == ("mmc4", "repeated_image")
    assert f"/{first} of crawl.warc.gz:0" in detail and first not in lost


def test_another_run_fetches_nothing_and_gives_the_same_bytes(built, config, web, tmp_path):
    asked = len(web.asked)
    with server() as llm:
        build(config, str(tmp_path / "out"), llm_url=llm.url, work=str(built / "work"))
    assert len(web.asked) == asked
    assert (tmp_path / "out/manifest.json").read_bytes() == (built / "out/manifest.json").read_bytes()
