"""The process that decodes Parquet: what it may know, and whose fault it is when it cannot read."""

from __future__ import annotations

import contextlib
import errno
import io

import pytest

from pipeline.corpora import rows
from pipeline.storage import child, parquet
from schemas.errors import ServiceError


@pytest.fixture
def started(monkeypatch):
    """The environments of the children that would be started."""
    found = []

    class Noted(Exception):
        pass

    def start(module, environment):
        found.append(environment)
        raise Noted

    monkeypatch.setattr(rows, "Child", start)
    monkeypatch.setattr(rows, "open_bytes", lambda path: io.BytesIO())
    monkeypatch.setattr(rows, "_idle", lambda *_: rows.queue.LifoQueue())

    def ask(path):
        with contextlib.suppress(Noted):
            list(rows.read(path, 0))
        return found[-1]

    return ask


def test_only_who_reads_from_a_store_gets_its_credentials_and_nobody_the_key_of_the_model(started, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("LEAFINSTRUCT_LLM_KEY", "secret")
    assert "AWS_SECRET_ACCESS_KEY" not in started("a.parquet")
    store = started("s3://bucket/a.parquet")
    assert "AWS_SECRET_ACCESS_KEY" in store and "LEAFINSTRUCT_LLM_KEY" not in store


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "Input/output error"),
        FileNotFoundError(errno.ENOENT, "gone"),
        ServiceError("the store is away"),
    ],
)
def test_a_disk_or_a_store_that_fails_is_no_damage_of_the_file(monkeypatch, error):
    class Failing(io.BytesIO):
        def read(self, *_):
            raise error

        readinto = read

    monkeypatch.setattr(parquet, "open_bytes", lambda path: Failing(b"PAR1" * 100))
    monkeypatch.setattr(child, "limits", lambda *_: contextlib.nullcontext())
    with pytest.raises(type(error), match=str(error.args[-1])):
        parquet.answer({"path": "a.parquet", "group": None, "columns": []}, b"", lambda *_: None)


def test_damage_of_the_file_is(monkeypatch):
    said = []
    monkeypatch.setattr(parquet, "open_bytes", lambda path: io.BytesIO(b"PAR1" * 100))
    monkeypatch.setattr(child, "limits", lambda *_: contextlib.nullcontext())
    parquet.answer({"path": "a.parquet", "group": None, "columns": []}, b"", lambda head, data: said.append(head))
    assert said[-1]["last"][0] == "unreadable"
