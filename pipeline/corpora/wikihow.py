"""wikiHow-VGSI (WikihowText_data.json, JSON Lines despite its name): articles of methods of illustrated steps.

The methods of an article are alternatives, so each becomes a document, `<file_id>_<method>` at
`<file>:<line>#<method>`. Images are in `wiki_images/<step_id>.png`. Text is CC BY-NC-SA 3.0. The article's
introduction is left out: it would open every method with the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.corpora.fields import Record, identifier, objects, string, title
from pipeline.corpora.parts import JSONL, Format, Place
from pipeline.storage.uris import is_http
from schemas.records import Document, Image, Segment, Text


def documents(record: Record, place: Place) -> Iterator[Document]:
    """A document for each method."""
    article, goal = identifier(record, "file_id"), title(record, "goal")
    return methods(record, place, id_=article, title_=goal, step=lambda step: _step(step, place))


def methods(
    article: Record, place: Place, *, id_: str, title_: str, step: Callable[[Record], Iterator[Segment]]
) -> Iterator[Document]:
    """A document for each method of an article: `<id_>_<method>`, with a heading and the segments of each step.

    Raises ValueError if the article has no methods.
    """
    found = objects(article, "methods")
    if not found:
        raise ValueError("the article has no methods")
    for index, method in enumerate(found):
        name = title(method, "name")
        segments: list[Segment] = [Text(f"## {name}")] if name else []
        for one in objects(method, "steps"):
            segments += step(one)
        yield Document(
            id=f"{id_}_{index}",
            source=place.format,
            segments=tuple(segments),
            title=title_,
            license="CC-BY-NC-SA-3.0",
            location=f"{place.location}#{index}",
        )


def _step(step: Record, place: Place) -> Iterator[Segment]:
    """Headline, description and image of a step; a step without an image keeps its text."""
    for name in ("headline", "description"):
        text = string(step, name, "").strip()
        if text:
            yield Text(text)
    local, address = f"{identifier(step, 'step_id')}.png", string(step, "img", "")
    if place.has(local):
        yield Image(place.uri(local))
    elif is_http(address):
        yield Image(address)


FORMAT = Format(
    documents,
    (*JSONL, ".json"),
    images="wiki_images",
    about="wikiHow-VGSI: articles of illustrated steps, 770,000 images (arXiv 2104.05845)",
    get="WikihowText_data.json and wiki_images.zip of github.com/YueYANG1996/wikiHow-VGSI",
    terms="CC BY-NC-SA 3.0",
)
