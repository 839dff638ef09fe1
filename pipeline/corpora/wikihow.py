"""wikiHow-VGSI (WikihowText_data.json, JSON Lines despite its name): articles of methods of illustrated steps.

The methods of an article are alternatives, so each becomes a document, `<file_id>_<method>` at
`<file>:<line>#<method>`. Pictures lie in `wiki_images/<step_id>.png`. Text is CC BY-NC-SA 3.0. The article's
introduction is left out: it would open every method with the same words.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.corpora.fields import Record, identifier, objects, string, title
from pipeline.corpora.parts import JSONL, Format, Place
from pipeline.storage.uris import is_http
from schemas.records import Document, Image, Segment, Text


def documents(record: Record, place: Place) -> Iterator[Document]:
    """A document a method."""
    article, goal = identifier(record, "file_id"), title(record, "goal")
    methods = objects(record, "methods")
    if not methods:
        raise ValueError("the article has no methods")
    for index, method in enumerate(methods):
        name = title(method, "name")
        segments: list[Segment] = [Text(f"## {name}")] if name else []
        for step in objects(method, "steps"):
            segments += _step(step, place)
        yield Document(
            id=f"{article}_{index}",
            source=place.format,
            segments=tuple(segments),
            title=goal,
            license="CC-BY-NC-SA-3.0",
            location=f"{place.location}#{index}",
        )


def _step(step: Record, place: Place) -> Iterator[Segment]:
    """Headline, description, picture; a step without a picture keeps its text."""
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
