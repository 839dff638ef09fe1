"""Says in words which files of a corpus are not read: why there is none to read, or what lies beside those that are."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence

from pipeline.corpora.parts import Format
from pipeline.storage import uris
from pipeline.storage.bucket import is_remote
from schemas.printable import some

SHOWN = 3
"""How many names are shown."""


def why_none(path: str, shape: Format) -> str:
    """Why a path has no part to read. Raises OSError for a folder that cannot be listed.

    >>> why_none("nowhere/docs.jsonl", Format(lambda record, place: iter(()), (".jsonl",)))
    'there is no nowhere/docs.jsonl'
    """
    wild = glob.has_magic(path) and not os.path.lexists(path)
    if not wild and not is_remote(path) and not os.path.exists(path):
        return f"there is no {path}" + ("; ~ is not expanded here, so write the whole path" * path.startswith("~"))
    endings = ", ".join(f"*{suffix}" for suffix in shape.suffixes)
    found = uris.find(path, ("",))
    fitting = [file for file in found if file.endswith(shape.suffixes)]
    if not found:
        return f"no file matches {path}" if wild else f"there are no files in {path}"
    if not fitting:
        case = "; endings are compared with their case" * any(f.lower().endswith(shape.suffixes) for f in found)
        return f"looked for {endings}, and found only {_names(found)}{case}"
    if not is_remote(path) and not any(map(os.path.getsize, fitting)):
        return f"empty, with 0 bytes: {_names(fitting)}"
    return f"looked for a file, a folder or a glob of {endings}, and found nothing to read in {_names(fitting)}"


def left_out(path: str, shape: Format) -> str:
    """What lies in a local folder and is not read, if only files directly in it are; "" if nothing does."""
    if shape.files or is_remote(path) or not os.path.isdir(path):
        return ""
    entries = uris.find(path, ("",))
    other = [entry for entry in entries if os.path.isfile(entry) and not entry.endswith(shape.suffixes)]
    below = [
        entry
        for entry in entries
        if os.path.isdir(entry) and os.path.basename(entry) != shape.images and _has_files(entry, shape)
    ]
    parts = []
    if below:
        parts.append(f"the folders {_names(below)}, which {path.rstrip('/')}/**/*{shape.suffixes[0]} would take")
    if other:
        parts.append(f"other endings: {_names(other)}")
    return "; ".join(parts)


def _has_files(folder: str, shape: Format) -> bool:
    try:
        return bool(uris.find(folder, shape.suffixes[:1]))
    except OSError:  # nobody has asked to read it
        return False


def _names(files: Sequence[str]) -> str:
    return some([os.path.basename(file) for file in files], SHOWN)
