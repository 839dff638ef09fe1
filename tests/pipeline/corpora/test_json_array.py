"""A JSON array is cut between its elements, wherever a block of the file ends."""

from __future__ import annotations

import json
import time

import pytest

from pipeline import corpora
from pipeline.corpora import json_array, lines
from schemas.records import Fault


def sample(i, text='Cut [the] {board} "now"\\.'):
    return {"id": f"s{i}", "conversations": [{"from": "human", "value": f"{text} ü€😀 {i}"}]}


@pytest.mark.parametrize("block", [7, 100, 1 << 20])
@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"ensure_ascii": False, "separators": (",", ":")}])
def test_parts_hold_each_element_once(tree, monkeypatch, block, layout):
    monkeypatch.setattr(json_array, "_BLOCK", block)
    samples = [sample(i) for i in range(401)]
    path = tree(**{"a.json": "\ufeff \n" + json.dumps(samples, **layout) + "\n"})
    parts = list(corpora.parts("m4_instruct", path))
    assert [(p.first, p.count) for p in parts] == [(1, 200), (201, 200), (401, 1)]
    found = [d for p in reversed(parts) for d in corpora.read(p)]
    assert sorted(d.id for d in found) == sorted(s["id"] for s in samples)
    assert found[0].texts == (samples[400]["conversations"][0]["value"],)
    assert found[0].location.endswith("a.json:401")


@pytest.mark.parametrize(
    "tail, detail",
    [
        ("", "the array is not closed at byte"),
        (', {"id": ', "breaks off"),
        (", oops]", "breaks off"),
        (", 12", "the array is not closed"),
    ],
)
def test_what_comes_before_damage_is_read(tree, read_all, tail, detail):
    first, second, *rest = read_all(
        "m4_instruct", tree(**{"a.json": "[" + ", ".join(json.dumps(sample(i)) for i in range(2)) + tail})
    )
    assert (first.id, second.id) == ("s0", "s1")
    assert isinstance(rest[-1], Fault) and rest[-1].error == "unreadable" and detail in rest[-1].detail


@pytest.mark.parametrize("content", ["", "{}", "null"])
def test_a_file_that_is_no_array_is_one_fault(tree, read_all, content):
    [fault] = read_all("m4_instruct", tree(**{"a.json": content}))
    assert (fault.error, fault.detail) == ("unreadable", "the file is no JSON array")


def test_an_empty_array_holds_nothing(tree, read_all):
    assert read_all("m4_instruct", tree(**{"a.json": " [ ] "})) == []


@pytest.mark.parametrize("block", [100, 1 << 20])
def test_an_element_nested_too_deeply_or_of_too_many_values_ends_the_array(tree, read_all, monkeypatch, block):
    monkeypatch.setattr(json_array, "_BLOCK", block)
    first, deep = read_all("m4_instruct", tree(**{"a.json": f"[{json.dumps(sample(0))}, {'[' * 200_000}"}))
    assert (first.id, deep.error) == ("s0", "unreadable") and "nested too deeply" in deep.detail
    started = time.process_time()
    many = "[" + "[]," * 5_000_000 + "[]]"
    first, fault = read_all("m4_instruct", tree(**{"a.json": f"[{json.dumps(sample(0))}, {many}]"}))
    assert (first.id, fault.error) == ("s0", "unreadable") and "more than 1,000,000 values" in fault.detail
    assert time.process_time() - started < 15  # it took minutes


def test_long_elements_are_read_and_end_their_parts(tree, read_all, monkeypatch):
    """The commas of the elements behind a long one are not its own."""
    monkeypatch.setattr(lines, "MAX_VALUES", 1500)
    monkeypatch.setattr(lines, "MAX_LINE", 60_000)
    monkeypatch.setattr(json_array, "_BLOCK", 1000)
    samples = [sample(i, "a," * (1000 if i % 3 else 1)) for i in range(100)]
    path = tree(**{"a.json": json.dumps(samples)})
    assert [d.id for d in read_all("m4_instruct", path)] == [s["id"] for s in samples]
    parts = list(corpora.parts("m4_instruct", path))
    assert len(parts) == 3 and max(part.size for part in parts) < 65_000


def test_the_fault_of_an_element_that_is_too_long(tree, read_all, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE", 60_000)
    monkeypatch.setattr(json_array, "_BLOCK", 1000)
    first, fault = read_all("m4_instruct", tree(**{"a.json": json.dumps([sample(0), sample(1, "a" * 70_000)])}))
    assert first.id == "s0" and fault.detail.endswith("has more than 60,000 bytes")
