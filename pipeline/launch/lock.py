"""One run at a time in a folder: two would use the same staging folder, counts and model server."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator

from pipeline.launch.lease import Held, leased
from pipeline.storage.bucket import is_remote


@contextlib.contextmanager
def exclusive_lock(*folders: str, run: str = "") -> Iterator[Callable[[], None]]:
    """Lock these folders until the end of the block: local ones by `flock`, those in an object store by a lease.

    A lock is released when the process ends in any way; a lease ends some time after it (`launch.lease`). `run` is the
    id that a lease names. Yields a function that raises ServiceError if a lease was lost. Raises Held, a UserError, if
    another run has locked one of the folders.
    """
    with contextlib.ExitStack() as stack:
        for folder in {os.path.realpath(folder): None for folder in folders if not is_remote(folder)}:
            os.makedirs(folder, exist_ok=True)
            held = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, held)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Held(
                    f"another run is using {folder}; wait until it ends, or give this one another --output and --work"
                ) from None
        remote = {folder.rstrip("/"): None for folder in folders if is_remote(folder)}
        leases = [stack.enter_context(leased(folder, run)) for folder in remote]

        def check() -> None:
            for lease in leases:
                lease.check()

        yield check
