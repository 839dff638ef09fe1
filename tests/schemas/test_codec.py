from __future__ import annotations

import dataclasses
import hashlib

import pytest
from hypothesis import given

from schemas.codec import (
    config_hash,
    from_json,
    json_bytes,
    key_of,
    manifest_bytes,
    mean_coherence,
    mean_margin,
    mean_rating,
    parse_json,
    rank_of,
    shard_name,
    to_json,
)
from schemas.records import Image
from tests.schemas import example
from tests.schemas.strategies import instances, steady


def with_member_names(instance, value):
    """The instance with each image's uri replaced by the name of its member."""

    def part(segments, values):
        return tuple(
            dataclasses.replace(s, uri=v["image"], extension=v["image"][3:]) if isinstance(s, Image) else s
            for s, v in zip(segments, values, strict=True)
        )

    return dataclasses.replace(
        instance, context=part(instance.context, value["context"]), output=part(instance.output, value["output"])
    )


@steady
@given(instances())
def test_an_instance_comes_back_through_json(instance):
    value = to_json(instance)
    assert from_json(parse_json(json_bytes(value))) == with_member_names(instance, value)


def test_members_are_numbered_in_reading_order_over_context_then_output():
    instance, files = example.instance(2)
    value = to_json(instance)
    assert [s["image"] for s in value["context"] + value["output"] if s["type"] == "image"] == [
        "00.png",
        "01.jpg",
        "02.jpg",
    ]
    assert [s["sha256"] for s in value["context"] + value["output"] if s["type"] == "image"] == list(files)
    assert value["scores"] == {
        "coherence": 0.23,
        "margin": 0.05,
        "recall_at_1": 0.5,
        "matched": [0.22, 0.23, 0.24],
        "mismatched": [0.17, 0.18, 0.19],
        "max_previous_similarity": [-1.0, 0.5, 0.25],
        "ratings": {"fluency": 4.0, "text_coherence": 3.5, "completeness": 4.25, "usefulness": 5.0},
    }


def test_two_digits_can_name_a_hundred_pictures():
    instance, _files = example.instance(0)
    image = next(s for s in instance.output if isinstance(s, Image))
    hundred = dataclasses.replace(instance, context=(image,) * 99)
    assert to_json(hundred)["output"][2]["image"] == "99.jpg"
    with pytest.raises(ValueError) as error:
        to_json(dataclasses.replace(instance, context=(image,) * 100))
    assert str(error.value) == f"{instance.id} has 101 images; an instance can name 100"


def test_canonical_bytes():
    assert json_bytes({"b": "é字", "a": [1, 2.5, None]}) == '{"a":[1,2.5,null],"b":"é字"}\n'.encode()
    with pytest.raises(ValueError):
        json_bytes({"a": float("nan")})


def test_a_manifest_s_bytes():
    assert manifest_bytes({"b": "é", "a": [1]}) == '{\n  "a": [\n    1\n  ],\n  "b": "é"\n}\n'.encode()
    with pytest.raises(ValueError):
        manifest_bytes({"a": float("inf")})


def test_means_have_four_decimals():
    assert mean_margin([0.5, 0.5, 0.51], [0.2, 0.3, 0.3]) == 0.2367
    assert mean_margin([0.5], [0.1, 0.4]) == 0.25
    assert mean_coherence([0.1, 0.1, 0.12]) == 0.1067
    assert mean_rating({"fluency": 4.0, "usefulness": 4.5, "completeness": 4.5}) == 4.3333


@pytest.mark.parametrize(
    "data, said",
    [
        (b'[{"a":NaN}]', "NaN is not JSON"),
        (b'{"a":1,"b":2,"a":1}', "a name is given twice"),
        (b"[" * 10**5, "nested too deeply"),
    ],
)
def test_what_is_not_strict_json_is_named(data, said):
    with pytest.raises(ValueError) as error:
        parse_json(data)
    assert str(error.value) == said


@pytest.mark.parametrize("data", [b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1,"a":1}', b'"\xff"', b"[" * 10**5, b""])
def test_what_is_not_strict_json_is_a_value_error(data):
    with pytest.raises(ValueError):
        parse_json(data)


def test_names_follow_from_the_id():
    assert key_of("doc-1") == hashlib.blake2b(b"doc-1", digest_size=10).hexdigest()
    assert rank_of("doc-1", "a") == hashlib.blake2b(b"doc-1", digest_size=16, key=b"a").digest()
    assert rank_of("doc-1", "a") != rank_of("doc-1", "b")
    assert shard_name(42) == "leafinstruct-00042.tar"


def test_config_hash_ignores_the_order_of_keys_and_nothing_else():
    assert config_hash({"a": 1, "b": {"c": 2}}) == config_hash({"b": {"c": 2}, "a": 1})
    assert config_hash({"a": 1}) != config_hash({"a": 1.5})
    assert (
        config_hash({"b": 1, "a": {"d": 1, "c": 2}})
        == (hashlib.sha256(b'{"a": {"c": 2, "d": 1}, "b": 1}').hexdigest()[:16])
    )
