"""The time that web servers may cost one document, however many images it names.

What a server decides counts: how long it takes to answer, and the pauses that it asks for. Waiting until other documents
have asked the same host does not count, or the images of a busy host would be lost.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

TIMEOUTS = 30
"""A document may cost as many times the `timeout` of one image."""


class Allowance(threading.local):
    """The seconds that are left to the document that this thread works on; without one, there is no limit."""

    left = float("inf")

    @contextlib.contextmanager
    def of(self, seconds: float) -> Iterator[None]:
        """Let the document of the block cost so much; an image is not interrupted."""
        self.left = seconds
        try:
            yield
        finally:
            self.left = float("inf")

    def charge(self, seconds: float) -> None:
        """Take off what a server has cost."""
        self.left -= seconds


allowance = Allowance()
