"""Keeps in memory what was read or written last, up to a limit."""

from __future__ import annotations

import collections
import threading


class Recent:
    """Bytes by name.

    When there are more than `room`, those that were used longest ago are removed. Threads may share it.
    """

    def __init__(self, room: int):
        self.room = room
        self._found: collections.OrderedDict[str, bytes] = collections.OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, name: str) -> bytes | None:
        """The bytes of the name, or None if they are not kept (any more)."""
        with self._lock:
            data = self._found.get(name)
            if data is not None:
                self._found.move_to_end(name)
            return data

    def put(self, name: str, data: bytes) -> None:
        """Keep the bytes of a name."""
        with self._lock:
            self._size += len(data) - len(self._found.pop(name, b""))
            self._found[name] = data
            while self._size > self.room:
                self._size -= len(self._found.popitem(last=False)[1])
