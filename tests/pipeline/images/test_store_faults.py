"""Every operation of an object store fails in turn, for good: it is never the picture's fault, and nothing is lost."""

from __future__ import annotations

import io

import PIL.Image
import pytest

from pipeline.images import store as images
from pipeline.images.store import ImageStore
from pipeline.storage import packs
from pipeline.storage.files import write_bytes
from schemas.errors import ServiceError
from schemas.records import Image
from tests.pipeline import disk


def forget():
    """Know no more than a new process."""
    images._recent._found.clear()
    packs._recent._found.clear()
    packs._all.cache_clear()


def run(url: str) -> list[str]:
    """Store three pictures, open them, and store them again in another process; their hashes."""
    source = [Image(f"{url}/corpus/{name}.png", "", "") for name in "abc"]
    for _ in range(2):
        forget()
        pictures = ImageStore(f"{url}/work", max_side=64, max_bytes=1 << 20, max_pixels=10**6)
        stored = [pictures.store(pictures.sized(image)).sha256 for image in source]
        for sha256 in stored:
            pictures.open(sha256)
        packs.flush()
    return stored


@pytest.fixture
def url(tmp_path):
    for number, name in enumerate("abc"):
        file = io.BytesIO()
        PIL.Image.new("RGB", (40, 30), (number, 0, 0)).save(file, "PNG")
        write_bytes(f"disk:/{tmp_path}/corpus/{name}.png", file.getvalue())
    return f"disk:/{tmp_path}"


def test_a_fault_of_each_operation_stops_the_run_and_the_next_run_completes_it(url, tmp_path, monkeypatch):
    done, fails_at = 0, None
    path = disk.DiskBucket._path

    def failing(self, name, operation):
        nonlocal done
        done += 1
        if fails_at is not None and done >= fails_at:
            raise ServiceError("the store does not answer")
        return path(self, name, operation)

    monkeypatch.setattr(disk.DiskBucket, "_path", failing)
    whole = run(url)
    operations = done
    assert operations > 8 and len(set(whole)) == 3
    for number in range(1, operations + 1):
        fresh = f"{url}/{number}"
        for name in "abc":
            fails_at = None
            write_bytes(f"{fresh}/corpus/{name}.png", (tmp_path / f"corpus/{name}.png").read_bytes())
        done, fails_at = 0, number
        with pytest.raises(ServiceError):
            run(fresh)
        fails_at = None
        assert run(fresh) == whole
