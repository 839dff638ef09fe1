"""Does something again and again, in a thread, while a block runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def every(seconds: float, do: Callable[[], None], name: str) -> Iterator[None]:
    """Call `do` every so many seconds until the block ends; at its end a call that has begun is waited for.

    name: the thread's. `do` must not raise, or it is not called again.
    """
    over = threading.Event()

    def loop() -> None:
        while not over.wait(seconds):
            do()

    thread = threading.Thread(target=loop, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
