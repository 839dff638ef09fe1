from __future__ import annotations

import collections
import dataclasses

import pytest
import torch

from moss.data import batches, open_samples, samples, steps
from moss.data.loader import _Steps
from tests.moss.data import stub
from tests.schemas import example

PLAN = {"rows": 2, "length": 400, "seed": 4, "epoch": 0}


@pytest.fixture(scope="module", params=[False, True], ids=["codes", "vectors"])
def dataset(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    example.write(folder, 11)
    return open_samples(folder, stub.generalist(request.param), max_length=400, progress=False)


def values(batch):
    return {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}


def assert_same(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=False):
        for name, value in values(a).items():
            other = values(b)[name]
            assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other, name


def keys(run):
    return [batch.keys for batch in run]


def test_an_epoch_holds_every_sample(dataset):
    run = list(batches(dataset, **PLAN))
    assert len(run) == steps(dataset, **PLAN) > 2
    assert {key for some in keys(run) for key in some} == {*dataset.keys}
    assert {batch.ids.shape for batch in run} == {(2, 400)}


def test_the_last_batch_is_filled_up_with_the_first_rows(dataset):
    rows = keys(batches(dataset, **{**PLAN, "rows": 1}))
    whole = keys(batches(dataset, **{**PLAN, "rows": 4}))
    count = len(rows)
    assert count % 4
    assert whole[-1] == tuple(k for n in range(count - count % 4, count - count % 4 + 4) for k in rows[n % count])
    more = keys(batches(dataset, **{**PLAN, "rows": 3 * count}))
    assert collections.Counter(more[0]) == dict.fromkeys(dataset.keys, 3)
    assert len(keys(batches(dataset, **PLAN, whole=16))) == 8  # whole optimiser steps of several micro-batches


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_measuring_counts_every_sample_once(dataset, ranks):
    """With rows that have no targets in the place of those that are missing, even if a rank has no other."""
    once = list(batches(dataset, **{**PLAN, "rows": 1}, complete=False))
    assert len(once) % 8
    run = [
        batch
        for rank in range(ranks)
        for batch in batches(dataset, **{**PLAN, "rows": 8}, rank=rank, ranks=ranks, complete=False)
    ]
    assert {batch.ids.shape for batch in run} == {(8 // ranks, 400)} and len(run) == ranks * -(-len(once) // 8)
    assert sorted(key for some in keys(run) for key in some) == sorted(dataset.keys)
    for name in ("text", "image"):
        targets = [
            sorted(
                (batch.keys[of], *target.flatten().tolist())
                for batch in some
                for of, target in zip(
                    getattr(batch, f"{name}_of").tolist(), getattr(batch, f"{name}_target"), strict=True
                )
                if of >= 0
            )
            for some in (run, once)
        ]
        assert targets[0] == targets[1] and targets[0]


def test_orders_differ_by_epoch_and_repeat_by_seed(dataset):
    first = keys(batches(dataset, **PLAN))
    assert first == keys(batches(dataset, **PLAN))
    assert first != keys(batches(dataset, **{**PLAN, "epoch": 1}))
    assert first != keys(batches(dataset, **{**PLAN, "seed": 5}))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_is_the_rest_of_the_whole_one(dataset, workers):
    whole = list(batches(dataset, **PLAN))
    assert_same(list(batches(dataset, **PLAN, start=2, workers=workers)), whole[2:])
    assert list(batches(dataset, **PLAN, start=len(whole), workers=workers)) == []


def test_skipped_steps_are_not_read(dataset, monkeypatch):
    read = []
    whole = keys(batches(dataset, **PLAN))
    get = type(dataset).__getitem__
    monkeypatch.setattr(type(dataset), "__getitem__", lambda self, number: read.append(number) or get(self, number))
    next(batches(dataset, **PLAN, start=1))
    assert tuple(dataset.keys[number] for number in read) == whole[1]


def test_worker_processes_change_nothing(dataset):
    assert_same(list(batches(dataset, **PLAN, workers=2)), list(batches(dataset, **PLAN)))


def test_ranks_share_the_batches_of_one_process(dataset):
    plan = {**PLAN, "rows": 4}
    whole = list(batches(dataset, **plan))
    parts = [list(batches(dataset, **plan, rank=rank, ranks=2)) for rank in range(2)]
    assert len(parts[0]) == len(parts[1]) == len(whole)
    for left, right, both in zip(*parts, whole, strict=False):
        assert torch.equal(torch.cat([left.ids, right.ids]), both.ids)
        assert left.keys + right.keys == both.keys
        for name, of in (("text", "text_of"), ("image", "image_of")):
            halves = [getattr(b, f"{name}_target")[getattr(b, of) >= 0] for b in (left, right)]
            assert torch.equal(torch.cat(halves), getattr(both, f"{name}_target")[getattr(both, of) >= 0])
    with pytest.raises(ValueError, match="3 ranks cannot share batches of 4 rows"):
        batches(dataset, **plan, ranks=3)


def test_the_global_generator_is_left_alone(dataset):
    before = torch.get_rng_state()
    list(batches(dataset, **PLAN))
    assert torch.equal(torch.get_rng_state(), before)


def test_condition_dropout_takes_instruction_and_context_from_a_share_and_no_outputs(dataset):
    def epoch(share, number=0, **more):
        return list(batches(dataset, rows=2, length=400, seed=1, epoch=number, condition_dropout=share, **more))

    def same(one, other):
        return all(torch.equal(a.ids, b.ids) for a, b in zip(one, other, strict=True))

    whole, some, bare = epoch(0.0), epoch(0.5), epoch(1.0)
    assert same(some, epoch(0.5)) and same(some[1:], epoch(0.5, start=1))
    tokens = [sum(int((b.ids != 0).sum()) for b in found) for found in (whole, some, bare)]
    assert tokens[0] > tokens[1] > tokens[2]
    for one, other in zip(whole, bare, strict=True):
        assert one.keys == other.keys
        assert torch.equal(one.text_target[one.text_of >= 0], other.text_target[other.text_of >= 0])
        assert torch.equal(one.image_target[one.image_of >= 0], other.image_target[other.image_of >= 0])
    prompt = samples.bare_prompt(dataset.tokenizer)
    assert bare[0].ids[0, : len(prompt)].tolist() == prompt
    dropped = [
        {k for n, k in enumerate(dataset.keys) if _Steps(dataset, [], [], 1, 0.5, 1, e)._dropped(n)} for e in (0, 1)
    ]
    assert dropped[0] != dropped[1]
