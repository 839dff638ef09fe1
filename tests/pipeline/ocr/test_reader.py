import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest

from pipeline.ocr import version

reader_module = pytest.importorskip("pipeline.ocr.reader", reason="the extra `ocr` is not installed")


def picture(*lines: str, width: int = 700, size: int = 30) -> PIL.Image.Image:
    image = PIL.Image.new("RGB", (width, 20 + 2 * size * max(1, len(lines))), "white")
    draw = PIL.ImageDraw.Draw(image)
    for at, line in enumerate(lines):
        draw.text((20, 10 + 2 * size * at), line, fill="black", font=PIL.ImageFont.load_default(size))
    return image


@pytest.fixture(scope="module")
def reader():
    made = reader_module.Reader()
    yield made
    made.close()


def test_lines_are_read_from_the_top(reader):
    assert reader.read(picture("Open the settings menu", "Choose a waypoint")).split("\n") == [
        "Open the settings menu",
        "Choose a waypoint",
    ]


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (64, 64)])
def test_a_picture_without_text_has_none(reader, size):
    assert reader.read(PIL.Image.new("RGB", size, "white")) == ""


def test_no_more_boxes_are_read_than_allowed():
    few = reader_module.Reader(boxes=2)
    assert few.read(picture("First line", "Second line", "Third line")) == "First line\nSecond line"
    few.close()


def test_a_long_line_is_cut(reader, monkeypatch):
    monkeypatch.setattr(reader_module, "WIDEST", 6)
    line = "alpha beta gamma delta epsilon zeta"
    found = reader.read(picture(line))
    assert found.startswith("alpha") and len(found) < 20


def test_several_at_once_are_read_as_each_alone(reader):
    pictures = {name: picture(name) for name in ("Fence", "Rally", "Mission")} | {"none": picture()}
    found = reader.read_all([*pictures, "Fence"], pictures.__getitem__)
    assert found == {name: reader.read(image) for name, image in pictures.items()}
    assert list(found.values()) == ["Fence", "Rally", "Mission", ""]


def test_the_version_names_engine_runtime_and_limits():
    assert version(480, 8) != version(480, 9) != version(640, 9)
    assert "rapidocr@" in version(480, 8) and "onnxruntime@" in version(480, 8)
