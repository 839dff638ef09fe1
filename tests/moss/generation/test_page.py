"""Whatever a text says, the page shows it and does nothing else."""

import base64
import html.parser
import io
import re

import numpy as np
import PIL.Image
import pytest

from moss.generation.page import Column, Entry, render
from schemas.records import Text

NASTY = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "{{ 7 * 7 }}",
    "</style><script>",
    "&lt;b&gt;",
)


class Reader(html.parser.HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def page_of(text: str = "x", *pictures: PIL.Image.Image) -> str:
    entry = Entry(text, text, [Text(text)], [Column(text, [Text(text), *pictures], text), Column("Answer", [])])
    return render(text, text, [entry], [(text, text)])


@pytest.mark.parametrize("text", NASTY)
def test_texts_are_shown_and_never_become_markup(text):
    plain, nasty = Reader(page_of("x")), Reader(page_of(text))
    assert [tag for tag, _ in nasty.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(attributes) for _, attributes in nasty.tags] == [sorted(attributes) for _, attributes in plain.tags]
    assert nasty.text.count(text) == 11  # title, lead, key, instruction, context, columns, facts


def test_no_character_reorders_or_hides_a_text():
    page = page_of("do \u202ethis\u200b \x1b[31m\u2066now\n木 👍")
    assert not [c for c in page if not c.isprintable() and c != "\n"]
    assert Reader(page).text.count("do this [31mnow\n木 👍") == 11


def test_the_page_asks_nothing_of_any_network():
    page = page_of("see https://example.org", PIL.Image.new("RGB", (8, 8)))
    tags = Reader(page).tags
    assert ("Content-Security-Policy", "default-src 'none'; img-src data:; style-src 'unsafe-inline'") in [
        (a.get("http-equiv"), a.get("content")) for tag, a in tags if tag == "meta"
    ]
    assert all(a["src"].startswith("data:image/") for tag, a in tags if tag == "img")
    assert not [tag for tag, a in tags if tag in ("script", "link", "a", "iframe") or "href" in a]
    assert not re.search(r"url\(|@import", page)


def image_of(page: str) -> tuple[PIL.Image.Image, dict]:
    [attributes] = [a for tag, a in Reader(page).tags if tag == "img"]
    return PIL.Image.open(io.BytesIO(base64.b64decode(attributes["src"].partition(",")[2]))), attributes


def test_a_tiny_picture_is_kept_exactly_and_shown_enlarged_by_a_whole_factor():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 24, 3), dtype=np.uint8)
    shown, attributes = image_of(page_of("x", PIL.Image.fromarray(pixels)))
    np.testing.assert_array_equal(np.asarray(shown), pixels)
    assert (attributes["width"], attributes["height"], attributes["class"]) == ("144", "192", "tiny")


def test_a_large_picture_becomes_a_smaller_copy():
    shown, attributes = image_of(page_of("x", PIL.Image.new("RGBA", (2000, 1000), "red")))
    assert shown.size == (640, 320) and (attributes["width"], attributes["height"]) == ("640", "320")
    assert "class" not in attributes


def test_an_output_without_anything_says_so_and_headings_are_set_apart():
    page = page_of("## Painting a wall")
    assert "Nothing." in page and '<p class="heading">Painting a wall</p>' in page
    assert '<p class="text">#tag</p>' in page_of("#tag")
