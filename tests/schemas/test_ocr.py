"""The text in images: in the JSON and in the index where it was read, and nowhere else."""

import dataclasses

import jsonschema
import pytest

from schemas.arrow import index_rows, index_table
from schemas.codec import from_json, to_json
from schemas.index import index_row
from schemas.jsonschema import INSTANCE
from schemas.records import StoredImage
from tests.schemas import example


def read(*texts: str | None) -> dict:
    """An instance of three images with these texts, as JSON."""
    made, _ = example.instance(2)
    left = iter(texts)

    def part(segments):
        return tuple(dataclasses.replace(s, ocr=next(left)) if isinstance(s, StoredImage) else s for s in segments)

    return to_json(dataclasses.replace(made, context=part(made.context), output=part(made.output)))


def images(value: dict) -> list[dict]:
    return [s for s in value["context"] + value["output"] if s["type"] == "image"]


@pytest.mark.parametrize(
    "texts, indexed",
    [((None, None, None), None), (("", "", ""), ""), (("One\nTwo", "", "Three"), "One\nTwo\nThree")],
)
def test_the_text_is_in_json_and_index(texts, indexed):
    value = read(*texts)
    assert [image.get("ocr") for image in images(value)] == list(texts)
    assert [s.ocr for s in from_json(value).context + from_json(value).output if isinstance(s, StoredImage)] == [*texts]
    jsonschema.validate(value, INSTANCE)
    row = index_row(value, "leafinstruct-00000.tar", 512, 9, ())
    assert row.ocr == indexed
    assert index_rows(index_table([row], example.ASPECTS)) == [row]


def test_an_image_that_nobody_read_has_no_such_key():
    assert all("ocr" not in image for image in images(read(None, None, None)))


def test_a_text_that_is_no_text_is_refused():
    value = read("One", "Two", "Three")
    images(value)[1]["ocr"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value, INSTANCE)
