"""What an exception of a reader becomes: a fault of the record, or of the file, that it was raised for.

A reader meets files that nobody has thought of, so one of its bugs must not cost a run. Nor must it look like bad
input: the fault's kind is `reader_error`, and the log has the traceback.
"""

from __future__ import annotations

import functools
import logging
import traceback

from pipeline.corpora.fields import READER_ERROR, BadRecord, said
from schemas.errors import ServiceError, UserError

_log = logging.getLogger(__name__)


def fault_of(error: Exception, kind: str) -> BadRecord:
    """The fault: of this kind if the content is wrong (ValueError, LookupError, RecursionError), or `reader_error`.

    Raises the error again if neither the content nor the reader is to blame, as for a full disk.
    """
    if isinstance(error, BadRecord):
        return error
    if isinstance(error, (ValueError, LookupError, RecursionError)):
        return BadRecord(kind, said(error))
    if isinstance(error, (OSError, MemoryError, UserError, ServiceError)):
        raise error
    _log_once(type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
    return BadRecord(READER_ERROR, said(error))


@functools.lru_cache(maxsize=1000)
def _log_once(name: str, frames: str) -> None:
    """Log where a reader failed. The message is left out: it may quote the file."""
    _log.error("a reader failed with %s:\n%s", name, frames)
