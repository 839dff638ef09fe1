from __future__ import annotations

import pytest

from pipeline.corpora import native
from schemas.records import Image, Text


def test_every_field_arrives(read_one, tmp_path):
    document = read_one(
        "native",
        {
            "id": "d1",
            "source": "manuals",
            "url": "https://example.org/saw",
            "license": "CC0-1.0",
            "title": "The &lt;saw&gt; &amp;\n its use",
            "source_path": "ignored",
            "segments": [
                {"text": "## Saws "},
                {"text": " \n"},
                {
                    "image": "a.jpg",
                    "alt": "a saw",
                    "caption": "A saw.",
                    "width": 640,
                    "height": 480,
                    "source_path": "x",
                },
                {"image": "https://example.org/b.png"},
            ],
        },
    )
    assert (document.id, document.source, document.url) == ("d1", "manuals", "https://example.org/saw")
    assert (document.license, document.title) == ("CC0-1.0", "The <saw> & its use")
    assert document.segments == (
        Text("## Saws"),
        Image(f"{tmp_path}/images/a.jpg", "a saw", "A saw.", 640, 480),
        Image("https://example.org/b.png"),
    )
    assert document.location == f"{tmp_path}/docs.jsonl:1"


def test_halves_of_links_around_pictures_go(read_one):
    document = read_one(
        "native",
        {
            "id": "d",
            "segments": [
                {"text": "1. Saw. ["},
                {"image": "a.jpg"},
                {"text": "](large.jpg)\n2. Sand."},
                {"text": "["},
                {"image": "b.jpg"},
            ],
        },
    )
    assert document.texts == ("1. Saw.", "2. Sand.") and len(document.images) == 2


def test_optional_fields_may_be_null_or_absent(read_one):
    document = read_one(
        "native", {"id": 7, "title": None, "segments": [{"image": "a.jpg", "alt": None, "width": None}]}
    )
    assert (document.id, document.source, document.title, document.url) == ("7", "native", "", "")
    assert (document.images[0].alt, document.images[0].width) == ("", None)


def test_a_blank_source_is_no_source(read_one):
    for blank in ("", " \n"):
        assert read_one("native", {"id": "d", "source": blank, "segments": []}).source == "native"


def test_the_url_is_made_from_repo_commit_and_path(read_one):
    where = {"repo": "a/b", "commit": "0f", "path": "docs/My page.md"}
    made = "https://github.com/a/b/blob/0f/docs/My%20page.md"
    assert read_one("native", {"id": "d", "segments": [], **where}).url == made
    assert read_one("native", {"id": "d", "segments": [], "url": "https://x.org", **where}).url == "https://x.org"
    assert read_one("native", {"id": "d", "segments": [], "repo": "a/b"}).url == ""


def test_what_is_refused(read_one):
    def detail(**fields):
        fault = read_one("native", {"id": "d", "segments": [], **fields})
        assert fault.error == "bad_record"
        return fault.detail

    assert "id must not be blank" in detail(id=" ")
    assert "id must be a string, not bool" in detail(id=True)
    assert "id must be a string, not missing" in detail(id=None)
    assert "control characters" in detail(id="a\nb")
    assert "title must be a string, not list" in detail(title=["a"])
    assert "segments must be a list, not str" in detail(segments="text")
    assert "segments[1] must be an object, not str" in detail(segments=[{"text": "a"}, "b"])
    assert detail(segments=[{"text": "a"}, {"txt": "a", "<b>": 1}]).endswith(
        "segments[1] has neither text nor image, but txt"
    )
    assert detail(segments=[{}]).endswith("segments[0] has neither text nor image")
    assert detail(segments=[{"image": None}]).endswith("segments[0] has neither text nor image")
    assert "text must be a string, not missing" in detail(segments=[{"text": None}])
    assert "image must be a string, not int" in detail(segments=[{"image": 3}])
    assert "segments[0] has both text and image" in detail(segments=[{"text": "a", "image": "b.jpg"}])
    for size in (0, -3, "640", 12.5, True, float("nan"), 2**31, 10**17):
        assert "width must be a whole number" in detail(segments=[{"image": "a.jpg", "width": size}])


def test_an_image_name_cannot_leave_the_corpus(read_one):
    for name in ("/etc/passwd", "../a.jpg", "a/../../b.jpg", "..", "", "a\\..\\b", "a\0.jpg", "a/../.."):
        fault = read_one("native", {"id": "d", "segments": [{"image": name}]})
        assert "is no file name inside the corpus" in fault.detail
    document = read_one("native", {"id": "d", "segments": [{"image": "file:///etc/passwd"}, {"image": "sub/./a.jpg"}]})
    assert [i.uri.partition("/images/")[2] for i in document.images] == ["file:/etc/passwd", "sub/a.jpg"]


def test_a_table_with_both_columns_may_leave_one_of_them_empty(read_one):
    segments = [{"text": "Saw.", "image": None}, {"text": None, "image": "a.jpg"}, {"text": " ", "image": "b.jpg"}]
    document = read_one("native", {"id": "d", "segments": segments})
    assert document.texts == ("Saw.",) and len(document.images) == 2


@pytest.mark.parametrize(
    "fields, warned",
    [
        ({"licence": "CC0-1.0"}, ["'licence' is ignored; is 'license' meant?"]),
        ({"titel": "A saw"}, ["'titel' is ignored; is 'title' meant?"]),
        ({"Title": "A saw"}, ["'Title' is ignored; is 'title' meant?"]),
        ({"licence": "CC0-1.0", "license": "CC0-1.0"}, []),
        ({"source_path": "x", "language": "en", "licence" * 9: 1}, []),
    ],
)
def test_a_field_that_looks_misspelt_is_warned_of_once(read_all, jsonl, caplog, fields, warned):
    native._warn.cache_clear()
    path = jsonl(*({"id": n, "segments": [], **fields} for n in range(3)))
    assert len(read_all("native", path)) == 3
    assert [record.getMessage().removeprefix("native: the field ") for record in caplog.records] == warned


def test_a_misspelt_field_of_a_segment_is_warned_of(read_one, caplog):
    native._warn.cache_clear()
    read_one("native", {"id": "d", "segments": [{"image": "a.jpg", "captoin": "A saw."}]})
    assert "is 'caption' meant?" in caplog.text
