"""Shares of the work of encoding and measuring, and lengths that are kept."""

import dataclasses
import os

import numpy as np
import pytest

from moss.data import dataset, lengths, samples, sidecar, waiting
from moss.training import runs
from schemas.errors import UserError
from tests.moss.data import stub


def opened(folder, **options):
    return dataset.open_samples(folder, stub.generalist(), max_length=2000, progress=False, **options)


def test_lengths_are_measured_once(folder, monkeypatch):
    first = opened(folder)

    def again(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(samples, "sample_length", again)
    assert opened(folder).lengths.tolist() == first.lengths.tolist()
    assert [len(first[n].ids) for n in range(len(first))] == first.lengths.tolist()


def test_another_tokenizer_and_another_sidecar_are_measured_anew(folder):
    generalist = stub.generalist()
    path = sidecar.encode_shards(folder, generalist.pixels, progress=False)[0]
    known = lengths.measure(path, generalist.layout, generalist.tokenizer)
    assert lengths.read(path, generalist.layout, generalist.tokenizer).tolist() == known.tolist()
    longer = dataclasses.replace(generalist.layout, header=(263, 263))
    assert lengths.read(path, longer, generalist.tokenizer) is None
    other = stub.Bytes()
    other.fingerprint = "bytes/2"
    assert lengths.read(path, generalist.layout, other) is None
    os.utime(path, (4e9, 4e9))  # dates do not count: a clock may be wrong
    assert lengths.read(path, generalist.layout, generalist.tokenizer).tolist() == known.tolist()
    second = sidecar.encode_shards(folder, generalist.pixels, progress=False)[1]
    path.write_bytes(second.read_bytes())
    assert lengths.read(path, generalist.layout, generalist.tokenizer) is None


def test_lengths_of_another_number_of_instances_are_not_taken(folder):
    generalist = stub.generalist()
    path = sidecar.encode_shards(folder, generalist.pixels, progress=False)[0]
    known = lengths.measure(path, generalist.layout, generalist.tokenizer)
    [file] = path.parent.glob("*.lengths.npy")
    np.save(file, known[:-1])
    assert lengths.read(path, generalist.layout, generalist.tokenizer) is None
    assert lengths.measure(path, generalist.layout, generalist.tokenizer).tolist() == known.tolist()


def test_waiting_for_other_processes_is_said_with_what_is_missing(folder, monkeypatch, capsys):
    """Another share's sidecar, then its lengths, come only when each was said to be missing."""
    generalist = stub.generalist()
    dataset.prepare(folder, generalist, progress=False, rank=0, ranks=2)
    monkeypatch.setattr(waiting, "EVERY", 0.0)
    monkeypatch.setattr(waiting.time, "sleep", lambda _: make())
    said = []

    def make():
        said.append(capsys.readouterr().err)
        paths = sidecar.encode_shards(folder, generalist.pixels, progress=False, rank=1, ranks=2)
        if len(said) > 1:
            lengths.measure(paths[0], generalist.layout, generalist.tokenizer)

    found = dataset.open_samples(folder, generalist, max_length=2000, progress=False, rank=0, ranks=2)
    assert len(found) == 7 and len(said) == 2
    missing = f"{folder}/.work/codes/brightness%2F1/leafinstruct-00001.tar"
    assert f"waiting for {missing} for 0 min" in said[0] and "start it again" in said[0]
    assert f"waiting for the lengths of the instances in {missing}" in said[1]


def test_two_processes_share_the_shards_and_find_the_same(folder):
    generalist = stub.generalist()
    first, second = (dataset.prepare(folder, generalist, progress=False, rank=rank, ranks=2) for rank in (0, 1))
    assert [len(first), len(second)] == [2, 1] and not set(first) & set(second)
    encoded = generalist.pixels.encoded
    shared = dataset.open_samples(folder, generalist, max_length=2000, progress=False, rank=1, ranks=2)
    assert generalist.pixels.encoded == encoded == 13
    assert shared.keys == opened(folder).keys and shared.fingerprint == opened(folder).fingerprint


def test_a_share_is_said_by_number_or_by_torchrun(monkeypatch):
    assert runs.share(None) == (0, 1) and runs.share("3/16") == (3, 16)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert runs.share(None) == (1, 4)
    for wrong in ("4/4", "1", "a/b"):
        with pytest.raises(UserError, match="--share wants I/N"):
            runs.share(wrong)
