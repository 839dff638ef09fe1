"""InstructPix2Pix: pairs of images before and after an edit, to be mixed with other corpora.

One folder for each prompt: `prompt.json` ({"input" or "caption", "edit", "output"}) and images `<seed>_0.jpg`,
`<seed>_1.jpg`. Each seed is a document, `<folder>_<seed>`: caption, image, edit, edited image.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from pipeline.corpora import trees
from pipeline.corpora.fields import string
from pipeline.corpora.files import find_below
from pipeline.corpora.parts import Format, Place
from pipeline.storage.tars import tar_index
from schemas.records import Document, Image, Text


def documents(record: dict[str, Any], place: Place) -> Iterator[Document]:
    """A document for each pair of images."""
    prompt = trees.json_of(record)
    caption = string(prompt, "caption" if "caption" in prompt else "input").strip()
    edit = string(prompt, "edit").strip()
    folder = posixpath.dirname(record["path"])
    for seed in _seeds(record["root"], folder):
        before, after = (Image(trees.link(f"{seed}_{side}.jpg", record, place)) for side in (0, 1))
        texts = [Text(text) for text in (caption, edit)]
        yield Document(
            id=f"{posixpath.basename(folder)}_{seed}",
            source=place.format,
            segments=(texts[0], before, texts[1], after),
            title=edit,
            location=f"{place.location}#{seed}",
        )


def _seeds(root: str, folder: str) -> list[str]:
    if root.endswith(".tar!"):
        inside = f"{folder}/" if folder else ""
        names = [name.removeprefix(inside) for name in tar_index(root[:-1]).below(inside)]
    else:
        names = [name for _, name in find_below(f"{root}/{folder}", ("_0.jpg",))]
    found = (re.fullmatch(r"(\d+)_0\.jpg", name) for name in names)
    return [match[1] for match in found if match]


FORMAT = Format(
    documents,
    ("prompt.json",),
    files=trees.FILES,
    about="454,445 edits of generated images with the instruction for each",
    get="clip-filtered-dataset, downloaded by the script of github.com/timothybrooks/instruct-pix2pix",
    terms="the images were made by Stable Diffusion 1.5 (CreativeML Open RAIL-M); see the project's page",
)
