"""MMC4 (allenai/mmc4): sentences, and images that CLIP assigned to them.

`image_info` is not in reading order, and several images may share a sentence: each image is put after the sentence
`matched_text_index`, several in the order of the record. Local images are in `images/` under their `image_name`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.corpora.fields import Record, objects, string, strings
from pipeline.corpora.parts import JSONL, Format, Place
from schemas.records import Document, Image, Segment, Text


def documents(record: Record, place: Place) -> Iterator[Document]:
    """The document of one record: the sentences, and after each its images."""
    sentences = strings(record, "text_list")
    behind: list[list[Image]] = [[] for _ in sentences]
    for info in objects(record, "image_info"):
        index = info.get("matched_text_index")
        if type(index) is not int or not 0 <= index < len(sentences):
            raise ValueError(f"matched_text_index {index!r} names none of {len(sentences)} sentences")
        behind[index].append(Image(_uri(info, place)))
    segments: list[Segment] = []
    for sentence, images in zip(sentences, behind, strict=False):
        if sentence.strip():
            segments.append(Text(sentence.strip()))
        segments += images
    yield place.document(record, segments)


def _uri(info: Record, place: Place) -> str:
    """The local image, or else its address.

    A missing image keeps its local name, so that the image store reports `missing`; the name is empty if the record has
    neither.
    """
    name, address = string(info, "image_name", ""), string(info, "raw_url", "")
    if address and not (name and place.has(name)):
        return place.address(address)
    return place.uri(name) if name else ""


FORMAT = Format(
    documents,
    JSONL,
    about="Common Crawl pages whose images CLIP assigned to sentences: 101 million documents, the core set 7.3 million",
    get="Hugging Face: jmhessel/mmc4-ff, jmhessel/mmc4-core-ff; images are fetched from their sites",
    terms="ODC-BY 1.0 for the annotations, Common Crawl's terms of use; texts and images belong to their sites",
)
