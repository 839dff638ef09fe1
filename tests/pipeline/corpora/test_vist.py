from __future__ import annotations

import pytest

from pipeline.corpora import lines, whole
from schemas.records import Image, Text


def photo(id_, **fields):
    return {
        "id": id_,
        "album_id": "77",
        "url_o": f"https://img.example.org/{id_}_o.jpg",
        "title": "",
        "license": "4",
        "media": "photo",
        "datetaken": "2005-03-02 09:15:00",
        **fields,
    }


def sentence(story, order, photo_id, text="Our dog ran ahead.", **fields):
    return [
        {
            "story_id": story,
            "storylet_id": f"{story}{order}",
            "album_id": "77",
            "photo_flickr_id": photo_id,
            "worker_id": "W1",
            "tier": "story-in-sequence",
            "worker_arranged_photo_order": order,
            "original_text": text,
            "text": text.lower(),
            **fields,
        }
    ]


@pytest.fixture
def read(tree, read_all):
    def read(images, annotations):
        return read_all(
            "vist",
            tree(
                **{
                    "train.story-in-sequence.json": {
                        "images": images,
                        "albums": [{"id": "77", "title": "Dog  day", "photos": "12"}],
                        "annotations": annotations,
                    }
                }
            ),
        )

    return read


def test_stories_are_in_photo_order_and_keep_their_album(read, tmp_path):
    first, second = read(
        [photo("9001"), photo("9002", license="2")],
        [
            sentence("501", 1, "9002", "Then he swam."),
            sentence("502", 0, "9001", "A park."),
            sentence("501", 0, "9001"),
        ],
    )
    assert (first.id, second.id, first.title) == ("77_501", "77_502", "Dog day")
    assert first.segments == (
        Text("Our dog ran ahead."),
        Image("https://img.example.org/9001_o.jpg"),
        Text("Then he swam."),
        Image("https://img.example.org/9002_o.jpg"),
    )
    assert (first.license, second.license) == ("CC-BY-2.0 and CC-BY-NC-2.0", "CC-BY-2.0")


def test_local_photos_come_first_and_gone_ones_are_missing(read, tree, tmp_path):
    tree(**{"images/9001.png": b"x"})
    [story] = read(
        [photo("9001"), photo("9003", url_o=None)],
        [sentence("501", 0, "9001"), sentence("501", 1, "9002"), sentence("501", 2, "9003")],
    )
    assert [i.uri for i in story.images] == [
        f"{tmp_path}/images/{name}" for name in ("9001.png", "9002.jpg", "9003.jpg")
    ]


def test_malformed_annotations_are_faults_and_stop_nothing(read):
    found = read(
        [photo("9001")],
        [
            sentence("501", 0, "9001"),
            [],
            sentence("502", 0, "9001") * 2,
            "x",
            sentence(None, 0, "9001"),
            sentence("503", "0", "9001"),
        ],
    )
    assert found[0].id == "77_501"
    assert [(f.error, f.detail.split(":")[0]) for f in found[2:]] == [
        ("bad_record", f"annotations[{i}]") for i in (1, 2, 3, 4)
    ]
    assert "worker_arranged_photo_order must be a whole number" in found[1].detail


@pytest.mark.parametrize("content", ["[]", "{", '{"images": [], "annotations": []}'])
def test_a_file_of_another_shape_is_one_fault(tree, read_all, content):
    [fault] = read_all("vist", tree(**{"val.json": content}))
    assert fault.error == "unreadable"


def test_a_table_may_have_more_values_than_a_line(read, monkeypatch):
    images, annotations = [photo("1")], [sentence("9", 0, "1")]
    monkeypatch.setattr(lines, "MAX_VALUES", 10)
    assert len(read(images, annotations)) == 1
    monkeypatch.setattr(whole, "MOST_VALUES", 10)
    [fault] = read(images, [*annotations, sentence("9", 1, "1")])
    assert fault.detail.startswith("too_long: the line has more than 10 values")


def test_a_table_that_is_too_long_is_a_fault(read, monkeypatch):
    monkeypatch.setattr(whole, "MOST_BYTES", 100)
    [fault] = read([photo("1")], [sentence("9", 0, "1")])
    assert (fault.error, fault.detail) == ("unreadable", "too_long: the file has more than 100 bytes")
