from __future__ import annotations

import datetime
import json
import re

import pyarrow
import pyarrow.parquet
import pytest

from filters.decontaminate import source_ids
from pipeline import corpora
from schemas.records import Image, Text

URL = "https://img.example.org"


@pytest.fixture
def parquet(tmp_path):
    def write(*records, **options):
        path = tmp_path / "train.parquet"
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(records)), path, **options)
        return str(path)

    return write


def kite(**fields):
    about = {"alt_text": "crossed sticks", "rendered_width": 640, "original_width": 800, "original_height": 600}
    return {
        "images": [f"{URL}/1.jpg", None, f"{URL}/2.png", ""],
        "texts": [None, "Tie them.", "", "Glue\n\nit."],
        "metadata": json.dumps([about, None, {"alt_text": ""}, None]),
        "general_metadata": json.dumps({"url": "https://example.org/kite"}),
        **fields,
    }


def test_slots_alternate_and_empty_ones_are_null_or_blank(parquet, read_all):
    [document] = read_all("obelics", parquet(kite()))
    assert document.segments == (
        Image(f"{URL}/1.jpg", "crossed sticks", "", 800, 600),
        Text("Tie them."),
        Image(f"{URL}/2.png"),
        Text("Glue\n\nit."),
    )
    assert document.id.startswith("train.parquet:1-")
    assert (document.source, document.url) == ("obelics", "https://example.org/kite")


def test_parts_are_row_groups(parquet, read_all):
    path = parquet(*(kite(texts=[None, str(i), None, None]) for i in range(25)), row_group_size=10)
    parts = list(corpora.parts("obelics", path))
    assert [(p.first, p.offset, p.count) for p in parts] == [(1, 0, 10), (11, 1, 10), (21, 2, 5)]
    assert [d.texts for d in read_all("obelics", path)] == [(str(i),) for i in range(25)]
    assert next(d.location for d in corpora.read(parts[2])) == f"{path}:21"


def test_omnicorpus_holds_objects_and_ids_and_may_share_a_slot(parquet, read_all):
    [document] = read_all(
        "omnicorpus",
        parquet(
            {
                "general_metadata": {"id": "omni-17"},
                "images": [None, f"{URL}/d.jpg"],
                "texts": ["Mix.", "Rest."],
                "metadata": [None, {"x": 1}],
            }
        ),
    )
    assert (document.id, document.source) == ("omni-17", "omnicorpus")
    assert document.segments == (Text("Mix."), Text("Rest."), Image(f"{URL}/d.jpg"))


BREAK = "END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED"


def posts(*slots, **general):
    """A row: an address is an image, everything else a text."""
    images = [slot if slot.startswith(URL) else None for slot in slots]
    texts = [None if slot.startswith(URL) else slot for slot in slots]
    return {"images": images, "texts": texts, "metadata": None, "general_metadata": json.dumps(general)}


def test_a_page_of_several_posts_is_several_documents_each_with_its_images(parquet, read_all):
    row = posts(
        f"About saws.\n\n{BREAK}\n\nAbout soup.", f"{URL}/soup.jpg", "Stir.", BREAK, f"{URL}/kite.jpg", "Tie.", id="x"
    )
    found = read_all("obelics", parquet(row))
    assert [(d.id, d.segments) for d in found] == [
        ("x", (Text("About saws."),)),
        ("x_part2", (Text("About soup."), Image(f"{URL}/soup.jpg"), Text("Stir."))),
        ("x_part3", (Image(f"{URL}/kite.jpg"), Text("Tie."))),
    ]
    assert [d.location.rpartition(":")[2] for d in found] == ["1", "1#2", "1#3"]
    assert all("x" in source_ids(d) for d in found)  # who holds out the row holds out its posts


def test_posts_without_an_id_have_the_rows_and_breaks_around_nothing_make_none(parquet, read_all):
    alone = posts(f"{URL}/a.jpg", "A saw.", url="https://example.org/a")
    inside = posts(f"{BREAK}\n\n{BREAK}", f"{URL}/a.jpg", f"A saw.{BREAK}", f"{BREAK} Soup.\n\n{BREAK}", url="u")
    one, first, second = read_all("obelics", parquet(alone, inside))
    assert first.segments == one.segments and second.segments == (Text("Soup."),)
    assert re.fullmatch(r"train\.parquet:2-[0-9a-f]{12}", first.id) and second.id == f"{first.id}_part2"
    assert first.url == second.url == "u"
    assert [d.segments for d in read_all("obelics", parquet(posts(BREAK)))] == [()]


def test_a_slot_of_both_has_its_image_after_the_break(parquet, read_all):
    row = {**posts(f"Saws. {BREAK} Soup.", id="x"), "images": [f"{URL}/soup.jpg"]}
    assert [d.segments for d in read_all("omnicorpus", parquet(row))] == [
        (Text("Saws."),),
        (Text("Soup."), Image(f"{URL}/soup.jpg")),
    ]


def test_text_about_the_end_of_a_document_is_text(parquet, read_all):
    text = "End of document.\n\nEND_OF_DOCUMENT marks the end of document, a TOKEN_TO_BE_REPLACED."
    assert [d.texts for d in read_all("obelics", parquet(posts(text)))] == [(text,)]


@pytest.mark.parametrize(
    "fields, says",
    [
        ({"texts": [None]}, "1 texts beside 4 images"),
        ({"texts": None}, "texts must be a list, not missing"),
        ({"metadata": "[null]"}, "metadata of 1 slots for 4"),
        ({"metadata": "[{"}, "JSONDecodeError"),
        ({"metadata": "{}"}, "metadata must be a list, not dict"),
        ({"general_metadata": '{"url": 3}'}, "url must be a string, not int"),
        ({"metadata": "[" * 100_000}, "RecursionError"),
    ],
)
def test_a_malformed_row_is_a_fault_and_the_next_one_is_read(parquet, read_all, fields, says):
    fault, document = read_all("obelics", parquet(kite(**fields), kite()))
    assert fault.error == "bad_record" and fault.location.endswith("train.parquet:1") and says in fault.detail
    assert document.id.startswith("train.parquet:2-")


def test_a_row_that_is_no_utf8_is_a_fault(tmp_path, read_all):
    raw = pyarrow.array([b"{}", b"\xff\xfe", b"{}"]).view(pyarrow.string())
    texts = pyarrow.array([["a"], ["b"], ["c"]])
    nothing = pyarrow.array([[None]] * 3, pyarrow.list_(pyarrow.string()))
    table = pyarrow.table({"texts": texts, "images": nothing, "general_metadata": raw})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    first, fault, last = read_all("obelics", tmp_path / "t.parquet")
    assert (first.texts, last.texts) == (("a",), ("c",))
    assert (fault.error, fault.location) == ("bad_utf8", f"{tmp_path}/t.parquet:2")


def test_half_a_surrogate_pair_in_the_inner_json_is_a_fault(parquet, read_all):
    [fault] = read_all("obelics", parquet(kite(metadata='[{"alt_text": "\\ud83d"}, null, null, null]')))
    assert fault.error == "bad_utf8"


def test_a_damaged_page_ends_its_row_group_with_one_fault(parquet, read_all):
    path = parquet(
        *(kite(texts=[None, str(i) * 50, None, None]) for i in range(20)),
        row_group_size=10,
        compression="none",
        use_dictionary=False,
    )
    with open(path, "rb+") as file:
        file.seek(4)
        file.write(b"\xff" * 40)  # the first page header
    fault, *documents = read_all("obelics", path)
    assert (fault.error, fault.location) == ("unreadable", f"{path}:1")
    assert [d.id.partition("-")[0] for d in documents] == [f"train.parquet:{i}" for i in range(11, 21)]


def test_a_row_with_dates_and_bytes_has_an_id(parquet, read_all):
    def crawled(day):
        general = {"on": datetime.date(2023, 1, day), "raw": b"\xff"}
        return read_all("obelics", parquet(kite(general_metadata=general)))[0].id

    assert re.fullmatch(r"train\.parquet:1-[0-9a-f]{12}", crawled(2)) and crawled(2) == crawled(2) != crawled(3)


BEYOND_PYTHON = [
    pyarrow.array([0, 2**30], pyarrow.date32()),
    pyarrow.array([0, 2**50], pyarrow.timestamp("s")),
    pyarrow.array([0, 2**62], pyarrow.duration("s")),
    pyarrow.array([None, 0], pyarrow.timestamp("us", tz="Nowhere/Foo")),
]


@pytest.mark.parametrize("values", BEYOND_PYTHON, ids=["date", "timestamp", "duration", "zone"])
def test_a_value_that_python_cannot_hold(tmp_path, read_all, values):
    """It is a fault of its row; in a column that is not read it is nothing at all."""
    slots = {"texts": [["a"], ["b"]], "images": pyarrow.array([[None]] * 2, pyarrow.list_(pyarrow.string()))}
    pyarrow.parquet.write_table(pyarrow.table({**slots, "crawled": values}), tmp_path / "t.parquet")
    assert [d.texts for d in read_all("obelics", tmp_path / "t.parquet")] == [("a",), ("b",)]
    about = pyarrow.StructArray.from_arrays([values], ["crawled"])
    pyarrow.parquet.write_table(pyarrow.table({**slots, "general_metadata": about}), tmp_path / "t.parquet")
    document, fault = read_all("obelics", tmp_path / "t.parquet")
    assert document.texts == ("a",)
    assert (fault.error, fault.location) == ("bad_record", f"{tmp_path}/t.parquet:2")
    assert fault.detail.startswith("a value that Python cannot hold: ")


def test_rows_without_any_column_of_the_format_are_faults(tmp_path, read_all):
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"]}), tmp_path / "t.parquet")
    assert [fault.detail for fault in read_all("obelics", tmp_path / "t.parquet")] == [
        "ValueError: texts must be a list, not missing"
    ] * 2
