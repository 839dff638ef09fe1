"""What the log file has, and what it must not have."""

from __future__ import annotations

import logging

import pytest

from pipeline.launch import logs


@pytest.fixture(autouse=True)
def as_before():
    root = logging.getLogger()
    names = ("", *logs._SECRETIVE)
    levels, handlers = {name: logging.getLogger(name).level for name in names}, list(root.handlers)
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize("name", ["botocore.parsers", "google.auth.transport.requests", "urllib3.connectionpool"])
def test_bodies_of_requests_are_not_logged_because_credentials_are_among_them(tmp_path, name):
    logs.to_terminal("debug")
    with logs.to_file(str(tmp_path / "log")):
        logging.getLogger("pipeline.images").debug("ours")
        logging.getLogger(name).debug("SecretAccessKey")
        logging.getLogger(name).warning("theirs")
    text = (tmp_path / "log").read_text()
    assert "ours" in text and "SecretAccessKey" not in text
    assert "theirs" in text or name.startswith("google")  # Google's loggers tell nobody else


def test_a_log_file_that_cannot_be_opened_stops_no_thread(tmp_path):
    with logs.to_file(str(tmp_path / "missing" / "log")):
        logging.getLogger("pipeline.images").warning("ours")
    assert list(tmp_path.iterdir()) == []
