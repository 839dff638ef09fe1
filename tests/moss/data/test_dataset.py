from __future__ import annotations

import pickle

import numpy as np
import pytest

from moss.data import check_resumed, open_samples, samples
from schemas.codec import from_json
from schemas.errors import UserError
from tests.moss.data import stub
from tests.schemas import example


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    example.write(folder)
    return folder


def opened(folder, continuous=False, **options):
    return open_samples(folder, stub.generalist(continuous), **{"max_length": 1000, "progress": False, **options})


@pytest.mark.parametrize("continuous", [False, True])
def test_samples_are_the_shards_instances_in_any_order(folder, continuous):
    dataset = opened(folder, continuous)
    expected = [from_json(value) for _, value, _ in example.samples()]
    assert dataset.keys == tuple(instance.key for instance in expected)
    for number in (6, 0, 3, 3):
        made = dataset[number]
        assert made.key == expected[number].key and len(made.ids) == dataset.lengths[number]
        assert (made.vectors is not None) == continuous
        assert TEXT.decode(made.ids[1 : 1 + 9]) == "Explain h"
    assert (dataset.report.kept, dataset.report.too_long) == (7, 0)


TEXT = stub.Bytes()


def test_the_boundary_switch_reaches_the_samples(folder):
    assert opened(folder)[0].trained.sum() > opened(folder, train_boundaries=False)[0].trained.sum()


def test_what_does_not_fit_is_counted_and_nothing_is_cut(folder):
    every = opened(folder)
    limit = int(np.sort(every.lengths)[4])
    dataset = opened(folder, max_length=limit)
    fits = every.lengths <= limit
    assert dataset.keys == tuple(np.array(every.keys)[fits]) and fits.sum() == 5
    assert (dataset.report.kept, dataset.report.too_long, dataset.report.longest) == (5, 2, every.lengths.max())
    assert dataset.report.longest_key == every.keys[int(every.lengths.argmax())]
    for number in range(len(dataset)):
        ids, layout = dataset[number].ids, dataset.layout
        starts = np.flatnonzero(ids == layout.begin)
        assert all(layout.codes(ids[at : at + layout.block_length]).shape == (2, 3) for at in starts)
        assert ids[-1] == TEXT.eos
    assert "5 instances; left out: 2 longer than" in str(dataset.report)


def test_what_the_model_cannot_hold_does_not_fit_whatever_a_row_holds(folder):
    every, generalist = opened(folder), stub.generalist()
    generalist.context_length = int(np.sort(every.lengths)[4])
    dataset = open_samples(folder, generalist, max_length=1000, progress=False)
    assert (dataset.report.kept, dataset.report.too_long) == (5, 2)
    assert dataset.lengths.max() == generalist.context_length == dataset.report.max_length
    generalist.context_length = 20
    with pytest.raises(UserError, match="longer than 20 tokens.* and the model can hold 20"):
        open_samples(folder, generalist, max_length=1000, progress=False)


def test_too_many_images_are_counted_apart(folder):
    few = opened(folder, max_images=1)
    assert (few.report.kept, few.report.too_many_images, few.report.too_long) == (3, 4, 0)
    assert "4 with over 1 images" in str(few.report)


def test_sources_make_two_halves(folder):
    held_out, rest = opened(folder, sources=["source-1"]), opened(folder, exclude_sources=["source-1"])
    assert {*held_out.keys} | {*rest.keys} == {*opened(folder).keys} and not {*held_out.keys} & {*rest.keys}
    assert (len(held_out), held_out.report.other_source) == (3, 4)
    assert {from_json(v).source for _, v, _ in example.samples() if v["key"] in held_out.keys} == {"source-1"}


@pytest.mark.parametrize(
    "options, says",
    [
        ({"max_length": 20}, "nothing to train on.*the shortest instance has"),
        ({"max_images": 0}, "nothing to train on"),
        ({"sources": ["sauce-1"]}, "no instances of sauce-1; it has source-0, source-1"),
        ({"exclude_sources": ["sauce-1"]}, "no instances of sauce-1"),
    ],
)
def test_nothing_to_train_on(folder, options, says):
    with pytest.raises(UserError, match=says):
        opened(folder, **options)


def test_a_backbone_without_an_image_tokenizer(folder):
    model = stub.generalist()
    model.pixels = None
    with pytest.raises(UserError, match="stub was loaded without an image tokenizer"):
        open_samples(folder, model, max_length=1000)


def test_another_tokenizer_is_another_data_set_and_an_earlier_version_said_nothing_of_it(folder):
    generalist = stub.generalist()
    generalist.tokenizer.fingerprint = "bytes/2"
    one = opened(folder).fingerprint
    other = open_samples(folder, generalist, max_length=1000, progress=False).fingerprint
    assert check_resumed(one, one, "RUN", "DIR") == ""
    with pytest.raises(UserError, match="RUN was trained with another text tokenizer"):
        check_resumed(one, other, "RUN", "DIR")
    with pytest.raises(UserError, match="RUN was trained on other shards than DIR holds"):
        check_resumed("0123456789ab-bytes/1", one, "RUN", "DIR")
    assert "RUN was written by an earlier version" in check_resumed(one.split("-")[0], one, "RUN", "DIR")


def test_samples_go_to_other_processes(folder):
    dataset = opened(folder)
    assert np.array_equal(pickle.loads(pickle.dumps(dataset))[2].ids, dataset[2].ids)


def test_the_cache_may_lie_elsewhere(folder, tmp_path):
    assert len(opened(folder, cache=tmp_path / "codes")) == 7
    assert len(list((tmp_path / "codes" / "brightness%2F1").glob("*.tar"))) == 3


def test_lengths_need_no_codes():
    _, value, _ = example.sample(4)
    assert samples.image_count(from_json(value)) == 2
