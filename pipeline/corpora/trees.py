"""Trees: folders of pages, git checkouts and tars of them. Every file is a record, and its images are where it says.

A record is {"path": name below the root, "data": bytes, "root": the tree's folder}. A place's image folder is the root,
so a page can name images anywhere in the tree, but none outside of it.
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from pipeline.corpora.checkout import web_address
from pipeline.corpora.fields import BadRecord
from pipeline.corpora.files import Files, find_below
from pipeline.corpora.limits import MOST
from pipeline.corpora.lines import MAX_LINE, decoded
from pipeline.corpora.parts import Format, Part, Place
from pipeline.storage.tars import tar_index
from pipeline.storage.uris import is_http, read_bytes, refusal

MOST_PAGE = 2 << 20
"""The most bytes of a page of markup; the longest of the howto corpora has 0.3 MB."""
_DEPTH = 32  # folders above a page that may be the root of its site


def cut(part: Part, shape: Format) -> Iterator[Part]:
    """One part for each file."""
    for root, name in find_below(part.file, shape.suffixes):
        file, member = (root[:-1], name) if root.endswith(".tar!") else (f"{root}/{name}", "")
        yield dataclasses.replace(
            part,
            file=file,
            member=member,
            name=posixpath.basename(file) if member else name,
            count=1,
            images=root,
            local=True,
            fault="" if member else refusal(file, (root,)),
        )
    if part.file.endswith(".tar") and (error := tar_index(part.file).error):
        yield dataclasses.replace(part, name=posixpath.basename(part.file), fault=error)


def read(part: Part) -> Iterator[tuple[int, dict[str, Any] | BadRecord | None]]:
    """The file of a part."""
    path = part.member or part.name
    if len(path) > MOST["id"]:
        yield 1, BadRecord("too_long", f"a name of {len(path):,} characters; at most {MOST['id']:,}")
        return
    data = read_bytes(f"{part.images}/{path}", MAX_LINE + 1)
    if len(data) > MAX_LINE:
        yield 1, BadRecord("too_long", f"the file has more than {MAX_LINE} bytes")
    else:
        yield 1, {"path": path, "data": data, "root": part.images}


FILES = Files(cut, read)


def text_of(record: dict[str, Any]) -> str:
    """The file's text. Raises BadRecord if it is not UTF-8, or so long that a parser would take minutes."""
    if len(record["data"]) > MOST_PAGE:
        raise BadRecord("too_long", f"the page has more than {MOST_PAGE:,} bytes")
    try:
        return str(record["data"].decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadRecord("bad_utf8", f"byte {error.start} of the file") from error


def json_of(record: dict[str, Any]) -> dict[str, Any]:
    """The JSON object in the file. Raises BadRecord if there is none."""
    found = decoded(record["data"])
    if found is None:
        raise BadRecord("bad_json", "the file is empty")
    if isinstance(found, BadRecord):
        raise found
    return found


def page_id(record: dict[str, Any], place: Place) -> str:
    """An id for a page, made of its path and its content."""
    return place.id({"path": record["path"], "data": record["data"].hex()})


def page_url(record: dict[str, Any]) -> str:
    """The page's address on GitHub if the tree is a checkout of a repository there, else empty."""
    return web_address(record["root"], record["path"])


def link(target: str, record: dict[str, Any], place: Place) -> str:
    """The URI of an image that a page names: an address, or a file of the tree.

    A path that starts with `/` starts at the root of the site, which is the tree or the outermost folder above the page
    that has such a file. A path that leads out of the tree becomes the name of a file that does not exist.
    """
    target = target.strip()
    if is_http(target):
        return target
    if target.startswith("//"):
        return f"https:{target}"
    path = unquote(urlsplit(target).path) if "\0" not in target and ":" not in target.split("/")[0] else ""
    path = path.replace("\\", "/")
    folder = posixpath.dirname(record["path"])
    try:
        if not path.startswith("/"):
            return place.uri(posixpath.normpath(posixpath.join(folder, path)) if path else "")
        above = folder.split("/")
        site = path.lstrip("/")
        sites = ("/".join([*above[:depth], site]) for depth in range(min(len(above), _DEPTH) + 1))
        return place.uri(next(filter(place.has, sites), site))
    except ValueError:
        return place.address(target or "no address")
