"""One run at a time in a folder: two would use the same staging folder, counts and model server."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from pipeline.storage.bucket import is_remote
from schemas.errors import UserError


@contextlib.contextmanager
def exclusive_lock(*folders: str) -> Iterator[None]:
    """Lock these folders until the end of the block; folders in an object store, which has no locks, are skipped.

    The lock is released when the process ends in any way. Raises UserError if another run has locked one of them.
    """
    with contextlib.ExitStack() as stack:
        for folder in {os.path.realpath(folder): None for folder in folders if not is_remote(folder)}:
            os.makedirs(folder, exist_ok=True)
            held = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, held)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"another run is using {folder}; wait until it ends, or give this one another --output and --work"
                ) from None
        yield
