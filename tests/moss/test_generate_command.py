"""The command moss.generate: what it writes, keeps and refuses."""

import dataclasses
import json
import types

import PIL.ExifTags
import PIL.Image
import pytest

from moss import generate
from moss.answers import folder
from moss.backbones import continuous
from moss.generation import decoding
from schemas.records import Text
from tests.moss.hands import eager, picture
from tests.schemas import example


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "shards: x\noutput: y\nbackbone: {name: continuous}\ndata: {length: 512}\ntraining: {steps: 1, rows: 1}\n"
    )
    return str(path)


def test_the_command_writes_a_folder_and_replaces_only_answers(config, tmp_path, capsys):
    picture(5).save(tmp_path / "cake.png")
    (tmp_path / "more.json").write_text(
        json.dumps([{"type": "text", "text": "Stir."}, {"type": "image", "image": "cake.png"}])
    )
    arguments = [
        "--config",
        config,
        "--instruction",
        "Bake <b>it</b>.",
        "--max-tokens",
        "90",
        "--output",
        str(tmp_path / "out"),
        "--context",
        "It rises.",
        str(tmp_path / "cake.png"),
        str(tmp_path / "more.json"),
    ]
    assert generate.main(arguments) == 0
    record = json.loads((tmp_path / "out/answer.json").read_text())
    assert record["instruction"] == "Bake <b>it</b>." and record["tokens"] <= 90 and record["sampling"]["seed"] == 0
    page = (tmp_path / "out/page.html").read_text()
    assert "Bake &lt;b&gt;it&lt;/b&gt;." in page
    assert page.count("<img") == len(list((tmp_path / "out").glob("*.png"))) >= 2
    assert generate.main([*arguments, "--seed", "1"]) == 0
    assert json.loads((tmp_path / "out/answer.json").read_text())["sampling"]["seed"] == 1
    (tmp_path / "out/notes.txt").write_text("mine")
    assert generate.main(arguments) == 2 and (tmp_path / "out/notes.txt").exists()
    assert "name another --output" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_photo_in_the_context_is_upright(tmp_path):
    """As a camera that is held on its side stores it: turned, with a note of how."""
    upright, exif = PIL.Image.new("RGB", (64, 32)), PIL.Image.Exif()
    upright.paste("white", (0, 16, 64, 32))
    exif[PIL.ExifTags.Base.Orientation] = 6
    upright.rotate(90, expand=True).save(tmp_path / "photo.png", exif=exif)
    [found] = generate.read_context([str(tmp_path / "photo.png")])
    for seen in (found, folder.opened(tmp_path / "photo.png"), folder.opened(found)):
        assert seen.size == (64, 32) and seen.tobytes() == upright.tobytes()


def test_the_command_answers_a_built_folders_instances(config, tmp_path):
    example.write(tmp_path / "built")
    assert (
        generate.main(
            [
                "--config",
                config,
                "--shards",
                str(tmp_path / "built"),
                "--limit",
                "2",
                "--max-tokens",
                "20",
                "--output",
                str(tmp_path / "out"),
            ]
        )
        == 0
    )
    folders = [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    assert len(folders) == 2 and all((folder / "answer.json").is_file() for folder in folders)
    page = (tmp_path / "out/page.html").read_text()
    assert page.count("<h3>Reference</h3>") == 2 and all(folder.name in page for folder in folders)


def test_shards_are_answered_in_batches_by_processes_that_can_be_stopped(config, tmp_path, capsys, monkeypatch):
    example.write(tmp_path / "built")
    run = ["--config", config, "--shards", str(tmp_path / "built"), "--limit", "5", "--max-tokens", "12"]

    def written(name):
        found = {path.parent.name: path.read_bytes() for path in (tmp_path / name).glob("*/answer.json")}
        return {key: (json.loads(data)["output"], json.loads(data)["tokens"]) for key, data in found.items()}

    assert generate.main([*run, "--output", str(tmp_path / "one")]) == 0
    assert generate.main([*run, "--output", str(tmp_path / "two"), "--batch", "2", "--share", "0/2"]) == 0
    assert len(written("two")) == 3
    first = next((tmp_path / "two").glob("*/answer.json"))
    stamp = first.stat().st_mtime_ns
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert generate.main([*run, "--output", str(tmp_path / "two"), "--batch", "2"]) == 0
    assert written("two") == written("one") and len(written("one")) == 5
    assert first.stat().st_mtime_ns == stamp
    assert (tmp_path / "two/page.html").read_text() == (tmp_path / "one/page.html").read_text()
    assert generate.main([*run, "--output", str(tmp_path / "two"), "--seed", "1"]) == 2
    assert "with another sampling; name another --output" in capsys.readouterr().err


def test_answers_to_other_questions_or_of_another_decoder_are_not_kept(config, tmp_path, capsys):
    example.write(tmp_path / "built")
    run = ["--config", config, "--shards", str(tmp_path / "built"), "--limit", "2", "--max-tokens", "12"]
    run += ["--output", str(tmp_path / "out")]
    assert generate.main(run) == 0 == generate.main(run)
    path = next((tmp_path / "out").glob("*/answer.json"))
    known = json.loads(path.read_text())
    for change, said in (
        ({"instruction": "Another."}, "the instruction under this key is another one now"),
        ({"context": [{"type": "text", "text": "More."}]}, "the context under this key is another one now"),
        ({"decoder": "0123"}, "with another pixel decoder"),
        ({"weights": "0123"}, "with another model"),
    ):
        path.write_text(json.dumps({**known, **change}))
        assert generate.main(run) == 2 and said in capsys.readouterr().err
    path.write_text(json.dumps(known)[:-9])
    assert generate.main(run) == 2 and f"{path} is no answer" in capsys.readouterr().err
    path.write_text(json.dumps(known))
    assert generate.main(run) == 0


@pytest.mark.parametrize(
    "dropout,guidance,warned", [(0.0, "2", True), (0.1, "2", False), (0.0, "1", False)], ids=["never", "seen", "none"]
)
def test_guidance_that_was_not_trained_is_said(tmp_path, capsys, monkeypatch, dropout, guidance, warned):
    trained = types.SimpleNamespace(
        data=types.SimpleNamespace(held_out_sources=()), training=types.SimpleNamespace(condition_dropout=dropout)
    )
    monkeypatch.setattr(generate.runs, "find_run", lambda _: types.SimpleNamespace(checkpoint="c", settings=trained))
    monkeypatch.setattr(generate.runs, "load_run", lambda _: continuous.tiny().eval())
    run = ["--checkpoint", "c", "--instruction", "x", "--max-tokens", "3", "--output", str(tmp_path / "out")]
    assert generate.main([*run, "--image-guidance", guidance]) == 0
    assert ("trained with training.condition_dropout 0" in capsys.readouterr().err) == warned


def test_one_answer_and_those_of_a_run_do_not_replace_each_other(config, tmp_path, capsys):
    example.write(tmp_path / "built")
    run = ["--config", config, "--max-tokens", "12", "--output"]
    of_shards, of_one = ["--shards", str(tmp_path / "built"), "--limit", "1"], ["--instruction", "x"]
    assert generate.main([*run, str(tmp_path / "many"), *of_shards]) == 0
    assert generate.main([*run, str(tmp_path / "one"), *of_one]) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("answer.json")}
    assert generate.main([*run, str(tmp_path / "many"), *of_one]) == 2
    assert "answers to 1 instances, which one answer would replace" in capsys.readouterr().err
    assert generate.main([*run, str(tmp_path / "one"), *of_shards]) == 2
    assert "holds a single answer" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("answer.json")} == before and len(before) == 2


def test_what_a_killed_process_left_neither_stops_the_next_nor_is_an_answer(config, tmp_path):
    example.write(tmp_path / "built")
    run = ["--config", config, "--shards", str(tmp_path / "built"), "--max-tokens", "12", "--output"]
    out = tmp_path / "out"
    assert generate.main([*run, str(out), "--limit", "1"]) == 0
    [first] = [path.parent for path in out.glob("*/answer.json")]
    left, moved, page = (out / f".{name}.{'0f' * 16}" for name in ("other", first.name, "page"))
    left.mkdir()
    (left / "00.png").write_bytes(b"half")
    page.write_text("half")
    first.rename(f"{moved}.old")
    before = (moved.with_name(f"{moved.name}.old") / "answer.json").stat().st_mtime_ns
    assert generate.main([*run, str(out), "--limit", "2", "--share", "1/2"]) == 0  # others may be at work: nothing goes
    assert left.exists() and page.exists()
    assert generate.main([*run, str(out), "--limit", "2"]) == 0
    assert (first / "answer.json").stat().st_mtime_ns == before
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
    assert len(list(out.glob("*/answer.json"))) == 2


def test_an_answer_may_have_as_many_images_as_its_instance(config, tmp_path, monkeypatch):
    """Ten, which is more than the eight that an answer has room for by itself."""
    own, others = example.instance, [example.instance(3 * n) for n in range(10)]  # of one picture each

    def instance(number):
        made, files = own(number)
        if number:
            return made, files
        pictures = [segment for one, _ in others for segment in one.output if not isinstance(segment, Text)]
        files = {digest: data for _, some in others for digest, data in some.items()}
        return dataclasses.replace(made, output=(made.output[0], *pictures)), files

    monkeypatch.setattr(example, "instance", instance)
    example.write(tmp_path / "built", 1)
    monkeypatch.setattr(decoding, "TEXT_TOKENS", 12)
    monkeypatch.setattr(generate.runs, "load_backbone", lambda _: eager(continuous.tiny().eval(), 30.0))
    run = ["--config", config, "--shards", str(tmp_path / "built"), "--output", str(tmp_path / "out"), "--greedy"]
    assert generate.main(run) == 0
    [answer] = folder.read(tmp_path / "out")
    assert len(answer.pictures) == 10 and not answer.missing
    assert {folder.opened(picture).size for picture in answer.pictures} == {(32, 32)}
    assert (tmp_path / "out/page.html").read_text().count("<img") == 20


@pytest.mark.parametrize(
    "wrong,said",
    [
        (["--batch", "0"], "at least 1"),
        (["--image-guidance", "-1"], "at least 0"),
        (["--text-temperature", "0"], "--greedy"),
        (["--text-top-p", "1.5"], "at most 1"),
        (["--max-tokens", "0"], "at least 1"),
        (["--context", "nowhere.png"], "nowhere.png"),
        (["--context", "nowhere.json"], "nowhere.json"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(config, tmp_path, capsys, wrong, said):
    assert generate.main(["--config", config, "--instruction", "x", "--output", str(tmp_path / "out"), *wrong]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()
