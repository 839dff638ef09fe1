"""An object store over local files under `disk://`, in this process alone. Importing it suffices.

It counts its operations, and can be told to fail.
"""

from __future__ import annotations

import collections
import hashlib
import io
import os
import pathlib
import shutil

from pipeline.storage import bucket

operations: collections.Counter[str] = collections.Counter()
"""What was done, by the name of the method."""


class DiskBucket:
    def __init__(self, name):
        self.root = pathlib.Path("/", name)  # disk://tmp/a is /tmp/a

    def _path(self, name, operation):
        operations[operation] += 1
        return self.root / name

    def read(self, name, start=0, end=None):
        path = self._path(name, "read")
        if path.is_dir():
            raise FileNotFoundError(path)
        with open(path, "rb") as file:
            file.seek(start)
            return file.read() if end is None else file.read(end - start)

    def size(self, name):
        path = self._path(name, "size")
        if not path.is_file():
            raise FileNotFoundError(path)
        return path.stat().st_size

    def write(self, name, file, absent=False):
        path = self._path(name, "write")
        path.parent.mkdir(parents=True, exist_ok=True)
        file.seek(0)
        with open(path, "xb" if absent else "wb") as target:
            shutil.copyfileobj(file, target)

    def read_version(self, name):
        data = self.read(name)
        return data, hashlib.sha256(data).hexdigest()

    def replace(self, name, data, version):
        if self.read_version(name)[1] != version:
            raise FileExistsError(name)
        self.write(name, io.BytesIO(data))

    def list(self, prefix, deep):
        folder = self._path(os.path.dirname(prefix), "list")
        found = folder.rglob("*") if deep else folder.glob("*")
        names = sorted(path.relative_to(self.root).as_posix() for path in found if path.is_file())
        yield from (name for name in names if name.startswith(prefix))

    def described(self, prefix):
        for name in self.list(prefix, deep=True):
            data = (self.root / name).read_bytes()
            yield name, len(data), hashlib.sha256(data).hexdigest()

    def copy(self, source, target):
        goal = self._path(target, "copy")
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.root / source, goal)

    def delete(self, name, version=""):
        path = self._path(name, "delete")
        if version and path.is_file() and self.read_version(name)[1] != version:
            raise FileExistsError(name)
        if path.is_file():
            path.unlink()


bucket.STORES["disk"] = DiskBucket
