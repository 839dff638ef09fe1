"""run.json: checksums of the pages and numbers that tell how a run went, and of the manifest. They differ from run to
run, so that the manifest, which does not, cannot hold them. A signature signs this file, and so every other one."""

from __future__ import annotations

import hashlib

from schemas.checks.schema import run_faults
from schemas.codec import Json, manifest_bytes, parse_json
from schemas.defects import Defect
from schemas.folder import Folder
from schemas.folder import read as read_file

FILE, SIGNATURE = "run.json", "run.json.sig"
MOST = 1 << 16
"""Bytes: a build writes 400."""


def load(folder: Folder) -> tuple[bytes | None, list[Defect]]:
    """The bytes of run.json, or None and why they cannot be had."""
    try:
        return read_file(folder, FILE, MOST), []
    except FileNotFoundError:
        return None, [Defect("file-missing", FILE, "is not there")]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return None, [Defect("run-unreadable", FILE, f"cannot be read: {reason}")]


def parse(data: bytes, manifest: bytes) -> tuple[Json | None, list[Defect]]:
    """What the bytes say, or None where they say nothing, and what is wrong; `manifest`: the bytes of manifest.json."""
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
