"""A Beam file system over local files under `disk://`: it walks the way of an object store. Importing it suffices."""

from __future__ import annotations

from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem


def _local(url):
    return url.removeprefix("disk:/")  # disk://tmp/a is /tmp/a


class Disk(LocalFileSystem):
    @classmethod
    def scheme(cls):
        return "disk"

    def _list(self, dir_or_prefix):
        for found in super()._list(_local(dir_or_prefix)):
            yield FileMetadata(f"disk:/{found.path}", found.size_in_bytes)

    def metadata(self, path):
        return FileMetadata(path, super().size(_local(path)))

    def checksum(self, path):
        return super().checksum(_local(path))

    def exists(self, path):
        return super().exists(_local(path))

    def open(self, path, *arguments, **options):
        return super().open(_local(path), *arguments, **options)

    def create(self, path, *arguments, **options):
        return super().create(_local(path), *arguments, **options)

    def rename(self, sources, destinations):
        super().rename(list(map(_local, sources)), list(map(_local, destinations)))
