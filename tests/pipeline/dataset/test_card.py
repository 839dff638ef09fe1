"""The card makes the folder load where people will load it: in `datasets`, with differing numbers of images."""

from __future__ import annotations

import datasets
import pytest
import yaml
from datasets.exceptions import NonMatchingSplitsSizesError

from pipeline.dataset.card import card
from tests.schemas import example


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    return folder, example.write(folder)


@pytest.fixture(scope="module")
def loaded(written, tmp_path_factory):
    return datasets.load_dataset(str(written[0]), split="train", cache_dir=str(tmp_path_factory.mktemp("cache")))


def front_matter(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_features_are_what_datasets_itself_would_write(loaded, written):
    assert loaded.features._to_yaml_list() == front_matter(card(written[1]))["dataset_info"]["features"]


def test_folder_loads_in_order_with_every_picture(loaded):
    samples = example.samples()
    assert [row["json"]["id"] for row in loaded] == [value["id"] for _, value, _ in samples]
    for row, (_, value, pictures) in zip(loaded, samples, strict=True):
        present = {name: row[name].convert("RGB").size for name in row if name != "json" and row[name] is not None}
        assert present == {name: (24, 16) for name, _ in pictures}
        assert row["json"]["scores"] == value["scores"]
        assert [s["text"] for s in row["json"]["output"]] == [s.get("text") for s in value["output"]]


def test_picture_bytes_are_the_stored_ones(loaded):
    raw = loaded.cast_column("00.jpg", datasets.Image(decode=False))
    files = dict(example.samples()[1][2])
    assert raw[1]["00.jpg"]["bytes"] == files["00.jpg"]


def test_it_streams(written):
    stream = datasets.load_dataset(str(written[0]), split="train", streaming=True)
    assert [row["json"]["key"] for row in stream] == [value["key"] for _, value, _ in example.samples()]


def test_shards_alone_do_not_load(written, tmp_path):
    """The reason why the card declares the features. If this fails one day, `datasets` has learnt it."""
    with pytest.raises(ValueError, match="share the same prefix or the same types"):
        datasets.load_dataset("webdataset", data_files=f"{written[0]}/shards/*.tar", cache_dir=str(tmp_path))


def test_another_number_of_samples_is_noticed(written, tmp_path):
    folder, manifest = written
    wrong = manifest | {"counts": manifest["counts"] | {"instances": 8}}
    (tmp_path / "shards").symlink_to(folder / "shards")
    (tmp_path / "README.md").write_text(card(wrong))
    with pytest.raises(NonMatchingSplitsSizesError):
        datasets.load_dataset(str(tmp_path), cache_dir=str(tmp_path / "cache"))


def test_words(written):
    text = card(written[1])
    assert "| cooking | 3 |" in text and "| not stated | 4 |" in text and "| dropped: word_count | 1 |" in text
    assert "13 documents were read; 7 were kept." in text
    assert "matched_at_least: 0.1" in text and "| text-image coherence | tiny-clip |" in text


@pytest.mark.parametrize("instances, size", [(999, "n<1K"), (1000, "1K<n<10K"), (184_982, "100K<n<1M")])
def test_size_category(written, instances, size):
    manifest = written[1] | {"counts": written[1]["counts"] | {"instances": instances}}
    assert front_matter(card(manifest))["size_categories"] == [size]


def test_names_cannot_break_the_tables_or_the_front_matter(written):
    manifest = written[1] | {"name": "a: b", "counts": written[1]["counts"] | {"sources": {"x|y\nz": 7}}}
    text = card(manifest)
    assert "| x\\|y z | 7 |" in text
    assert front_matter(text)["pretty_name"] == "a: b"
