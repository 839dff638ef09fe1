"""Four kinds of errors, by what has to be done about them.

`UserError`: the user has to fix something. `RecordFault`: one record, image or answer is bad; it becomes a ledger row.
`ServiceError`: a server, a store or a disk failed in spite of retries; the run stops and can be resumed. Every other
exception is a bug: it stops the run with a traceback in the log, or in a reader costs the record (`corpora/guard.py`).
"""

from __future__ import annotations

import errno
import re

from schemas.printable import line


class UserError(Exception):
    """Something that the user has to fix. The message is a sentence that says what; commands exit with 2."""


class ServiceError(Exception):
    """A server, a store or a disk failed in spite of retries. The message is a sentence; commands exit with 4.

    The same command can be run again: what was finished is kept.
    """


class BugError(Exception):
    """A bug stopped a run. The message is a sentence, the traceback is in the log; commands exit with 3."""


class RecordFault(Exception):
    """Something is wrong with one record, image or answer; `kind` goes to the ledger's `error`, `detail` says more."""

    def __init__(self, kind: str, detail: str):
        super().__init__(kind, detail)
        self.kind, self.detail = kind, detail

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


_QUOTED = re.compile(r"""b?'(?:[^'\\]|\\.)*'|b?"(?:[^"\\]|\\.)*\"""", re.S)  # as repr() writes it

AGAIN = "run the same command again: what was finished is kept"
"""The end of a message about a failure that may not occur in the next run."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def unquoted(error: object) -> str:
    """An error's message without the data that it quotes, which may come from a file that must not be shown.

    >>> unquoted(ValueError("level is 'secret', but must be a number"))
    'level is …, but must be a number'
    """
    return _QUOTED.sub("…", str(error))


def exit_code(error: UserError | BugError | ServiceError) -> int:
    """What a command ends with: 2 if the user has to fix something, 3 for a bug, 4 for a server, store or disk.

    >>> exit_code(UserError("no such file")), exit_code(ServiceError("the server is gone"))
    (2, 4)
    """
    return 2 if isinstance(error, UserError) else 3 if isinstance(error, BugError) else 4


_USERS = {
    getattr(errno, name)
    for name in "ENOENT EACCES EPERM EROFS ENOTDIR EISDIR ENAMETOOLONG EEXIST ELOOP ENODEV EINVAL".split()
}


def is_users(error: OSError) -> bool:
    """Whether the user has to mend this: a path that is not there, may not be used or is something else.

    >>> is_users(PermissionError(errno.EACCES, "", "out")), is_users(OSError(errno.EIO, "", "out"))
    (True, False)
    """
    return bool(error.filename) and error.errno in _USERS


def reason(error: OSError) -> str:
    """What the system says, and of a full disk what to do.

    >>> reason(OSError(errno.EIO, "Input/output error")), reason(OSError(errno.ENOSPC, "No space left on device"))[:36]
    ('Input/output error', 'the disk is full; free some space an')
    """
    if error.errno in DISK_FULL:
        return f"the disk is full; free some space and {AGAIN}"
    return error.strerror or str(error)


def one_line(text: object, limit: int = 300) -> str:
    """The printable text on one line, cut after `limit` characters.

    >>> one_line("the first\\n  and the second")
    'the first and the second'
    """
    found = line(str(text))
    return found if len(found) <= limit else found[: limit - 1] + "…"
