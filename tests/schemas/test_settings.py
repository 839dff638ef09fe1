"""What a YAML file may say, and how it is answered where it says something else."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pytest

from schemas import settings
from schemas.errors import UserError


@dataclasses.dataclass(frozen=True)
class Some:
    share: float = 0.5
    name: str = ""
    files: dict[str, str] = dataclasses.field(default_factory=dict)


def load(tmp_path, text):
    path = tmp_path / "some.yaml"
    path.write_text(text, encoding="utf-8")
    return settings.build(Some, settings.read(str(path), "other.yaml"), str(path))


@pytest.mark.parametrize(
    "text, said",
    [
        ("name: 2024-13-45", "has a value that cannot be read: month must be in 1..12; put it in quotes"),
        ("share: .inf", "share must be a finite number, not inf"),
        ("share: -.inf", "share must be a finite number, not -inf"),
        ("share: .nan", "share must be a finite number, not nan"),
        (f"share: 1{'0' * 400}", "share must be a finite number"),
        (f"share: 1{'0' * 5000}", "has a value that cannot be read"),
        ("share: true", "share must be a number, not True"),
        ("name: 2024-12-24", "name must be a string"),
        ("files: {2024-12-24: a.txt}", "files must map names to strings"),
        ("name: [", "is not YAML"),
        ("name: a\nshare: 1\n'name': b", "name is given twice, in the lines 1 and 3"),
        ("files: {a: x, a: y}", "a is given twice, in the lines 1 and 1"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(tmp_path, text, said):
    with pytest.raises(UserError) as error:
        load(tmp_path, text)
    assert said in str(error.value) and str(tmp_path / "some.yaml") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_byte_order_mark_and_other_scripts_are_read(tmp_path):
    assert load(tmp_path, "\ufeffname: Blätter\nshare: 1") == Some(1.0, "Blätter")


def test_a_key_may_be_in_two_mappings_and_beside_what_a_mapping_is_made_from():
    assert settings.parse("- {a: 1}\n- {a: 2}", "some.yaml") == [{"a": 1}, {"a": 2}]
    text = "one: &one {a: 1, b: 2}\ntwo: &two {<<: *one, a: 3}\nthree: {<<: *two, b: 4}"
    assert settings.parse(text, "some.yaml")["three"] == {"a": 3, "b": 4}


LISTS = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
MERGED = "a0: &a0 {b: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{f'*a{i - 1},' * 9}]}}\n" for i in range(1, 30))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{LISTS}name: *a29", "line 6 stands for more than 100,000 values"),
        (MERGED, "line 6 stands for more than 100,000 values"),
        ("[" * 3000, "cannot be read"),
        ("name: !!timestamp x", "cannot be read"),
        ("name: !!bool x", "cannot be read"),
        ("name: !!int ''", "cannot be read"),
    ],
)
def test_a_few_lines_take_neither_hours_nor_a_traceback(tmp_path, text, said):
    with pytest.raises(UserError, match=said) as error:
        load(tmp_path, text)
    assert len(str(error.value)) < 500


@dataclasses.dataclass(frozen=True)
class Inner:
    count: int
    ratio: float | None = 1.0


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner
    names: tuple[str, ...] = ()
    inners: tuple[Inner, ...] = ()
    mode: Literal["no", "fast"] = "fast"
    on: bool = False


def outer(value):
    return settings.build(Outer, value, "some.yaml")


def test_every_kind_of_value_is_read():
    value = {
        "inner": {"count": 3, "ratio": None},
        "names": ["a", "b"],
        "inners": [{"count": 1}, {"count": 2, "ratio": 2}],
        "mode": "no",
        "on": True,
    }
    found = outer(value)
    assert found == Outer(Inner(3, None), ("a", "b"), (Inner(1), Inner(2, 2.0)), "no", True)
    assert type(found.inners[1].ratio) is float
    assert outer({"inner": {"count": 3}, "mode": False}).mode == "no"  # YAML reads a bare no as false


def test_a_number_may_be_read_by_a_function_of_ones_own():
    def double(value, path, key):
        assert (path, key) in {("f", "inner.ratio"), ("f", "inners[0].ratio")}
        return value * 2.0

    value = {"inner": {"count": 1, "ratio": 3}, "inners": [{"count": 1, "ratio": 4}]}
    assert settings.build(Outer, value, "f", number=double) == Outer(Inner(1, 6.0), inners=(Inner(1, 8.0),))


@pytest.mark.parametrize(
    "change, said",
    [
        ([], "the file must be a mapping of keys to values"),
        ({"inner": 3}, "inner must be a mapping of keys to values"),
        ({"inner": {}}, "inner.count is missing"),
        ({"inner": {"count": 1.5}}, "inner.count must be a whole number, not 1.5"),
        ({"inner": {"count": True}}, "inner.count must be a whole number, not True"),
        ({"inner": {"count": 1, "ratio": "a"}}, "inner.ratio must be a number, not 'a'"),
        ({"inner": {"count": 1, "counts": 1}}, "unknown key inner.counts; did you mean inner.count?"),
        ({"inner": {"count": 1}, 7: 1}, "unknown key 7; the keys are inner, names, inners, mode, on"),
        ({"inner": {"count": 1}, "moed": 1}, "unknown key moed; did you mean mode?"),
        ({"inner": {"count": 1}, "names": "a"}, "names must be a list"),
        ({"inner": {"count": 1}, "names": ["a", 2]}, "names[1] must be a string, not 2"),
        ({"inner": {"count": 1}, "inners": [{"count": 1}, {}]}, "inners[1].count is missing"),
        ({"inner": {"count": 1}, "mode": "slow"}, "mode must be one of no, fast, not 'slow'"),
        ({"inner": {"count": 1}, "mode": True}, "mode must be one of no, fast, not True"),
        ({"inner": {"count": 1}, "on": 1}, "on must be true or false, not 1"),
        ({}, "inner is missing"),
    ],
)
def test_the_key_and_what_it_may_be_are_said(change, said):
    with pytest.raises(UserError) as error:
        outer(change)
    assert str(error.value) == f"some.yaml: {said}"


def test_a_list_of_texts_and_a_mapping_are_named_by_their_key():
    assert settings.build(tuple[str, ...], ["a"], "f", "k") == ("a",)
    with pytest.raises(UserError) as error:
        settings.build(dict[str, str], {"a": 1}, "f", "k")
    assert str(error.value) == "f: k must map names to strings"
    assert settings.build(dict[str, str], {"a": "b"}, "f", "k") == {"a": "b"}


def test_false_is_no_choice_where_no_is_none():
    with pytest.raises(UserError) as error:
        settings.build(Literal["a", "b"], False, "f", "k")
    assert str(error.value) == "f: k must be one of a, b, not False"


def test_a_file_that_cannot_be_read_is_said_with_what_to_give(tmp_path):
    path = str(tmp_path / "none.yaml")
    for example, advice in (("", ""), ("demo.yaml", "; give an existing file to --config, such as demo.yaml")):
        with pytest.raises(UserError) as error:
            settings.read(path, example)
        assert str(error.value) == f"cannot read {path}: No such file or directory{advice}"
    with pytest.raises(UserError) as error:
        settings.read(path)
    assert str(error.value) == f"cannot read {path}: No such file or directory"
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff")
    with pytest.raises(UserError) as error:
        settings.read(f"{tmp_path}/bytes.yaml", "demo.yaml")
    assert str(error.value) == f"cannot read {tmp_path}/bytes.yaml: it is not UTF-8"


@pytest.mark.parametrize(
    "text, said",
    [
        ("a: [", "f is not YAML: while parsing a flow node expected the node content"),
        (
            "a: 2024-13-45",
            "f has a value that cannot be read: month must be in 1..12; put it in quotes if it is a string",
        ),
    ],
)
def test_what_yaml_cannot_read_is_said_on_one_line(text, said):
    with pytest.raises(UserError) as error:
        settings.parse(text, "f")
    assert str(error.value).startswith(said) and "  " not in str(error.value)
