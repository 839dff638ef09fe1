"""Deleting what a run has written, on a disk or in a bucket."""

from __future__ import annotations

import errno
import os
import shutil

from pipeline.storage import packs, remote
from pipeline.storage.bucket import is_remote

TRIES = 5
"""How often a folder is deleted to which somebody still writes."""


def remove(path: str) -> None:
    """Delete a file, a link, or a folder with its contents; a path that does not exist is ignored."""
    packs.forget(path)
    if is_remote(path):
        remote.remove(path)
    elif os.path.isdir(path) and not os.path.islink(path):
        _remove_folder(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _remove_folder(path: str) -> None:
    for attempt in range(TRIES):
        try:
            shutil.rmtree(path)
            return
        except OSError as error:  # somebody else deletes there too, or writes: a worker whose launcher was killed
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY) or attempt + 1 == TRIES:
                raise
        if not os.path.lexists(path):
            return
