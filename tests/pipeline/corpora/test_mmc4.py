from __future__ import annotations

import pytest

from pipeline.images.decode import ImageFault
from pipeline.images.store import ImageStore
from schemas.records import Image, Text


def info(name, index, **more):
    return {
        "image_name": f"{name}.jpg",
        "raw_url": f"https://img.example.org/{name}.jpg",
        "matched_text_index": index,
        "matched_sim": 0.3,
        **more,
    }


def record(*images, texts=("Cut.", "Screw.", "Fill.")):
    return {
        "url": "https://example.org/bed",
        "text_list": list(texts),
        "image_info": list(images),
        "similarity_matrix": [],
        "could_have_url_duplicate": 0,
    }


def names(document):
    return [s.text if isinstance(s, Text) else s.uri.rpartition("/")[2] for s in document.segments]


def test_images_follow_their_sentence_whatever_their_order(read_one):
    document = read_one("mmc4", record(info("soil", 2), info("b", 0), info("a", 0), info("frame", 1)))
    assert names(document) == ["Cut.", "b.jpg", "a.jpg", "Screw.", "frame.jpg", "Fill.", "soil.jpg"]
    assert document.id.startswith("docs.jsonl:1-")
    assert (document.source, document.url) == ("mmc4", "https://example.org/bed")


def test_a_local_image_comes_before_its_address(read_one, tmp_path):
    both = record(info("here", 0), info("gone", 1))
    assert [i.uri for i in read_one("mmc4", both).images] == [
        "https://img.example.org/here.jpg",
        "https://img.example.org/gone.jpg",
    ]
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "here.jpg").write_bytes(b"x")
    assert [i.uri for i in read_one("mmc4", both).images] == [
        f"{tmp_path}/images/here.jpg",
        "https://img.example.org/gone.jpg",
    ]


def test_a_name_that_leaves_the_folder_is_a_fault_even_where_there_is_an_address(read_one, tmp_path):
    (tmp_path / "images").mkdir()
    fault = read_one("mmc4", record(info("a", 0, image_name="../docs.jsonl")))
    assert "is no file name inside the corpus" in fault.detail


def test_an_image_without_a_usable_address_stays_to_be_counted_as_missing(read_one, tmp_path):
    document = read_one(
        "mmc4",
        record(
            info("a", 0, raw_url=None),
            info("b", 0, raw_url="/etc/passwd"),
            info("c", 0, raw_url="data:image/png;base64," + "A" * 9999),
        ),
    )
    assert document.images[0] == Image(f"{tmp_path}/images/a.jpg")
    assert document.images[1] == Image(f"{tmp_path}/images/%2Fetc%2Fpasswd")
    assert len(document.images[2].uri) < len(f"{tmp_path}/images/") + 201


def test_an_image_without_name_and_address_is_missing_and_its_document_stays(read_one, tmp_path):
    """Its place stays, so that the ledger tells of it."""
    document = read_one("mmc4", record(info("a", 0, image_name=None, raw_url=""), info("b", 1)))
    nameless, named = document.images
    assert (nameless, named.uri) == (Image(""), "https://img.example.org/b.jpg")
    with pytest.raises(ImageFault, match="missing"):
        ImageStore(str(tmp_path / "store"), max_side=64, max_bytes=1000, max_pixels=1000).store(nameless)


@pytest.mark.parametrize("index", [3, -1, None, "0", True])
def test_an_index_without_a_sentence_is_a_fault(read_one, index):
    fault = read_one("mmc4", record(info("a", index)))
    assert fault.source == "mmc4" and "names none of 3 sentences" in fault.detail


def test_text_must_be_text(read_one):
    assert "text_list[1] must be a string, not int" in read_one("mmc4", record(texts=("a", 1))).detail
