import pytest

from pipeline.coherence.complementarity import complementarity, description
from pipeline.coherence.damage import captions_copied
from schemas.records import StoredDocument, StoredImage, Text


def image(caption: str = "", alt: str = "", ocr: str | None = None) -> StoredImage:
    return StoredImage("x.jpg", alt, caption, width=64, height=64, sha256="0", extension="jpg", ocr=ocr)


def page(*segments: str | StoredImage) -> StoredDocument:
    return StoredDocument("d", "test", tuple(Text(s) if isinstance(s, str) else s for s in segments))


def test_a_text_that_repeats_the_caption_adds_nothing_and_neither_does_the_picture():
    assert complementarity(page("A kettle steams.", image("A kettle steams."))) == (0.0, 0.0)


def test_texts_without_a_common_word_add_everything_to_each_other():
    found = complementarity(page("Boil water slowly.", image("Rusty kettle")))
    assert found == (1.0, 1.0) and found.mean == 1.0


def test_each_side_is_measured_by_what_it_adds_to_the_other():
    more_text = complementarity(page("A kettle steams. Turmeric stains porcelain.", image("A kettle steams.")))
    more_image = complementarity(page("A kettle steams.", image("A kettle steams. Turmeric stains porcelain.")))
    assert more_text.image_adds == more_image.text_adds == 0
    assert more_text.text_adds == more_image.image_adds > 0.3
    assert more_text.mean == pytest.approx(more_text.text_adds / 2, abs=1e-4)


def test_frequent_words_count_little():
    found = complementarity(page("This is the kettle.", image("The dripping kettle")))
    assert found.text_adds < 0.2 < found.image_adds


def test_caption_alternative_text_and_read_text_all_describe_a_picture():
    assert description(image("One", "Two", "Three")) == "One\nTwo\nThree"
    for known in (image("Turmeric"), image(alt="Turmeric"), image(ocr="Turmeric")):
        assert complementarity(page("Turmeric.", known)) == (0.0, 0.0)


def test_the_text_between_two_pictures_may_repeat_either_of_them():
    assert complementarity(page(image("Turmeric"), "Turmeric. Porcelain.", image("Porcelain"))).text_adds == 0


@pytest.mark.parametrize("segments", [("Text.", image()), (image("Caption"),), ("Text.",), ()])
def test_without_a_described_picture_and_a_text_there_is_no_value(segments):
    assert complementarity(page(*segments)) is None


def test_pictures_without_a_description_change_nothing():
    with_one = page("Boil water.", image("A kettle"), "Stir the turmeric.", image())
    assert complementarity(with_one) == complementarity(page("Boil water.", image("A kettle"), "Stir the turmeric."))


def test_copied_captions_leave_nothing_that_the_text_adds():
    pages = [page("Boil water.", image("A kettle", "Steam over metal"), "Wait.", image(alt="Porcelain", ocr="MADE IN"))]
    (copy,) = captions_copied(pages)
    assert copy.texts == ("A kettle", "Porcelain")
    found = complementarity(copy)
    assert found.text_adds == 0 and 0 < found.image_adds < 1
    assert found.mean < complementarity(pages[0]).mean
