"""What pictures cost in an object store, in operations."""

from __future__ import annotations

import collections
import io
import tarfile

import numpy as np
import PIL.Image
import pytest

from pipeline.images import store as images
from pipeline.images.store import ImageStore
from pipeline.storage import bucket, packs, tars, uris
from pipeline.storage.files import write_bytes
from schemas.records import Image
from tests.pipeline.kept import values
from tests.pipeline.storage import emulators

PICTURES = 60


def jpeg(seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.fixture(params=emulators.KINDS)
def store(request, monkeypatch):
    """(the URL of a bucket, the operations on it: method -> how many, and `bytes`, those that were read)."""
    with emulators.emulator(request.param) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        emulators.forget_clients()
        kind = type(bucket.split(f"{request.param}://bucket/a")[0])
        counts = collections.Counter()

        def counting(name):
            method = getattr(kind, name)

            def counted(self, *arguments, **options):
                counts[name] += 1
                found = method(self, *arguments, **options)
                counts["bytes"] += len(found) if isinstance(found, bytes) else 0
                return found

            return counted

        for name in ("read", "size", "write", "list", "copy", "delete"):
            monkeypatch.setattr(kind, name, counting(name))
        yield f"{request.param}://bucket", counts
        emulators.forget_clients()


def forget():
    """Know no more than a new process."""
    tars._walk.cache_clear()
    images._recent._found.clear()
    packs._recent._found.clear()
    packs._all.cache_clear()


def an_image_store(url: str) -> ImageStore:
    return ImageStore(f"{url}/kept/images", max_side=1024, max_bytes=1 << 20, max_pixels=10**7)


def test_a_picture_costs_one_read_and_a_tenth_of_a_write_and_none_is_read_again(store):
    url, counts = store
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for seed in range(PICTURES):
            data = jpeg(seed)
            info = tarfile.TarInfo(f"{seed}.jpg")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    write_bytes(f"{url}/corpus.tar", archive.getvalue())
    source = [Image(f"{url}/corpus.tar!/{seed}.jpg", "", "") for seed in range(PICTURES)]
    tars.tar_index(f"{url}/corpus.tar")  # once a process
    counts.clear()

    pictures = an_image_store(url)
    stored = [pictures.store(pictures.sized(image)) for image in source]
    for image in stored:
        pictures.open(image.sha256)  # for its scores
    packs.flush()
    assert counts["read"] + counts["size"] <= 1.2 * PICTURES
    assert counts["write"] <= 0.1 * PICTURES
    assert counts["list"] <= 2
    assert counts["bytes"] <= len(archive.getvalue())  # of each picture its own bytes

    forget()
    counts.clear()
    again = an_image_store(url)
    assert [again.store(again.sized(image)) for image in source] == stored
    assert counts["write"] == 0 and again.counts()["images_known"] == PICTURES


def test_a_tars_index_is_read_once_and_without_its_pictures(store):
    url, counts = store
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for seed in range(5):
            info = tarfile.TarInfo(f"{seed}.bin")
            info.size = 1_000_000
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    write_bytes(f"{url}/large.tar", archive.getvalue())
    counts.clear()
    for seed in range(5):
        assert uris.read_bytes(f"{url}/large.tar!/{seed}.bin", 10) == bytes(10)
    assert counts["size"] == 1 and counts["read"] <= 5 + 6
    assert counts["bytes"] <= 6 * 64 * 1024 + 5 * 10


def tar_of(*sizes: int) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for number, size in enumerate(sizes):
            info = tarfile.TarInfo(f"{number}.bin")
            info.size = size
            tar.addfile(info, io.BytesIO(bytes(size)))
    return archive.getvalue()


def test_a_tars_index_is_made_by_one_process_for_all_and_anew_if_the_tar_changes(store):
    url, counts = store
    write_bytes(f"{url}/large.tar", tar_of(*[100_000] * 40))
    forget()
    tars.keep_in(f"{url}/kept/tars")
    first = tars.tar_index(f"{url}/large.tar")
    assert counts["read"] >= 40
    for _ in range(2):
        forget()
        counts.clear()
        assert tars.tar_index(f"{url}/large.tar") == first
        assert (counts["read"], counts["size"], counts["write"]) == (1, 0, 0) and counts["list"] <= 2
    write_bytes(f"{url}/large.tar", tar_of(*[100_000] * 39, 99_999)[:-20_000])
    forget()
    changed = tars.tar_index(f"{url}/large.tar")
    assert changed.members["39.bin"][1] < first.members["39.bin"][1] and changed.error
    forget()
    assert tars.tar_index(f"{url}/large.tar") == changed


def test_an_index_that_was_cut_is_made_again(store, tmp_path):
    url, _ = store
    write_bytes(f"{url}/cut.tar", tar_of(10, 20))
    tars.keep_in(str(tmp_path))
    first = tars.tar_index(f"{url}/cut.tar")
    [(key, whole)] = values(tmp_path).items()
    for left in (0, 30):
        packs.of(str(tmp_path)).write(key, whole[:left])
        packs.flush()
        tars._walk.cache_clear()
        assert tars.tar_index(f"{url}/cut.tar") == first and packs.of(str(tmp_path)).read(key) == whole
