"""Translates what stopped a run into one of the project's own errors, with a sentence that says what to do."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator

from pipeline.graph import failures
from pipeline.graph.failures import BUG, USER, Failure
from schemas.errors import AGAIN, DISK_FULL, BugError, ServiceError, UserError, is_users
from schemas.stage_names import stage_title

_IMAGE = 1 << 18
"""The bytes of a large stored image."""
_FROM_BEAM = " [while running '"
"""What Beam adds to the message of an error that a worker of this process raised."""

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def translated(output: str, work: str, failures_folder: str, log: str) -> Iterator[None]:
    """Raise every error that stops the run as UserError, ServiceError or BugError.

    Workers record errors in `failures_folder`, because runners pass on at most their text. `log` is the file with the
    tracebacks, for the message.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError | ServiceError) and _FROM_BEAM not in str(error):
            raise
        if found := _recorded(failures_folder):
            raise _of_record(found, output, log) from None
        raise _of_launcher(error, output, work, log) from error


def _recorded(folder: str) -> Failure | None:
    try:
        return failures.read(folder)
    except (OSError, ValueError, TypeError):  # the disk, or the access to it, may be what failed
        _log.info("cannot read %s", folder, exc_info=True)
        return None


def _of_record(failure: Failure, output: str, log: str) -> Exception:
    if failure.kind == USER:
        return UserError(failure.message)
    if failure.kind == BUG:
        where = f"at the stage “{stage_title(failure.stage)}”" + (
            f", document {failure.document}" if failure.document else ""
        )
        return BugError(
            f"a bug stopped the run {where}: {failure.message}; the traceback is in {log}. With "
            "--keep-going the run continues, and such a document gets a ledger row"
        )
    if failure.message == "the disk is full":
        return _full(output)
    return ServiceError(failure.message if AGAIN in failure.message else f"{failure.message}; fix it and {AGAIN}")


def _full(output: str) -> ServiceError:
    return ServiceError(f"the disk that holds {output} is full; free some space and {AGAIN}")


def _is_full(folder: str) -> bool:
    """Whether a local folder's disk has no room for an image."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_IMAGE))
            file.flush()
    except OSError as error:
        return error.errno in DISK_FULL
    return False


def _of_launcher(error: Exception, output: str, work: str, log: str) -> Exception:
    """An error of this process, or of the runner when no worker could record one."""
    if isinstance(error, OSError):
        if error.errno in DISK_FULL:
            return _full(output)
        name = os.path.abspath(str(error.filename))
        for folder, option in ((output, "--output"), (work, "--work")):  # the default work folder is in the output
            if f"{name}/".startswith(f"{os.path.abspath(folder)}/") and is_users(error):
                if os.path.isfile(folder):
                    return UserError(f"{folder} is a file, not a folder; choose another {option}")
                return UserError(f"cannot write to {error.filename}: {error.strerror}; choose another {option}")
        return ServiceError(f"{error.filename or 'a file'}: {error.strerror or error}; fix it and {AGAIN}")
    if _is_full(work):  # no worker could record that
        return _full(output)
    if type(error).__module__.split(".")[0] in ("apache_beam", "grpc") or type(error) is RuntimeError:
        _log.info("error in the runner", exc_info=error)
        return ServiceError(
            f"the runner stopped, but no worker recorded an error; this happens when a worker process "
            f"is killed or out of memory; see {log}; {AGAIN}"
        )
    _log.exception("error in the launcher")
    return BugError(f"a bug stopped the run: {type(error).__name__}: {error}; the traceback is in {log}")
