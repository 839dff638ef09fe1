from __future__ import annotations

import hashlib
import io
import itertools
import json
import tarfile
import tracemalloc

import pyarrow.parquet as pq
import pytest

from pipeline.dataset import shards
from schemas.arrow import LEDGER, index_schema, outcomes_from_table
from schemas.codec import config_hash, json_bytes, key_of, shard_name
from tests.pipeline import disk  # noqa: F401  (its import makes disk:// known)
from tests.schemas import example


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(folder, ShardResult, samples) of one shard of three."""
    folder = tmp_path_factory.mktemp("one")
    samples = example.samples()[:3]
    return folder, shards.write_shard(f"{folder}/shards/{shard_name(0)}", samples), samples


def test_shard_is_plain_ustar_with_json_first(written):
    folder, _, samples = written
    with tarfile.open(folder / "shards" / shard_name(0)) as tar:
        members = tar.getmembers()
        data = [tar.extractfile(m).read() for m in members]
    expected = [
        pair
        for _, value, pictures in samples
        for pair in [(f"{value['key']}.json", json_bytes(value)), *((f"{value['key']}.{n}", d) for n, d in pictures)]
    ]
    assert list(zip((m.name for m in members), data, strict=False)) == expected
    assert {(m.mode, m.mtime, m.uid, m.gid, m.uname, m.gname, m.type) for m in members} == {
        (0o644, 0, 0, 0, "", "", tarfile.REGTYPE)
    }


def test_shard_is_what_tarfile_itself_would_write(written):
    folder, _, samples = written
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for _, value, pictures in samples:
            for name, data in [("json", json_bytes(value)), *pictures]:
                info = tarfile.TarInfo(f"{value['key']}.{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    assert (folder / "shards" / shard_name(0)).read_bytes() == file.getvalue()


def test_result_describes_the_file(written):
    folder, result, _ = written
    data = (folder / "shards" / shard_name(0)).read_bytes()
    assert (result.name, result.instances) == ("leafinstruct-00000.tar", 3)
    assert (result.bytes, result.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_index_rows_point_at_the_bytes(written):
    folder, result, samples = written
    data = (folder / "shards" / shard_name(0)).read_bytes()
    for row, (_, value, pictures) in zip(result.rows, samples, strict=True):
        assert json.loads(data[row.json_offset : row.json_offset + row.json_size]) == value
        assert [(m.name, data[m.offset : m.offset + m.size]) for m in row.images] == pictures
        assert (row.key, row.shard) == (key_of(row.id), "leafinstruct-00000.tar")
    assert (
        result.rows[0].n_context_texts,
        result.rows[0].n_context_images,
        result.rows[0].n_output_texts,
        result.rows[0].n_output_images,
    ) == (1, 1, 3, 2)
    assert (result.rows[0].coherence, result.rows[0].ratings["text_coherence"], result.rows[1].margin) == (
        0.23,
        3.5,
        None,
    )


def test_same_set_same_bytes(tmp_path):
    for name in "ab":
        example.write(tmp_path / name)
    files = [sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*") if p.is_file()) for n in "ab"]
    assert files[0] == files[1] and len(files[0]) == 12
    for path in files[0]:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes(), path


def test_nothing_stays_of_a_shard_that_fails_half_way(tmp_path):
    def failing():
        yield example.sample(0)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        shards.write_shard(f"{tmp_path}/shards/{shard_name(0)}", failing())
    assert list((tmp_path / "shards").iterdir()) == []


def test_a_shard_replaces_an_older_one_whole(tmp_path):
    path = f"{tmp_path}/{shard_name(0)}"
    shards.write_shard(path, example.samples()[:3])
    result = shards.write_shard(path, example.samples()[:1])
    assert [p.name for p in tmp_path.iterdir()] == [shard_name(0)]
    assert (tmp_path / shard_name(0)).stat().st_size == result.bytes


def test_writing_holds_one_sample_in_memory(tmp_path):
    data, value, _ = example.sample(0)
    samples = ((data, value, [("00.jpg", bytes(2_000_000))]) for _ in range(20))
    tracemalloc.start()
    result = shards.write_shard(f"{tmp_path}/{shard_name(0)}", samples)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.bytes > 40_000_000
    assert peak < 8_000_000


def test_object_stores_get_the_same_bytes(tmp_path, written):
    _, local, samples = written
    remote = shards.write_shard(f"disk:/{tmp_path}/shards/{shard_name(0)}", samples)
    assert remote == local
    assert hashlib.sha256((tmp_path / "shards" / shard_name(0)).read_bytes()).hexdigest() == local.sha256
    shards.write_index(remote.rows, example.ASPECTS, f"disk:/{tmp_path}/index.parquet")
    assert list(shards.read_index(f"disk:/{tmp_path}/index.parquet")) == list(local.rows)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["index.parquet", shard_name(0), "shards"]


def test_index_has_its_schema_and_comes_back(tmp_path, written):
    _, result, _ = written
    table = shards.write_index(result.rows, example.ASPECTS, f"{tmp_path}/index.parquet")
    assert pq.read_schema(tmp_path / "index.parquet").equals(index_schema(example.ASPECTS))
    assert list(shards.read_index(f"{tmp_path}/index.parquet")) == list(result.rows)
    data = (tmp_path / "index.parquet").read_bytes()
    assert table == shards.Table("index.parquet", 3, len(data), hashlib.sha256(data).hexdigest())


def test_index_does_not_depend_on_how_rows_come(tmp_path, written):
    _, result, _ = written
    one = shards.write_index(list(result.rows), example.ASPECTS, f"{tmp_path}/index.parquet")
    two = shards.write_index(iter(result.rows), example.ASPECTS, f"{tmp_path}/index.parquet")
    assert one == two


def test_index_rows_out_of_order_are_refused(tmp_path, written):
    _, result, _ = written
    with pytest.raises(ValueError, match="out of order"):
        shards.write_index(reversed(result.rows), example.ASPECTS, f"{tmp_path}/index.parquet")
    assert list(tmp_path.iterdir()) == []


def test_many_rows_are_written_in_groups(tmp_path):
    outcomes = example.outcomes([])
    many = list(itertools.islice(itertools.cycle(outcomes), shards.ROW_GROUP + 5))
    table = shards.write_ledger(many, f"{tmp_path}/part-00000.parquet")
    file = pq.ParquetFile(tmp_path / "part-00000.parquet")
    assert table.rows == len(many) and file.num_row_groups == 2
    assert file.schema_arrow.equals(LEDGER)
    assert outcomes_from_table(file.read()) == many


def test_count(written):
    _, result, _ = written
    counts = shards.count(result.rows)
    assert (counts.instances, counts.images) == (3, 7)
    assert sum(counts.domains.values()) == sum(counts.sources.values()) == sum(counts.licenses.values()) == 3
    assert counts.members == ("00.jpg", "00.png", "01.jpg", "02.jpg")


def test_manifest_says_everything_and_no_time(tmp_path):
    manifest = example.write(tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest
    assert [(s["name"], s["instances"]) for s in manifest["shards"]] == [
        (shard_name(i), n) for i, n in enumerate((3, 3, 1))
    ]
    assert manifest["config_hash"] == manifest["provenance"]["config"] == config_hash(example.CONFIG)
    assert manifest["counts"]["domains"] == {"cooking": 3, "gardening": 2, "repair": 2}
    assert manifest["funnel"] == {
        "input": 13,
        "kept": 7,
        "dropped": dict.fromkeys(("word_count", "image_count", "duplicate_text", "margin", "completeness"), 1),
        "failed": {"malformed": 1},
    }
    assert [(p["name"], p["rows"]) for p in manifest["ledger"]] == [
        ("part-00000.parquet", 7),
        ("part-00001.parquet", 6),
    ]
