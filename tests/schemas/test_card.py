"""The card's front matter, member by member. (`datasets` reads it in tests/pipeline/dataset.)"""

from __future__ import annotations

import pyarrow as pa
import pytest

from schemas import card


def test_the_front_matter_follows_from_the_manifest():
    found = card.front_matter(
        {
            "name": "Little jobs",
            "counts": {"instances": 7},
            "rating_aspects": {"fluency": "whole sentences"},
            "members": ["0.jpg", "1.png"],
            "shards": [{"bytes": 40}, {"bytes": 2}],
        }
    )
    json_, *images = found["dataset_info"].pop("features")
    assert found == {
        "pretty_name": "Little jobs",
        "license": "other",
        "license_name": "per-instance",
        "tags": ["interleaved", "instruction-tuning", "webdataset"],
        "size_categories": ["n<1K"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "shards/*.tar"}]}],
        "dataset_info": {
            "config_name": "default",
            "splits": [{"name": "train", "num_bytes": 42, "num_examples": 7}],
        },
    }
    assert images == [{"name": "0.jpg", "dtype": "image"}, {"name": "1.png", "dtype": "image"}]
    assert json_.keys() == {"name", "struct"} and json_["name"] == "json"
    members = {field["name"]: field for field in json_["struct"]}
    assert members["instruction"] == {"name": "instruction", "dtype": "string"}
    assert {field["name"] for field in members["output"]["list"]} >= {"type", "text", "image", "sha256", "width"}
    scores = {field["name"]: field for field in members["scores"]["struct"]}
    assert scores["coherence"] == {"name": "coherence", "dtype": "float64"}
    assert scores["matched"] == {"name": "matched", "list": "float64"}
    assert scores["ratings"] == {"name": "ratings", "struct": [{"name": "fluency", "dtype": "float64"}]}


def test_types_have_the_names_of_datasets():
    inner = pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))])
    assert card._feature(pa.list_(inner)) == {
        "list": [{"name": "a", "dtype": "int64"}, {"name": "b", "list": "string"}]
    }
    assert card._feature(pa.float64()) == {"dtype": "float64"} and card._feature(pa.bool_()) == {"dtype": "bool"}


@pytest.mark.parametrize(
    "instances,name",
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (9_999, "1K<n<10K"),
        (10_000, "10K<n<100K"),
        (99_999, "10K<n<100K"),
        (100_000, "100K<n<1M"),
        (999_999, "100K<n<1M"),
        (1_000_000, "1M<n<10M"),
    ],
)
def test_the_size_has_the_hubs_name(instances, name):
    assert card._size_category(instances) == name
