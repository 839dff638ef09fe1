"""One instance, readable: its text, and exactly the picture files of the shard beside it."""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil
import tarfile

import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.reader import context_counts, index_rows, read_instance
from pipeline.report.show import instance_text, show
from schemas.errors import UserError
from tests.pipeline.finished_run import small_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    small_run(path)
    return path


def test_random_access_reads_what_the_tar_holds(folder):
    for row in index_rows(str(folder)):
        instance, pictures = read_instance(str(folder), row)
        with tarfile.open(folder / "shards" / row["shard"]) as tar:
            assert json.load(tar.extractfile(f"{row['key']}.json")) == instance
            for name, data in pictures.items():
                assert tar.extractfile(f"{row['key']}.{name}").read() == data


def test_show_reads_only_the_ranges_of_the_index(folder, tmp_path):
    (tmp_path / "shards").mkdir()
    rows = list(index_rows(str(folder)))
    row = next(r for r in rows if r["shard"] == rows[-1]["shard"])
    whole = (folder / "shards" / row["shard"]).read_bytes()
    end = row["images"][-1]["offset"] + row["images"][-1]["size"]
    damaged = bytes(row["json_offset"]) + whole[row["json_offset"] : end]  # nothing else in the file is right
    (tmp_path / "shards" / row["shard"]).write_bytes(damaged)
    assert read_instance(str(tmp_path), row) == read_instance(str(folder), row)


def test_show_by_id_and_by_key(folder, tmp_path):
    text = show(str(folder), "doc-004", str(tmp_path / "a"))
    key = next(r["key"] for r in index_rows(str(folder)) if r["id"] == "doc-004")
    assert show(str(folder), key, str(tmp_path / "a")) == text
    assert f"[image 00.jpg 400x300 -> {tmp_path}/a/00.jpg]" in text
    for part in (
        "How do I make part 4?",
        "First, take part 4.",
        "coherence 0.28",
        "license CC0-1.0",
        "clip local/dual-encoder",
        "ellipses 4.0",
    ):
        assert part in text
    assert text.index("INSTRUCTION") < text.index("CONTEXT") < text.index("OUTPUT") < text.index("SCORES")


def test_pictures_are_written_as_they_are_stored(folder):
    text = show(str(folder), "doc-005")
    place = folder / ".work/show" / next(r["key"] for r in index_rows(str(folder)) if r["id"] == "doc-005")
    row = next(r for r in index_rows(str(folder)) if r["id"] == "doc-005")
    instance, _ = read_instance(str(folder), row)
    for segment in instance["context"] + instance["output"]:
        if segment["type"] == "image":
            data = (place / segment["image"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == segment["sha256"]
            with PIL.Image.open(place / segment["image"]) as image:
                assert image.size == (400, 300)
    page = (place / "index.html").read_text()
    assert 'src="00.jpg"' in page and 'src="01.jpg"' in page and "How do I make part 5?" in page
    assert str(place / "index.html") in text
    assert "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'" in page  # only the pictures beside it


def test_an_instance_without_context_and_with_control_characters(folder, tmp_path):
    row = next(r for r in index_rows(str(folder)) if r["id"] == "doc-hostile")
    instance, _ = read_instance(str(folder), row)
    instance["context"], instance["scores"]["margin"] = [], None
    text = instance_text(instance, "s.tar", str(tmp_path), 60)
    assert "CONTEXT\n  (none)" in text and "margin not defined" in text
    assert "\x1b" not in text and "[31mred" in text


def test_unknown_instances_and_folders(folder, tmp_path):
    with pytest.raises(UserError, match="Did you mean .*doc-007"):
        show(str(folder), "doc-0007")
    with pytest.raises(UserError, match="leafinstruct explain"):  # it was read, but dropped
        show(str(folder), "doc-101")
    with pytest.raises(UserError, match="no index.parquet"):
        show(str(tmp_path), "doc-001")


def hostile_copy(folder, tmp_path, **changes) -> tuple[pathlib.Path, str]:
    """A copy of the run whose first index row is changed; the copy and the row's id. `name` is of the first picture."""
    copy = tmp_path / "deep/er/copy"
    shutil.copytree(folder, copy)
    table = pq.read_table(copy / "index.parquet")
    rows = table.to_pylist()
    if name := changes.pop("name", None):
        rows[0]["images"][0]["name"] = name
    rows[0] |= changes
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), copy / "index.parquet")
    return copy, rows[0]["id"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../../../stolen.txt"},
        {"name": "/tmp/stolen.txt"},
        {"name": "00.jpg\n"},
        {"key": "../../stolen"},
        {"shard": "../../../secret.tar"},
        {"shard": "/etc/passwd"},
    ],
)
def test_an_index_cannot_name_files_outside_its_folder(folder, tmp_path, changes):
    copy, id_ = hostile_copy(folder, tmp_path, **changes)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="index.parquet is damaged .*which no build writes.*leafinstruct validate"):
        show(str(copy), id_)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"json_offset": 2**61}, "bytes, where the index has something"),
        ({"json_size": -1}, "bytes, where the index has"),
        ({"json_offset": 0}, "leafinstruct-0"),
    ],
)
def test_places_that_do_not_exist_in_the_shard(folder, tmp_path, changes, words):
    copy, id_ = hostile_copy(folder, tmp_path, **changes)
    with pytest.raises(UserError, match=f"{words}.*leafinstruct validate"):
        show(str(copy), id_, str(tmp_path / "to"))
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    "old, new",
    [
        (b'"image":"00.jpg"', b'"image":"../jpg"'),
        (b'"title":', b'"tible":'),
        (b'"image":"00.jpg"', b'"image":"09.jpg"'),
    ],
)
def test_an_instance_that_is_not_what_the_format_says(folder, tmp_path, old, new):
    copy, id_ = hostile_copy(folder, tmp_path)
    row = next(r for r in index_rows(str(copy)) if r["id"] == id_)
    shard = copy / "shards" / row["shard"]
    data, end = shard.read_bytes(), row["json_offset"] + row["json_size"]
    changed = data[row["json_offset"] : end].replace(old, new, 1)
    shard.write_bytes(data[: row["json_offset"]] + changed + data[end:])
    with pytest.raises(UserError, match=f"{row['shard']} is damaged .{row['key']}.json"):
        show(str(copy), id_, str(tmp_path / "to"))
    assert not (tmp_path / "to").exists()


def test_instances_with_and_without_a_context_are_counted(folder):
    instances = [read_instance(str(folder), row)[0] for row in index_rows(str(folder))]
    have = sum(bool(instance["context"]) for instance in instances)
    assert context_counts(str(folder)) == (have, len(instances) - have)
    assert 0 < have < len(instances)
