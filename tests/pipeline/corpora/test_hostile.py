"""Records with anything in any place: a reader refuses them with a reason, and never stumbles over a type."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.corpora import FORMATS, format_of
from pipeline.corpora.parts import Place
from schemas.errors import RecordFault
from schemas.records import Document

RECORDS = {
    "native": {
        "id": "d",
        "source": "s",
        "url": "",
        "license": "MIT",
        "title": "T",
        "repo": "a/b",
        "commit": "0f",
        "path": "p.md",
        "segments": [{"text": "Cut."}, {"image": "a.jpg", "alt": "a saw", "caption": "", "width": 3, "height": 4}],
    },
    "mmc4": {
        "url": "u",
        "text_list": ["Cut.", "Saw."],
        "image_info": [{"image_name": "a.jpg", "raw_url": "https://example.org/a.jpg", "matched_text_index": 1}],
    },
    "obelics": {
        "texts": ["Cut.", None],
        "images": [None, "https://example.org/a.jpg"],
        "metadata": json.dumps([None, {"alt_text": "a saw", "original_width": 3, "original_height": 4}]),
        "general_metadata": json.dumps({"url": "u"}),
    },
    "omnicorpus": {
        "texts": ["Cut.", None],
        "images": [None, "https://example.org/a.jpg"],
        "metadata": [None, {"alt_text": "a saw"}],
        "general_metadata": {"id": "d", "url": "u"},
    },
    "wikihow": {
        "file_id": "7",
        "goal": "Saw",
        "methods": [
            {
                "name": "By hand",
                "steps": [
                    {"step_id": "7_0", "headline": "Cut.", "description": "Slowly.", "img": "https://example.org/a.jpg"}
                ],
            }
        ],
    },
    "comm": {
        "data_id": "d",
        "title": None,
        "step_info": [[{"type": "text", "content": "Cut."}, {"type": "image", "url": None, "image_path": "a.jpg"}]],
    },
    "vist": {
        "story_id": "1",
        "album_id": "2",
        "title": "T",
        "photos": {"9": {"id": "9", "license": "4", "url_o": "u"}},
        "sentences": [
            {"photo_flickr_id": "9", "worker_arranged_photo_order": 0, "original_text": "A dog.", "text": "a dog ."}
        ],
    },
    "youcook2": {"id": "v", "title": None, "video_url": "u", "annotations": [{"segment": [1, 2.5], "sentence": "cut"}]},
    "mint1t": {"url": "u", "texts": ["Cut.", None], "images": [None, "page_0_image_1"], "member": "a.json"},
    "m4_instruct": {"sample_id": 3, "image": ["a.jpg"], "conversations": [{"from": "human", "value": "<image> What?"}]},
    "interleavedbench": {
        "id": "b",
        "goal": "g",
        "image": ["a.jpg"],
        "conversations": [{"from": "human", "value": "<BEGIN> Cut <image>."}],
    },
    "wikihow_folders": {"methods": [{"name": "By hand", "steps": [{"headline": "Cut.", "img": "a.jpg"}]}]},
    "instructpix2pix": {"caption": "a barn", "input": "a barn", "edit": "make it red"},
}
FILES = {"wikihow_folders": "7_saw/wikihow.json", "instructpix2pix": "0000007/prompt.json"}  # the record is a file
PAGES = {
    "markdown": b'---\ntitle: T\n---\n# Saw\n\n- Cut. ![a](a.png "b")\n\n<p><img src="b.png"></p>\n\n{% image "c.png" %}\n',
    "rst": b"Saw\n===\n\nCut |x|.\n\n.. |x| image:: a.png\n\n.. tabs::\n\n   .. figure:: b.png\n\n      Caption\n",
    "cnxml": b'<document xmlns="http://cnx.rice.edu/cnxml"><title>T</title><content><para>Cut.</para><figure><media alt="a">'
    b'<image src="../a.png"/></media><caption>C</caption></figure></content></document>',
    "html": b"<html><body><article><h1>Saw</h1><p>" + b"Cut the board along the line with a saw. " * 9 + b"</p><figure>"
    b"<img src='a.png'><figcaption>C</figcaption></figure></article></body></html>",
}
PAGES["warc"] = PAGES["html"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2**40)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | st.dates()
    | st.sampled_from(["[]", "{}", "[1, null]", '{"url": 3}', "\ud83d", "../a", "&#99999999;", "["])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "image", "id", "url", "steps", "alt_text", "width"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def places(value, path=()):
    """Every place in a record, as the keys that lead there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


@st.composite
def spoilt(draw, record):
    """The record with other values in one to three places."""
    record = copy.deepcopy(record)
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(list(places(record))))
        holder = record
        for key in path:
            holder = holder[key]
        if draw(st.booleans()):
            holder[last] = draw(VALUES)
        elif len(record) > 1:
            del holder[last]
    return record


@st.composite
def torn(draw, page):
    """The page with bytes cut out and others put in."""
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(page))] * 2)))
        page = (
            page[:start]
            + draw(
                st.binary(max_size=4)
                | st.sampled_from(
                    [
                        b"<img src='http://[x'>",
                        b"![](//[)",
                        b"<!--",
                        b"&#0;",
                        b"]]>",
                        b".. include:: /etc/passwd",
                        b"\x00",
                    ]
                )
            )
            + page[end:]
        )
    return page


def as_read(format, content, root):
    """The record as the format's files give it to the reader."""
    if format == "warc":
        return {"url": "https://example.org/saw", "html": content}
    if format in PAGES:
        return {"path": "docs/page", "data": content, "root": str(root)}
    if format in FILES:
        data = json.dumps(content, default=str).encode()
        return {"path": FILES[format], "data": data, "root": str(root)}
    return content


def place(tmp_path, format):
    return Place(format, "docs.jsonl:1", f"{tmp_path}/docs.jsonl:1", f"{tmp_path}/images", local=True)


def test_every_format_is_here():
    assert RECORDS.keys() | PAGES.keys() == FORMATS.keys()


@pytest.mark.parametrize("format", FORMATS)
def test_a_whole_record_is_read(format, tmp_path):
    (tmp_path / "0000007").mkdir()
    (tmp_path / "0000007" / "1_0.jpg").write_bytes(b"x")  # what instructpix2pix looks for
    record = as_read(format, RECORDS.get(format) or PAGES[format], tmp_path)
    [document] = format_of(format).documents(record, place(tmp_path, format))
    assert document.texts and document.images


@pytest.mark.parametrize("format", FORMATS)
@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_hostile_records_give_documents_or_reasons(format, tmp_path, data):
    """What `parts.read` makes a fault of; anything else that a reader raises would stop the run as a bug."""
    drawn = data.draw(spoilt(RECORDS[format]) if format in RECORDS else torn(PAGES[format]))
    record = as_read(format, drawn, tmp_path)
    try:
        documents = list(format_of(format).documents(record, place(tmp_path, format)))
    except (ValueError, LookupError, RecordFault):
        return
    for document in documents:
        assert type(document) is Document
        texts = [
            document.id,
            document.source,
            document.title,
            document.url,
            document.license,
            *document.texts,
            *(text for image in document.images for text in (image.uri, image.alt, image.caption)),
        ]
        assert all(type(text) is str for text in texts)
        assert all(type(side) in (int, type(None)) for image in document.images for side in (image.width, image.height))
