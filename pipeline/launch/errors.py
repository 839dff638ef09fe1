"""What broke a run, in one sentence that says what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator

from schemas.errors import UserError

_OF_A_PATH = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR}
_AGAIN = "run the same command again: what was finished is kept"
_OS_ERROR = re.compile(r"(?:PermissionError|FileNotFoundError|NotADirectoryError|IsADirectoryError|OSError): "
                       r"(\[Errno \d+\] [^\n]*?)(?: \[while running|\n|$)")
_DEAD_WORKER = re.compile(r"Channel closed prematurely|transport endpoint was closed|[Ww]orker (?:exited|died)")
"""What Beam says of a worker process that was killed."""


@contextlib.contextmanager
def plain_errors(output: str, work: str) -> Iterator[None]:
    """Raise errors of the machine as UserError; what is ours to mend keeps its traceback. Beam hands on the text of
    what a worker raised, not the error itself, so the text is searched as well."""
    try:
        yield
    except Exception as error:
        if sentence := _sentence(error, output, work):
            raise UserError(sentence) from None
        raise


def _sentence(error: Exception, output: str, work: str) -> str:
    text = str(error)
    if "No space left on device" in text:
        return f"the disk that holds {output} is full; free some space and {_AGAIN}"
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in _OF_A_PATH:
            name = str(cause.filename or output)
            if any(f"{os.path.abspath(name)}/".startswith(f"{os.path.abspath(folder)}/") for folder in (output, work)):
                return f"cannot write to {name}: {cause.strerror}; choose another --output"
            return f"cannot read {name}: {cause.strerror}; mend it and {_AGAIN}"
    for cause in _causes(error):
        if isinstance(cause, UserError):
            return _without_beam(str(cause))
    if found := _OS_ERROR.search(text):
        return f"{found[1]}; mend it and {_AGAIN}"
    if "UserError: " in text:
        return _without_beam(text.split("UserError: ", 1)[1]).split("\n")[0]
    if _DEAD_WORKER.search(text):
        return f"a worker process ended before its work did (killed, or out of memory); {_AGAIN}"
    return ""


def _without_beam(text: str) -> str:
    """What an error said before Beam added where it was raised."""
    return text.split(" [while running", 1)[0]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
