"""Records with anything in any place: a reader refuses them with a reason, and never stumbles over a type."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.corpora import FORMATS
from pipeline.corpora.parts import Place
from schemas.errors import RecordFault
from schemas.records import Document

RECORDS = {
    "native": {"id": "d", "source": "s", "url": "", "license": "MIT", "title": "T", "repo": "a/b", "commit": "0f",
               "path": "p.md", "segments": [{"text": "Cut."}, {"image": "a.jpg", "alt": "a saw", "caption": "",
                                                               "width": 3, "height": 4}]},
    "mmc4": {"url": "u", "text_list": ["Cut.", "Saw."], "image_info": [
        {"image_name": "a.jpg", "raw_url": "https://example.org/a.jpg", "matched_text_index": 1}]},
    "obelics": {"texts": ["Cut.", None], "images": [None, "https://example.org/a.jpg"],
                "metadata": json.dumps([None, {"alt_text": "a saw", "original_width": 3, "original_height": 4}]),
                "general_metadata": json.dumps({"url": "u"})},
    "omnicorpus": {"texts": ["Cut.", None], "images": [None, "https://example.org/a.jpg"],
                   "metadata": [None, {"alt_text": "a saw"}], "general_metadata": {"id": "d", "url": "u"}},
    "wikihow": {"file_id": "7", "goal": "Saw", "methods": [{"name": "By hand", "steps": [
        {"step_id": "7_0", "headline": "Cut.", "description": "Slowly.", "img": "https://example.org/a.jpg"}]}]},
}
SCALARS = (st.none() | st.booleans() | st.integers(-2, 2**40) | st.floats() | st.text(max_size=5) | st.binary(max_size=3)
           | st.dates() | st.sampled_from(["[]", "{}", "[1, null]", '{"url": 3}', "\ud83d", "../a", "&#99999999;", "["]))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(["text", "image", "id", "url", "steps", "alt_text", "width"]), inner, max_size=3), max_leaves=6)


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


def place(tmp_path, format):
    return Place(format, "docs.jsonl:1", f"{tmp_path}/docs.jsonl:1", f"{tmp_path}/images", local=True)


def test_every_format_is_here():
    assert RECORDS.keys() == FORMATS.keys()


@pytest.mark.parametrize("format", FORMATS)
def test_a_whole_record_is_read(format, tmp_path):
    [document] = FORMATS[format].documents(RECORDS[format], place(tmp_path, format))
    assert document.texts and document.images


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_hostile_records_give_documents_or_reasons(format, tmp_path, data):
    """What `parts.read` makes a fault of; anything else that a reader raises would stop the run as a bug."""
    record = data.draw(spoilt(RECORDS[format]))
    try:
        documents = list(FORMATS[format].documents(record, place(tmp_path, format)))
    except (ValueError, LookupError, RecordFault):
        return
    for document in documents:
        assert type(document) is Document
        texts = [document.id, document.source, document.title, document.url, document.license, *document.texts,
                 *(text for image in document.images for text in (image.uri, image.alt, image.caption))]
        assert all(type(text) is str for text in texts)
        assert all(type(side) in (int, type(None)) for image in document.images for side in (image.width, image.height))
