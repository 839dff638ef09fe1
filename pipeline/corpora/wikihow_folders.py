"""wikiHow as MultiInstruct has it: a folder an article, `<id>_<slug>/wikihow.json`, and its images in `image/` there.

As with the newer release, every method of an article is a document, `<id>_<method>`: hold out whole articles.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from pipeline.corpora import trees
from pipeline.corpora.fields import objects, string, title
from pipeline.corpora.parts import Format, Place
from schemas.records import Document, Image, Segment, Text


def documents(record: dict[str, Any], place: Place) -> Iterator[Document]:
    """A document for each method."""
    article = trees.json_of(record)
    folder = posixpath.basename(posixpath.dirname(record["path"]))
    number, underscore, slug = folder.partition("_")
    methods = objects(article, "methods")
    if not methods:
        raise ValueError("the article has no methods")
    for index, method in enumerate(methods):
        name = title(method, "name")
        segments: list[Segment] = [Text(f"## {name}")] if name else []
        for step in objects(method, "steps"):
            headline, image = string(step, "headline", "").strip(), string(step, "img", "")
            segments += [Text(headline)] if headline else []
            segments += [Image(trees.link(f"image/{image}", record, place))] if image else []
        yield Document(
            id=f"{number}_{index}",
            source=place.format,
            segments=tuple(segments),
            title=slug.replace("-", " ") if underscore else "",
            license="CC-BY-NC-SA-3.0",
            location=f"{place.location}#{index}",
        )


FORMAT = Format(
    documents,
    ("wikihow.json",),
    files=trees.FILES,
    about="wikiHow articles as MultiInstruct used them, one folder an article",
    get="raw_datasets/wikihow/data of github.com/VT-NLP/MultiInstruct's instructions",
    terms="CC BY-NC-SA 3.0",
)
