"""VIST, story in sequence: five photos of an album, each with the sentence that a worker told about it.

The file's tables are joined to stories first: photos in the order `worker_arranged_photo_order`, whatever the order in
the file. Several workers tell the same album, so an id is `<album>_<story>`: hold out whole albums, never single
stories. Photos are in `images/<photo id>.jpg` (or .png), or else are fetched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.corpora.fields import BadRecord, Record, array, identifier, mapping, objects, string, title
from pipeline.corpora.parts import Format, Place
from pipeline.corpora.whole import Records, table, whole
from pipeline.storage.uris import is_http
from schemas.records import Document, Image, Segment, Text

_LICENSES = {
    "0": "All rights reserved",
    "1": "CC-BY-NC-SA-2.0",
    "2": "CC-BY-NC-2.0",
    "3": "CC-BY-NC-ND-2.0",
    "4": "CC-BY-2.0",
    "5": "CC-BY-SA-2.0",
    "6": "CC-BY-ND-2.0",
    "7": "No known copyright restrictions",
    "8": "US-PD",
    "9": "CC0-1.0",
    "10": "PDM-1.0",
}  # by Flickr's numbers of licences


def documents(record: dict[str, Any], place: Place) -> Iterator[Document]:
    """The document of one story."""
    segments: list[Segment] = []
    licenses = set()
    photos = mapping(record, "photos")
    for sentence in sorted(objects(record, "sentences"), key=_order):
        photo = mapping(photos, identifier(sentence, "photo_flickr_id"), {})
        text = string(sentence, "original_text", "").strip() or string(sentence, "text", "").strip()
        if text:
            segments.append(Text(text))
        segments.append(Image(_uri(identifier(sentence, "photo_flickr_id"), photo, place)))
        if code := photo.get("license"):
            licenses.add(_LICENSES.get(str(code), f"Flickr licence {code}"))
    yield Document(
        id=f"{identifier(record, 'album_id')}_{identifier(record, 'story_id')}",
        source=place.format,
        segments=tuple(segments),
        title=title(record, "title"),
        license=" and ".join(sorted(licenses)),
        location=place.location,
    )


def _order(sentence: Record) -> int:
    order = sentence.get("worker_arranged_photo_order")
    if type(order) is not int:
        raise ValueError(f"worker_arranged_photo_order must be a whole number, not {order!r}"[:200])
    return order


def _uri(photo_id: str, photo: dict[str, Any], place: Place) -> str:
    local = next((name for ending in ("jpg", "png") if place.has(name := f"{photo_id}.{ending}")), None)
    address = string(photo, "url_o", "") or string(photo, "url_m", "")
    return place.uri(local) if local else address if is_http(address) else place.uri(f"{photo_id}.jpg")


def _load(path: str) -> Records:
    tables = table(path)
    photos = {identifier(photo, "id"): photo for photo in objects(tables, "images")}
    titles = {identifier(album, "id"): album.get("title") for album in objects(tables, "albums")}
    stories: dict[str, dict[str, Any]] = {}
    bad: list[BadRecord] = []
    for number, entry in enumerate(array(tables, "annotations")):
        try:
            [sentence] = objects({"annotation": entry}, "annotation")
            album, photo = identifier(sentence, "album_id"), identifier(sentence, "photo_flickr_id")
            story = stories.setdefault(
                identifier(sentence, "story_id"),
                {
                    "story_id": sentence["story_id"],
                    "album_id": album,
                    "title": titles.get(album),
                    "sentences": [],
                    "photos": {},
                },
            )
            story["sentences"].append(sentence)
            if photo in photos:
                story["photos"][photo] = photos[photo]
        except ValueError as error:
            bad.append(BadRecord("bad_record", f"annotations[{number}]: {error}"))
    return [*stories.values(), *bad]


FORMAT = Format(
    documents,
    (".json",),
    files=whole(_load),
    about="50,200 stories told about Flickr albums, five photos each",
    get="train/val/test.story-in-sequence.json of the Visual Storytelling Dataset (visionandlanguage.net/VIST)",
    terms="each photo has the Flickr licence in its record, which every document keeps; none stated for the stories",
)
