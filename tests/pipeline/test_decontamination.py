"""A benchmark kept out: one planted item is caught by each of the three routes, and nothing else is."""

from __future__ import annotations

import hashlib
import io
import json
import pathlib
import re

import numpy as np
import PIL.Image
import pytest
import yaml

from filters.decontaminate import image_hash
from pipeline.cli import main
from pipeline.dataset import ledger
from pipeline.held_out import Index, summary
from schemas.errors import UserError
from schemas.records import Document, Text
from schemas.validate import validate
from tests.answers import MODEL, server
from tests.pipeline.runs import ROOT, demo_tree

WORDS = "Hold the pencil away from you and shave thin strips with a sharp knife while you turn it"


def picture(seed):
    """Something with shapes, for a perceptual hash of noise says little."""
    small = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    return PIL.Image.fromarray(small).resize((320, 240), PIL.Image.Resampling.BICUBIC)


@pytest.fixture
def benchmark(tmp_path):
    """A folder with one item, and its index."""
    folder = tmp_path / "bench"
    (folder / "images" / "wikihow").mkdir(parents=True)
    picture(1).save(folder / "images" / "wikihow" / "70000001_0_0.png")
    (folder / "interleaved_bench.json").write_text(
        json.dumps(
            [
                {
                    "id": "wikihow_next_step_0_70000001",
                    "image": ["wikihow/70000001_0_0.png", "wikihow/gone.png"],
                    "conversations": [
                        {"from": "human", "value": f"<BEGIN> {WORDS}. <image>."},
                        {"from": "gpt", "value": "Good. <image>"},
                    ],
                }
            ]
        )
    )
    return folder, str(tmp_path / "benchmark.parquet")


@pytest.fixture
def index(benchmark, capsys):
    folder, path = benchmark
    assert main(["decontaminate", f"interleavedbench:{folder}", "--output", path]) == 0
    assert capsys.readouterr().out == (
        f"{path}: 1 items with 2 ids, 8 runs of words and 1 images; 1 images could not be read\n"
    )
    return path


def test_an_index_in_the_current_folder_needs_no_folder_in_its_name(benchmark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["decontaminate", f"interleavedbench:{benchmark[0]}", "--output", "mine.parquet"]) == 0
    assert (tmp_path / "mine.parquet").is_file()


def document(id_="d", text="Nothing of it.", url=""):
    return Document(id_, "s", (Text(text),), url=url)


def hashed(image, quality=None, size=None):
    data = io.BytesIO()
    image = image.resize(size) if size else image
    image.save(data, "JPEG" if quality else "PNG", **({"quality": quality} if quality else {}))
    return image_hash(PIL.Image.open(data))


def test_each_route_catches_the_planted_item(index):
    found = Index(index)
    item = "wikihow_next_step_0_70000001"
    for planted in (document("70000001_3"), document("70000001"), document(item)):
        hit = found.hit(planted, ())
        assert (hit.kind, hit.item) == ("id", item)
    hit = found.hit(document(text=f"First: {WORDS.upper()}!"), ())
    assert (hit.kind, hit.item, len(hit.match.split())) == ("text", item, 12)
    steps = tuple(map(Text, (WORDS[:40], WORDS[40:])))
    assert found.hit(Document("d", "s", steps), ()).kind == "text"
    for image in (hashed(picture(1)), hashed(picture(1), quality=40), hashed(picture(1), size=(160, 120))):
        hit = found.hit(document(), [image])
        assert (hit.kind, hit.item) == ("image", item)
    known = int(found.hashes[0])
    assert found.hit(document(), [(known ^ 0b11111).to_bytes(8)]).match == f"5 bits from {known:016x}"
    assert found.hit(document(), [(known ^ 0b111111).to_bytes(8)]) is None
    said = {"sha256": hashlib.sha256(pathlib.Path(index).read_bytes()).hexdigest(), "items": 1, "id": 2, "text": 8}
    assert summary(index) == {**said, "image": 1, "unreadable_images": 1}


def test_what_is_not_of_the_benchmark_passes(index):
    found = Index(index)
    eleven = " ".join(WORDS.split()[:11])
    assert (
        found.hit(document("70000002_1", f"{eleven} or a blunt one"), [hashed(picture(seed)) for seed in range(2, 40)])
        is None
    )


def test_an_index_is_never_missing_or_empty_unnoticed(tmp_path, benchmark, index, capsys):
    with pytest.raises(UserError, match="there is no .*nowhere"):
        Index(f"{tmp_path}/nowhere.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="cannot be read"):
        summary(f"{tmp_path}/bad.parquet")
    (tmp_path / "short.json").write_text(json.dumps([{"id": "x", "conversations": [{"value": "Few words."}]}]))
    for source, words in (
        (f"interleavedbench:{tmp_path}/short.json", "the index would be empty"),
        (f"interleavedbench:{tmp_path}/none", "cannot be read|holds no records"),
    ):
        assert main(["decontaminate", source, "--output", f"{tmp_path}/x.parquet"]) == 2
        assert re.search(words, capsys.readouterr().err)
    assert not (tmp_path / "x.parquet").exists()


def test_a_record_that_cannot_be_read_stops_the_index(tmp_path, benchmark, capsys):
    folder, path = benchmark
    items = json.loads((folder / "interleaved_bench.json").read_text())
    (folder / "interleaved_bench.json").write_text(json.dumps([*items, {"id": 3.5}]))
    assert main(["decontaminate", f"interleavedbench:{folder}", "--output", path]) == 2
    assert "held out whole or not at all" in capsys.readouterr().err


def test_an_index_is_a_file(tmp_path, benchmark, capsys):
    """Said before the benchmark is read, which may take hours."""
    assert main(["decontaminate", f"interleavedbench:{benchmark[0]}", "--output", str(tmp_path)]) == 2
    assert "is a folder; --output names the index's file" in capsys.readouterr().err


def test_hits_are_dropped_with_the_match_in_their_rows_and_the_card_says_so(tmp_path, index):
    corpus = tmp_path / "corpus"
    (corpus / "images").mkdir(parents=True)
    lines = (ROOT / "examples/corpus/docs.jsonl").read_bytes().splitlines()
    records = [json.loads(line) for line in lines if line.endswith(b"}")][:6]  # one line is cut off on purpose
    for name in {s["image"] for r in records for s in r["segments"] if "image" in s}:
        (corpus / "images" / name).write_bytes((ROOT / "examples/corpus/images" / name).read_bytes())
    picture(1).resize((640, 480)).save(corpus / "images" / "planted.jpg", quality=80)
    records[0]["segments"].append({"text": f"And {WORDS}."})
    records[1]["segments"].append({"image": "planted.jpg"})
    records[2]["id"] = "70000001_0"
    (corpus / "docs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    tree = demo_tree()
    tree |= {"corpora": [{"format": "native", "path": str(corpus)}], "decontaminate": index}
    tree["llm"]["name"] = MODEL
    tree["clip"]["model"] = f"local-dir:{ROOT}/build/models/coherence"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree))
    out = str(tmp_path / "out")
    with server() as llm:
        assert (
            main(
                [
                    "build",
                    "--config",
                    str(tmp_path / "config.yaml"),
                    "--output",
                    out,
                    "--llm-url",
                    llm.url,
                    "--allow-empty",
                ]
            )
            == 0
        )
    rows = {row.id: row for row in ledger.read_outcomes(out)}
    item = "wikihow_next_step_0_70000001"
    assert {(row.rule, row.detail.split(":")[0]) for row in rows.values() if row.stage == "decontaminate"} == {
        (f"benchmark_{kind}", f"repeats {item}") for kind in ("id", "text", "image")
    }
    assert "3 that repeat it were dropped" in (tmp_path / "out" / "README.md").read_text()
    assert validate(out, deep=True) == []
