"""Logging of the commands: warnings on the terminal, all messages in a log file in the work folder."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

from schemas.printable import printable

OURS = ("pipeline", "filters", "prompts", "schemas", "moss", "models")
LEVELS = ("debug", "info", "warning", "error")
_SECRETIVE = ("boto3", "botocore", "google.auth", "urllib3")
"""Libraries whose messages of the level DEBUG have the headers and bodies of requests, and so credentials."""
_FORMAT = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


def to_terminal(level: str) -> None:
    """Show this project's messages from `level` up, and errors of libraries, on stderr."""
    root = logging.getLogger()
    for handler in [h for h in root.handlers if h.get_name() == __name__]:
        root.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    handler.set_name(__name__)
    handler.setFormatter(_Printable("leafinstruct: %(levelname)s: %(message)s"))
    handler.addFilter(lambda record: _shown(record, getattr(logging, level.upper())))
    root.addHandler(handler)
    root.setLevel(logging.INFO if level != "debug" else logging.DEBUG)
    for name in _SECRETIVE:
        logging.getLogger(name).setLevel(logging.INFO)


class _Printable(logging.Formatter):
    """Makes messages safe for a terminal, because they name untrusted documents and files."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _shown(record: logging.LogRecord, level: int) -> bool:
    """Whether the terminal shows a message; tracebacks of errors that stop a run are for the log file only."""
    if record.name.startswith("pipeline.graph.failures"):
        return level <= logging.DEBUG
    if record.name.split(".")[0] in OURS:
        return record.levelno >= level
    if record.name.startswith("apache_beam"):  # it logs what a stage raised, which the command reports
        return record.levelno >= logging.CRITICAL or level <= logging.DEBUG
    return record.levelno >= max(level, logging.ERROR)


class _File(logging.FileHandler):
    """A log file whose faults nobody hears of: what the disk is needed for reports them once, not each message."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # of opening the file, which `handleError` is not told
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        pass


@contextlib.contextmanager
def to_file(path: str) -> Iterator[None]:
    """While the block runs, append every message, Beam's too, to a file."""
    root = logging.getLogger()
    handler = _File(path, delay=True, encoding="utf-8")
    handler.setFormatter(_FORMAT)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        with contextlib.suppress(OSError):
            handler.close()
