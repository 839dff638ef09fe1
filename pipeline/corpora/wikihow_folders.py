"""wikiHow as in MultiInstruct.

One folder for each article, `<id>_<slug>/wikihow.json`, with its images in `image/` there.

As with the newer release, every method of an article is a document, `<id>_<method>`: hold out whole articles.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from pipeline.corpora import trees
from pipeline.corpora.fields import Record, string
from pipeline.corpora.parts import Format, Place
from pipeline.corpora.wikihow import methods
from schemas.records import Document, Image, Segment, Text


def documents(record: dict[str, Any], place: Place) -> Iterator[Document]:
    """A document for each method."""
    article = trees.json_of(record)
    folder = posixpath.basename(posixpath.dirname(record["path"]))
    number, underscore, slug = folder.partition("_")

    def segments(step: Record) -> Iterator[Segment]:
        if headline := string(step, "headline", "").strip():
            yield Text(headline)
        if image := string(step, "img", ""):
            yield Image(trees.link(f"image/{image}", record, place))

    return methods(article, place, id_=number, title_=slug.replace("-", " ") if underscore else "", step=segments)


FORMAT = Format(
    documents,
    ("wikihow.json",),
    files=trees.FILES,
    about="wikiHow articles as MultiInstruct used them, one folder an article",
    get="raw_datasets/wikihow/data of github.com/VT-NLP/MultiInstruct's instructions",
    terms="CC BY-NC-SA 3.0",
)
