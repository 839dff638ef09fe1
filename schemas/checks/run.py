"""Checks run.json, which has the checksums of the manifest and of the files that describe how a run went.

Those files differ from run to run, so the manifest, which does not, cannot have their checksums. The signature is that
of run.json, and so covers every file.
"""

from __future__ import annotations

import hashlib

from schemas.checks.schema import run_faults
from schemas.codec import Json, manifest_bytes, parse_json
from schemas.defects import Defect
from schemas.folder import Folder
from schemas.folder import read as read_file

FILE, SIGNATURE = "run.json", "run.json.sig"
MOST = 1 << 16
"""The largest run.json in bytes; a build writes 400."""


def load(folder: Folder) -> tuple[bytes | None, list[Defect]]:
    """The bytes of run.json, or None and the defects because of which they cannot be read."""
    try:
        return read_file(folder, FILE, MOST), []
    except FileNotFoundError:
        return None, [Defect("file-missing", FILE, "is not there")]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return None, [Defect("run-unreadable", FILE, f"cannot be read: {reason}")]


def parse(data: bytes, manifest: bytes) -> tuple[Json | None, list[Defect]]:
    """The content of these bytes (None if they are not JSON) and their defects.

    `manifest`: the bytes of manifest.json.
    """
    try:
        value = parse_json(data)
        faults = run_faults(value, len(data))
        canonical = b"" if faults else manifest_bytes(value)
    except (ValueError, RecursionError) as error:
        return None, [Defect("run-unreadable", FILE, f"cannot be read as JSON: {error}")]
    if faults:
        return None, [Defect("run-schema", FILE, message, pointer=pointer) for message, pointer in faults]
    found = []
    if canonical != data:
        found.append(Defect("run-form", FILE, "is not in canonical form (schemas.codec.manifest_bytes)"))
    digest = hashlib.sha256(manifest).hexdigest()
    if value["manifest"] != digest:
        message = f"is {value['manifest']}, but manifest.json has the sha256 {digest}"
        found.append(Defect("run-manifest", FILE, message, pointer="/manifest"))
    return value, found
