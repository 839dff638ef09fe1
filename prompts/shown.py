"""A document as a prompt shows it: its texts, and for each image what is known of it."""

from __future__ import annotations

import dataclasses

from filters.words import is_heading, plain
from schemas.records import Document, Image, StoredImage

MOST = 1000
"""Characters of each text about an image: its words may be of any length."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """How many words of an image's alternative text, of its caption and of the text in it are shown.

    pictures: whether the model gets the pictures themselves; then images are numbered.
    """

    alt_words: int = 0
    caption_words: int = 0
    ocr_words: int = 0
    pictures: bool = False


def shown_segments(document: Document, shown: Shown) -> list[str]:
    """The segments as the prompt shows them, without headings that state the title; images as `[image: ...]`.

    >>> from schemas.records import Text
    >>> page = Document("tea", "s", (Text("# Tea"), Text("Boil water."), Image("tea.jpg", "A kettle", "Step 1")))
    >>> shown_segments(page, Shown(alt_words=10, caption_words=10))
    ['Boil water.', '[image: A kettle; caption: Step 1]']
    """
    found, number = [], 0
    for i, segment in enumerate(document.segments):
        if isinstance(segment, Image):
            number += 1
            found.append(_image(segment, shown, number))
        elif not (is_heading(segment.text) and (i == 0 or _same(segment.text, document.title))):
            found.append(segment.text.strip())
    return found


def shown_text(document: Document, shown: Shown) -> str:
    """The segments as the prompt shows them, one under the other."""
    return "\n".join(shown_segments(document, shown))


def _image(image: Image, shown: Shown, number: int) -> str:
    ocr = image.ocr or "" if isinstance(image, StoredImage) else ""
    parts = [
        ("", _first(image.alt, shown.alt_words)),
        ("caption: ", _first(image.caption, shown.caption_words)),
        ("text in it: ", _first(ocr, shown.ocr_words)),
    ]
    about = "; ".join(name + text for name, text in parts if text)
    name = f"image {number}" if shown.pictures else "image"
    return f"[{name}: {about}]" if about else f"[{name}]"


def _first(text: str, count: int) -> str:
    return " ".join(text.split()[:count])[:MOST]


def _same(heading: str, title: str) -> bool:
    return plain(heading).casefold() == plain(title).casefold()
