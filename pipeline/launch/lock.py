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
    """Lock these folders until the end of the block: local ones by a lock on `FOLDER/.lease`, remote ones by a lease.

    A lock is released when the process ends in any way; a lease ends some time after it (`launch.lease`). `run` is the
    id that a lease names. Yields a function that raises ServiceError if a lease was lost. Raises Held, a UserError, if
    another run has locked one of the folders.
    """
    with contextlib.ExitStack() as stack:
        for folder in {os.path.realpath(folder): None for folder in folders if not is_remote(folder)}:
            os.makedirs(folder, exist_ok=True)
            stack.enter_context(_locked(folder))
        remote = {folder.rstrip("/"): None for folder in folders if is_remote(folder)}
        leases = [stack.enter_context(leased(folder, run)) for folder in remote]

        def check() -> None:
            for lease in leases:
                lease.check()

        yield check


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Lock a local folder. A file is locked, because NFS keeps the lock of a folder from other machines."""
    path = f"{folder}/.lease"
    held = _lock(path)
    if held is None:
        raise Held(f"another run is using {folder}; wait until it ends, or give this one another --output and --work")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # a file that stays locks nothing
            os.unlink(path)
        os.close(held)


def _lock(path: str) -> int | None:
    """The descriptor of a file that this process has locked; None if another has."""
    while True:
        held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(held), os.stat(path)):
                return held
        except BlockingIOError:
            os.close(held)
            return None
        except FileNotFoundError:
            pass
        os.close(held)  # whoever held it has deleted it since we opened it
