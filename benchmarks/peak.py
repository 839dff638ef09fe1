"""The greatest memory of a process and of all that it started, together."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import psutil


class Peak(threading.Thread):
    """Watches the sum of the processes' proportional shares (PSS, Linux), from now until `bytes` is called.

    Pages that processes share count once. every: the seconds between two looks.
    """

    def __init__(self, pid: int, every: float = 1.0):
        super().__init__(daemon=True)
        self.pid, self.every, self.most, self.done = pid, every, 0, threading.Event()
        self.start()

    def run(self) -> None:
        while not self.done.wait(self.every):
            with contextlib.suppress(psutil.NoSuchProcess):
                first = psutil.Process(self.pid)
                self.most = max(self.most, sum(_share(p.pid) for p in [first, *first.children(recursive=True)]))

    def bytes(self) -> int:
        """The greatest sum that was seen."""
        self.done.set()
        self.join()
        return self.most


def _share(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(text.split("\nPss:")[1].split()[0]) * 1024
    return 0
