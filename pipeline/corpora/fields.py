"""Checks that every reader needs: each returns the value of a field or raises ValueError with a reason."""

from __future__ import annotations

import html
import posixpath
import unicodedata

from schemas.errors import RecordFault

Record = dict[str, object]
"""A decoded record: nothing is known of its values until one of the functions here has looked at them."""

MOST_PIXELS = 2**31 - 1  # a side of a PNG can have no more; JPEG, GIF and WebP stop far below


class BadRecord(RecordFault):
    """A record that could not be decoded. `kind` is the ledger's word for it:

    unreadable     the file is damaged here; what follows in it is lost
    too_long       a line of more than 32 MiB
    bad_utf8       bytes that are no UTF-8, or a string with half a surrogate pair
    bad_json       not JSON
    not_an_object  JSON, but not an object
    bad_record     an object in which a field is missing or of the wrong type
    """


def string(record: Record, name: str, default: str | None = None) -> str:
    """A string field; null and absence give the default, or are refused when there is none."""
    value = record.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, not {_kind(value)}")
    return value


def strings(record: Record, name: str, default: str | None = None) -> list[str]:
    """A list of strings; null in it gives the default, or is refused when there is none."""
    items = _items(record, name)
    return [string(items, item, default) for item in items]


def mapping(record: Record, name: str, default: Record | None = None) -> Record:
    """An object; null and absence give the default, or are refused when there is none."""
    value = record.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object, not {_kind(value)}")
    return value


def objects(record: Record, name: str, default: Record | None = None) -> list[Record]:
    """A list of objects; null in it gives the default, or is refused when there is none."""
    items = _items(record, name)
    return [mapping(items, item, default) for item in items]


def array(record: Record, name: str) -> list[object]:
    """A list of anything."""
    value = record.get(name)
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list, not {_kind(value)}")
    return value


def pixels(record: Record, name: str) -> int | None:
    """A width or height: a whole number from 1 to MOST_PIXELS, or None where the record does not tell."""
    value = record.get(name)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= MOST_PIXELS:
        raise ValueError(f"{name} must be a whole number from 1 to {MOST_PIXELS}, not {value!r}"[:200])
    return value


def identifier(record: Record, name: str) -> str:
    """An id: a string (or whole number) that is not blank and holds no control characters."""
    number = record.get(name)
    if type(number) is int:
        return str(number)
    value = string(record, name)
    if not value.strip() or any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in value):
        raise ValueError(f"{name} must not be blank or hold control characters, is {value!r}"[:200])
    return value


def title(record: Record, name: str) -> str:
    """One line of text; HTML entities are turned back (`&lt;add&gt;` is `<add>`)."""
    return " ".join(html.unescape(string(record, name, "")).split())


def relative(name: str) -> str:
    """A file name below a folder, normalised. Raises ValueError for one that leads out of it."""
    path = posixpath.normpath(name)
    if not name or path.startswith(("/", "../")) or path in (".", "..") or "\\" in name or "\0" in name:
        raise ValueError(f"{name!r} is no file name inside the corpus"[:200])
    return path


def _items(record: Record, name: str) -> Record:
    """The items of a list, each under its name for a message: `segments[3]`."""
    return {f"{name}[{i}]": item for i, item in enumerate(array(record, name))}


def _kind(value: object) -> str:
    return "missing" if value is None else type(value).__name__
