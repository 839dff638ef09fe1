"""Records why a run stopped: workers write the error to the work folder, and the launcher makes a message of it.

A runner passes on the text of what a worker raised, or nothing if the worker died. So an error that stops the run is
written to a file first, with its traceback.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import traceback
from collections.abc import Iterator

from pipeline.storage import uris
from pipeline.storage.files import write_bytes
from pipeline.storage.store import content_key
from schemas.errors import DISK_FULL, RecordFault, ServiceError, UserError, one_line

USER, SERVICE, BUG = "user", "service", "bug"
KINDS = (USER, BUG, SERVICE)
"""In the order in which they are reported: a bad setting or a bug often makes a service fail too."""

_SERVICE = (ServiceError, OSError, MemoryError)
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Failure:
    """An error that stopped the run; `kind` is one of KINDS, `stage` and `document` say where it was raised."""

    kind: str
    stage: str
    document: str
    message: str
    traceback: str


def kind_of(error: BaseException) -> str:
    """The kind of an error, by what has to be done about it: see `schemas/errors.py`."""
    if isinstance(error, UserError):
        return USER
    return SERVICE if isinstance(error, _SERVICE) else BUG


def is_bug(error: BaseException) -> bool:
    """Whether an error is a bug: an exception of none of the expected kinds."""
    return isinstance(error, Exception) and not isinstance(error, (UserError, RecordFault, *_SERVICE))


@contextlib.contextmanager
def recorded(folder: str, stage: str, document: str = "") -> Iterator[None]:
    """Errors that the block raises are recorded in `folder`."""
    try:
        yield
    except Exception as error:
        record(folder, stage, document, error)
        raise


def record(folder: str, stage: str, document: str, error: Exception) -> None:
    """Write an error to `folder`; the same error in several workers is one file."""
    text = "".join(traceback.format_exception(error))
    failure = Failure(kind_of(error), stage, document, _message(error), text)
    _log.log(
        logging.ERROR if failure.kind == BUG else logging.INFO, "stage %s, document %s:\n%s", stage, document, text
    )
    try:
        write_bytes(
            f"{folder}/{content_key(failure.kind, failure.message)}.json",
            json.dumps(dataclasses.asdict(failure)).encode(),
        )
    except OSError:
        _log.exception("could not write to %s", folder)


def read(folder: str) -> Failure | None:
    """The failure in `folder` to report, by the order of KINDS; None if there is none."""
    return min(_all(folder), key=lambda failure: KINDS.index(failure.kind), default=None)


def bugs(folder: str) -> list[Failure]:
    """The bugs in `folder`, each kind once: with --keep-going, a run goes on after them."""
    return [failure for failure in _all(folder) if failure.kind == BUG]


def _all(folder: str) -> list[Failure]:
    return [Failure(**json.loads(uris.read_bytes(path))) for path in uris.find(folder, (".json",))]


def _message(error: Exception) -> str:
    if isinstance(error, UserError | ServiceError):
        return str(error)
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return "the disk is full"
    if isinstance(error, OSError) and error.errno:
        return f"{error.filename or 'a file'}: {error.strerror}"
    if isinstance(error, MemoryError):
        return "out of memory"
    return one_line(f"{type(error).__name__}: {error}", 500)
