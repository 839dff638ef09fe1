"""The local folder in which a run groups its records: a new one, without what a killed run left."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from pipeline.run import Run
from pipeline.storage.bucket import is_remote


@contextlib.contextmanager
def folder(run: Run) -> Iterator[str]:
    """A new folder, in the work folder or, if that is remote, in the system's for temporary files; it goes with the block.

    Nobody else works in this work folder meanwhile (`lock.py`), so folders of its earlier runs can go.
    """
    prefix, within = "", run.store("groups")
    if is_remote(run.work):
        prefix, within = f"leafinstruct-{hashlib.sha256(run.work.encode()).hexdigest()[:16]}-", tempfile.gettempdir()
        for left in pathlib.Path(within).glob(f"{prefix}*"):
            if left.lstat().st_uid == os.getuid() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
    os.makedirs(within, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=within, ignore_cleanup_errors=True) as new:
        yield new
