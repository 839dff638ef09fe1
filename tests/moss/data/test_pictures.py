"""Decoding in worker processes, ahead of the tokenizer."""

from __future__ import annotations

import functools
import os
import pickle
import signal
import time

import numpy as np
import PIL.Image
import pytest

from moss import backbones
from moss.data import pictures, prepare, sidecar
from schemas.errors import UserError
from tests.moss.data import stub


def noted(image, folder):
    """The image, after a file whose name begins with the process that has prepared it."""
    (folder / f"{os.getpid()}-{len(list(folder.glob(f'{os.getpid()}-*')))}").touch()
    return image


def ending(image, parent):
    """Ends the worker, as the kernel does where memory is short."""
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return image


def encode(folder, pixels, workers, cache):
    paths = sidecar.encode_shards(folder, pixels, cache, progress=False, workers=workers)
    return [path.read_bytes() for path in paths]


@pytest.mark.parametrize("continuous", [False, True])
def test_the_sidecars_do_not_depend_on_the_number_of_workers(folder, tmp_path, continuous, monkeypatch):
    monkeypatch.setattr(sidecar, "BATCH", 3)
    made = [encode(folder, stub.generalist(continuous).pixels, n, tmp_path / str(n)) for n in (0, 1, 2)]
    assert made[0] == made[1] == made[2] and len(made[0]) == 3


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_and_not_the_main_process_decode(folder, tmp_path, workers):
    pixels = stub.generalist().pixels
    pixels.prepare = functools.partial(noted, folder=tmp_path)
    encode(folder, pixels, workers, tmp_path / "codes")
    by = [int(path.name.partition("-")[0]) for path in tmp_path.glob("*-*")]
    assert len(by) == pixels.encoded == 13
    assert set(by) == {os.getpid()} if not workers else os.getpid() not in by and len(set(by)) == 2


def test_images_are_decoded_while_the_tokenizer_is_busy(folder, tmp_path, monkeypatch):
    """The first batch waits until all images of all shards have been decoded, which nobody asks for before it ends."""
    monkeypatch.setattr(sidecar, "BATCH", 1)
    pixels = stub.generalist().pixels
    pixels.prepare = functools.partial(noted, folder=tmp_path)
    run, seen = pixels.encode, []

    def waiting(images):
        end = time.monotonic() + 60
        while len(list(tmp_path.glob("*-*"))) < 13 and time.monotonic() < end:
            time.sleep(0.01)
        seen.append(len(list(tmp_path.glob("*-*"))))
        return run(images)

    pixels.encode = waiting
    encode(folder, pixels, 1, tmp_path / "codes")
    assert seen[0] == 13 and len(seen) > 1


def test_a_worker_that_ends_is_told_and_leaves_no_sidecar(folder, tmp_path):
    pixels = stub.generalist().pixels
    pixels.prepare = functools.partial(ending, parent=os.getpid())
    with pytest.raises(
        UserError, match=r"a process that decodes images has ended .*start again, with a lower data.work"
    ):
        encode(folder, pixels, 1, tmp_path / "codes")
    assert list((tmp_path / "codes").rglob("*.*")) == []


def test_there_are_not_more_processes_than_cores(monkeypatch):
    for cores, processes, asked, given in ((2, 1, 4, 1), (2, 2, 4, 0), (1, 1, 1, 0), (64, 8, 4, 4), (64, 8, 9, 7)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)), raising=False)
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
        assert pictures.within_cores(asked) == given


def test_prepare_hands_on_the_workers_that_there_are_cores_for(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "within_cores", lambda workers: workers - 3)
    made = stub.generalist()
    made.pixels.prepare = functools.partial(noted, folder=tmp_path)
    prepare(folder, made, cache=tmp_path / "codes", progress=False, workers=4)
    by = {int(path.name.partition("-")[0]) for path in tmp_path.glob("*-*")}
    assert len(by) == 1 and os.getpid() not in by


@pytest.mark.parametrize("name", backbones.NAMES)
@pytest.mark.parametrize("size", [(50, 31), (32, 32), (20, 77)])
def test_a_prepared_image_has_the_codes_of_the_image(name, size):
    pixels = backbones.load(name, "tiny").pixels
    random = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    image = PIL.Image.fromarray(random)
    small = pickle.loads(pickle.dumps(pixels.prepare))(image)
    assert small.size == (32, 32)
    assert np.array_equal(pixels.encode([small]), pixels.encode([image]))
