"""Small documents for the tests of the filters."""

from __future__ import annotations

from filters.stats import TextStats
from schemas.records import Document, Image, StoredDocument, StoredImage, Text

PROSE = (
    "Cut the board to the length that you need, and sand the edges until they are smooth. "
    "Then put the first screw into the hole and turn it slowly, so that the wood does not split. "
    "If it is hard to turn, take the screw out again and drill the hole a little wider. "
)


def document(*segments: str | tuple[int, int], id: str = "d") -> Document:
    """A string is a paragraph, a pair is an image of that width and height."""
    return Document(
        id=id,
        source="test",
        segments=tuple(
            Text(s) if isinstance(s, str) else Image(f"{i}.jpg", width=s[0], height=s[1])
            for i, s in enumerate(segments)
        ),
    )


def stored(*segments: str | tuple[int, int], id: str = "d") -> StoredDocument:
    """The same with stored images, whose hashes are made of their names."""
    return StoredDocument(
        id=id,
        source="test",
        segments=tuple(
            s
            if isinstance(s, Text)
            else StoredImage(s.uri, width=s.width, height=s.height, sha256=f"{i:064x}", extension="jpg")
            for i, s in enumerate(document(*segments).segments)
        ),
    )


def stats(*segments: str | tuple[int, int]) -> TextStats:
    return TextStats(document(*segments))
