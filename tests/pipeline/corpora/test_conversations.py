from __future__ import annotations

import pytest

from pipeline import corpora
from schemas.errors import UserError
from schemas.records import Fault, Image, Text

BENCH = {
    "id": "wikihow_next_step_0_70000001",
    "task_name": "wikihow_next_step",
    "goal": "Sharpen a pencil",
    "dataset_id": "70000001",
    "image": ["wikihow/70000001_0_0.png", "wikihow/70000001_0_1.png"],
    "conversations": [
        {"from": "human", "value": "<BEGIN> Hold the pencil away from you. <image>. Give the next step."},
        {"from": "gpt", "value": "Shave thin strips. <image>"},
    ],
}
M4 = {
    "sample_id": 17,
    "metadata": {"dataset": "demo"},
    "image": ["a/1.jpg", "a/2.jpg"],
    "conversations": [
        {"from": "human", "value": "<image><image>\nWhat changed?"},
        {"from": "gpt", "value": "The lamp is on."},
    ],
}


def test_placeholders_take_the_images_in_their_order(tree, read_all):
    root = tree(**{"interleaved_bench.json": [BENCH]})
    [document] = read_all("interleavedbench", root)
    assert (document.id, document.title) == ("wikihow_next_step_0_70000001", "Sharpen a pencil")
    assert document.segments == (
        Text("Hold the pencil away from you."),
        Image(f"{root}/images/wikihow/70000001_0_0.png"),
        Text("Give the next step."),
        Text("Shave thin strips."),
        Image(f"{root}/images/wikihow/70000001_0_1.png"),
    )


def test_the_mixture_format(tree, read_all):
    root = tree(**{"m4_instruct_annotations.json": [M4]})
    [document] = read_all("m4_instruct", root)
    assert document.id == "17"
    assert document.segments == (
        Image(f"{root}/images/a/1.jpg"),
        Image(f"{root}/images/a/2.jpg"),
        Text("What changed?"),
        Text("The lamp is on."),
    )


def test_images_without_a_placeholder_stand_at_the_end(tree, read_all):
    [document] = read_all(
        "m4_instruct",
        tree(**{"a.json": [M4 | {"image": "a/1.jpg", "conversations": [{"from": "human", "value": "Describe it."}]}]}),
    )
    assert [type(s) for s in document.segments] == [Text, Image]


def test_malformed_samples_are_faults(tree, read_all):
    found = read_all(
        "m4_instruct",
        tree(
            **{
                "a.json": [
                    M4,
                    3,
                    M4 | {"image": [1]},
                    M4 | {"image": ["a.jpg"]},
                    M4 | {"conversations": None},
                    M4 | {"conversations": [{"from": "human"}]},
                    M4 | {"image": ["../x.jpg", "b.jpg"]},
                    {"image": []},
                ]
            }
        ),
    )
    assert [f.error for f in found if isinstance(f, Fault)] == ["not_an_object"] + ["bad_record"] * 6
    assert "more than 1 placeholders for 1 images" in found[3].detail


def test_a_benchmark_cannot_be_built_from(tree):
    root = tree(**{"interleaved_bench.json": [BENCH]})
    with pytest.raises(UserError, match="is a benchmark, which nothing may be trained on"):
        corpora.check("interleavedbench", root)
    corpora.check("interleavedbench", root, benchmark=True)
