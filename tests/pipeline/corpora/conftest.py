from __future__ import annotations

import json

import pytest

from pipeline import corpora


@pytest.fixture
def jsonl(tmp_path):
    """Write records (objects, or raw bytes as they are) as lines of a file; returns its path as a string."""

    def write(*records, name="docs.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            b"".join(r + b"\n" if isinstance(r, bytes) else json.dumps(r).encode() + b"\n" for r in records)
        )
        return str(path)

    return write


@pytest.fixture
def read_all():
    """All documents and faults of a corpus."""

    def read(format, path):
        return [found for part in corpora.parts(format, str(path)) for found in corpora.read(part)]

    return read


@pytest.fixture
def read_one(jsonl, read_all):
    """What a single record gives: its one document or fault."""

    def read(format, record):
        [found] = read_all(format, jsonl(record))
        return found

    return read


@pytest.fixture
def tree(tmp_path):
    """Write files (texts, bytes, or objects as JSON) by their names below a folder; returns the folder as a string."""

    def write(**files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not isinstance(content, (str, bytes)):
                content = json.dumps(content)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(tmp_path)

    return write
