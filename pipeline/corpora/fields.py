"""Checks that every reader needs: each returns the value of a field or raises ValueError with a reason."""

from __future__ import annotations

import html
import posixpath
import traceback
import unicodedata

from schemas.errors import RecordFault, unquoted

Record = dict[str, object]
"""A decoded record; its values may be anything until one of the functions here has checked them."""

READER_ERROR = "reader_error"
"""The kind of a fault for which the reader is to blame, and not the record."""
MOST_PIXELS = 2**31 - 1  # a side of a PNG can have no more; JPEG, GIF and WebP stop far below


class BadRecord(RecordFault):
    """A record that could not be decoded. `kind` is what the ledger calls the error:

    unreadable     the file is damaged here; what follows in it is lost
    too_long       a line of more than 32 MiB or a million values, a field beyond `limits.MOST`, or a compressed file
                   that decompresses to far more than its size
    bad_utf8       bytes that are no UTF-8, or a string with half a surrogate pair
    bad_json       not JSON
    not_an_object  JSON, but not an object
    bad_record     an object in which a field is missing or of the wrong type
    reader_error   the reader itself failed (`guard.py`)

    `detail` quotes nothing from the file, which may contain secrets.
    """


def said(error: Exception) -> str:
    """The message of an exception, without what it quotes, unless that is a field that the reader's own code names."""
    if isinstance(error, KeyError) and error.args and _is_named(error, error.args[0]):
        return f"KeyError: field {error.args[0]!r} is missing"
    return f"{type(error).__name__}: {unquoted(error)}".removesuffix(": ")


def _is_named(error: KeyError, key: object) -> bool:
    """Whether the function that raised the error has this name as a constant, so that it is not from a file."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return isinstance(key, str) and key.isidentifier() and bool(frames) and key in frames[-1].f_code.co_consts


def string(record: Record, name: str, default: str | None = None) -> str:
    """A string field; if it is null or absent, the default, or ValueError if there is none."""
    value = record.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, not {_kind(value)}")
    return value


def strings(record: Record, name: str, default: str | None = None) -> list[str]:
    """A list of strings; the default replaces null in it, or ValueError if there is none."""
    items = _items(record, name)
    return [string(items, item, default) for item in items]


def mapping(record: Record, name: str, default: Record | None = None) -> Record:
    """An object; if it is null or absent, the default, or ValueError if there is none."""
    value = record.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object, not {_kind(value)}")
    return value


def objects(record: Record, name: str, default: Record | None = None) -> list[Record]:
    """A list of objects; the default replaces null in it, or ValueError if there is none."""
    items = _items(record, name)
    return [mapping(items, item, default) for item in items]


def array(record: Record, name: str) -> list[object]:
    """A list with any items; absence is refused."""
    value = record.get(name)
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list, not {_kind(value)}")
    return value


def pixels(record: Record, name: str) -> int | None:
    """A width or height: a whole number from 1 to MOST_PIXELS, or None if the record does not state it."""
    value = record.get(name)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= MOST_PIXELS:
        raise ValueError(f"{name} must be a whole number from 1 to {MOST_PIXELS}")
    return value


def identifier(record: Record, name: str) -> str:
    """An id: a string (or whole number) that is not blank and holds no control characters."""
    number = record.get(name)
    if type(number) is int:
        return str(number)
    value = string(record, name)
    if not value.strip() or any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in value):
        raise ValueError(f"{name} must not be blank or hold control characters")
    return value


def title(record: Record, name: str) -> str:
    """One line of text; HTML entities are decoded (`&lt;add&gt;` becomes `<add>`)."""
    return " ".join(html.unescape(string(record, name, "")).split())


def relative(name: str) -> str:
    """A file name below a folder, normalised. Raises ValueError for one that leads out of it."""
    path = posixpath.normpath(name)
    if not name or path.startswith(("/", "../")) or path in (".", "..") or "\\" in name or "\0" in name:
        raise ValueError("the name of an image is no file name inside the corpus")
    return path


def _items(record: Record, name: str) -> Record:
    """The items of a list, each under its name for a message: `segments[3]`."""
    return {f"{name}[{i}]": item for i, item in enumerate(array(record, name))}


def _kind(value: object) -> str:
    return "missing" if value is None else type(value).__name__
