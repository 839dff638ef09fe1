"""Values by their keys: images, scores, answers and finished instances are in such stores.

A store is a folder, local or in a bucket, of files that hold many values each (`packs.py`). It needs no server and no
locking, survives a killed run, and is shared by all workers: what one has written, the others find, on a disk after some
seconds, in a bucket as `read` and `find` say. Of two values of a key the newer one counts.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pipeline.storage import packs
from pipeline.storage.files import resolved


def content_key(*parts: Any) -> str:
    """The sha256 (hex) of the parts as canonical JSON: equal parts have the same key in every run."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Store:
    """The store in the folder `root`, a path or a URL. Cheap to make and to pickle; each process has one state for all.

    A value that was damaged reads as one that was never written.
    """

    def __init__(self, root: str):
        self.root = resolved(str(root))

    def read(self, key: str) -> bytes | None:
        """The bytes of the key; None if it was never written, or in a bucket since this process first looked there."""
        return packs.of(self.root).read(key)

    def read_json(self, key: str) -> Any:
        """The value of the key; None if it was never written, or is damaged."""
        data = self.read(key)
        try:
            return None if data is None else json.loads(data)
        except ValueError:
            return None

    def find(self, key: str) -> bytes | None:
        """As `read`, but in a bucket, too, finds what another process has written since."""
        return packs.of(self.root).find(key)

    def write(self, key: str, data: bytes) -> None:
        """Keep the bytes of the key: written when the bundle ends, or soon (`packs.py`)."""
        packs.of(self.root).write(key, data)

    def flush(self) -> None:
        """Let other processes see what this one has written."""
        packs.of(self.root).flush()
