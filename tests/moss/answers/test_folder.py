"""Folders of answers, and other forms that become one."""

import io
import json
import os

import numpy as np
import PIL.Image
import pyarrow.parquet
import pytest

from moss import generate
from moss.answers import __main__ as command
from moss.answers import folder, interleavedbench, plain
from moss.data import instances
from moss.servers import client
from schemas.errors import UserError
from schemas.records import Text
from tests.moss.servers import fake
from tests.schemas import damage, example


def write(place, answers):
    files = {f"{folder.name_of(a.key)}/{n}": data for a in answers for n, data in folder.files(a).items()}
    folder.publish(place, files.items())
    return place


def shown(segments):
    return [s.text if isinstance(s, Text) else folder.opened(s).tobytes() for s in segments]


def test_an_answer_comes_back_as_it_was_written(tmp_path):
    written = folder.Answered(
        "wiki/1.2",
        "Paint.",
        [Text("A brush."), fake.picture_of("red", 1)],
        fake.answer(1).output,
        ("image",),
        missing=2,
        failed="refused",
    )
    [found] = folder.read(write(tmp_path / "a", [written]))
    assert (found.key, found.instruction, found.expects, found.missing) == ("wiki/1.2", "Paint.", ("image",), 2)
    assert found.failed == "refused"
    assert shown(found.context) == shown(written.context) and shown(found.output) == shown(written.output)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_earlier_folder_stays_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    folder.publish(tmp_path / "a", [("one.txt", b"1")])
    replace = folder.os.replace

    def failing(source, target):
        if target == tmp_path / "a" and not str(source).endswith(".old"):
            raise OSError("the disk")
        replace(source, target)

    monkeypatch.setattr(folder.os, "replace", failing)
    with pytest.raises(OSError, match="the disk"):
        folder.publish(tmp_path / "a", [("one.txt", b"2")])
    assert (tmp_path / "a/one.txt").read_bytes() == b"1" and len(list(tmp_path.iterdir())) == 1
    monkeypatch.undo()
    folder.publish(tmp_path / "a", [("two.txt", b"2")])
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["two.txt"] and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "record,said",
    [
        ({"output": []}, "instruction"),
        ({"instruction": "x", "output": [{"type": "image", "image": "../secret.png"}]}, "outside"),
        ({"instruction": "x", "output": [{"type": "image", "image": "broken.png"}]}, "broken.png cannot be read"),
        ({"instruction": "x", "output": [{"type": "image", "image": "script.png"}]}, "script.png cannot be read"),
        ({"instruction": "\ud800", "output": []}, "surrogate"),
        ({"instruction": "x", "output": [{"type": "text", "text": "a\udfff"}]}, "surrogate"),
        ({"instruction": "x", "context": [{"type": "text", "text": "\ud83d"}], "output": []}, "surrogate"),
        ({"instruction": "x", "output": [], "key": "\ud800"}, "surrogate"),
        ({"instruction": "x", "output": [{"type": "sound"}]}, "image"),
        ({"instruction": "x", "output": [], "expects": ["sound"]}, "expects"),
    ],
)
def test_what_is_no_answer_is_named(record, said, tmp_path):
    PIL.Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (tmp_path / "a" / "q").mkdir(parents=True)
    (tmp_path / "a" / "q" / "broken.png").write_bytes(b"no picture")
    PIL.Image.new("RGB", (4, 4)).save(tmp_path / "a" / "q" / "script.png", "EPS")  # for Ghostscript to run
    (tmp_path / "a" / "q" / "answer.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=f"q/answer.json.*{said}"):
        folder.read(tmp_path / "a")
    with pytest.raises(UserError, match="holds no answers"):
        folder.read(tmp_path / "nowhere")


def test_a_key_may_come_once(tmp_path):
    place = write(tmp_path / "a", [fake.answer(1)])
    (place / "q1").rename(place / "other")
    folder.publish(place / "q1", folder.files(fake.answer(1)).items())
    with pytest.raises(UserError, match="answers q1 twice"):
        folder.read(place)


def test_a_built_folders_instances_become_reference_answers(tmp_path, capsys):
    example.write(tmp_path / "built")
    assert command.main(["shards", str(tmp_path / "built"), "--output", str(tmp_path / "out"), "--limit", "3"]) == 0
    found = folder.read(tmp_path / "out")
    assert len(found) == 3 and all(a.texts and a.pictures and a.instruction.startswith("Explain") for a in found)
    assert command.main(["shards", str(tmp_path / "built"), "--output", str(tmp_path / "out")]) == 2
    assert "name another --output" in capsys.readouterr().err


def conversation(number, question, answer, images, **more):
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": f"task_{number}", "image": images, "conversations": turns, **more}


def test_interleavedbench_becomes_answers(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    for colour in fake.COLOURS:
        fake.picture_of(colour, 1).save(tmp_path / "images" / f"{colour}.png")
    records = [
        conversation(
            1,
            "<BEGIN> Go on with this.\n<image>.\nIt was red.",
            "Then <image> green.\n<image>",
            ["red.png", "green.png", "blue.png"],
        ),
        conversation(
            2, "Make it blue. <image>", "<image>", ["red.png", "blue.png"], task_name="Sequential Image Editing"
        ),
        conversation(3, "Tell a story.", "Once.", [], use_case="Story"),
    ]
    (tmp_path / "bench.json").write_text(json.dumps(records))
    run = ["interleavedbench", str(tmp_path / "bench.json"), "--output"]
    assert command.main([*run, str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "1 without a task (none of task_name, task, use_case is in the record): text and images are expected" in said
    assert "1 of task 'Sequential Image Editing': images only are expected" in said
    assert "1 of task 'Story': text and images are expected" in said
    first, second, third = folder.read(tmp_path / "out")
    colours = {fake.picture_of(colour, 1).tobytes(): colour for colour in fake.COLOURS}
    assert first.instruction == "Go on with this." and third.texts == ["Once."]
    assert [colours.get(part, part) for part in shown(first.context)] == ["red", "It was red."]
    assert [colours.get(part, part) for part in shown(first.output)] == ["Then", "green", "green.", "blue"]
    assert second.expects == ("image",) and [colours[part] for part in shown(second.output)] == ["blue"]
    for wrong in ([conversation(1, "<image>", "x", [])], [conversation(1, "<image>", "x", ["../bench.json"])], {}):
        (tmp_path / "bench.json").write_text(json.dumps(wrong))
        assert command.main([*run, str(tmp_path / "other")]) == 2 and not (tmp_path / "other").exists()


def test_plain_folders_become_answers_in_the_natural_order_of_their_files(tmp_path, capsys):
    questions = write(tmp_path / "questions", [fake.answer(n) for n in range(3)])
    (tmp_path / "left" / "q2").mkdir(parents=True)
    for name, text in (("2.txt", "Second."), ("10.txt", "Tenth."), ("1.txt", "First.")):
        (tmp_path / "left" / "q0").mkdir(parents=True, exist_ok=True)
        (tmp_path / "left" / "q0" / name).write_text(text)
    fake.picture_of("red", 1).save(tmp_path / "left" / "q0" / "3.png")
    (tmp_path / "left" / "q1").mkdir()
    (tmp_path / "left" / "q1" / "text.txt").write_text("Before [IMG0] [IMG1] between <image> after <image>")
    for n, colour in enumerate(("green", "blue")):
        fake.picture_of(colour, 1).save(tmp_path / "left" / "q1" / f"{n}.png")
    run = ["folders", str(tmp_path / "left"), "--questions", str(questions), "--output"]
    assert command.main([*run, str(tmp_path / "out")]) == 0
    first, second, third = folder.read(tmp_path / "out")
    colours = {fake.picture_of(colour, 1).tobytes(): colour for colour in fake.COLOURS}
    assert [colours.get(p, p) for p in shown(first.output)] == ["First.", "Second.", "red", "Tenth."]
    assert [colours.get(p, p) for p in shown(second.output)] == ["Before", "green", "between", "blue", "after"]
    assert second.missing == 1 and third.instruction == fake.answer(2).instruction
    assert not third.output and not third.failed and "3 answers, in" in capsys.readouterr().out
    (tmp_path / "left" / "q9").mkdir()
    assert command.main([*run, str(tmp_path / "other")]) == 2 and "no question q9" in capsys.readouterr().err


def test_hidden_files_are_no_part_of_an_answer_and_what_is_not_read_is_named(tmp_path, capsys):
    questions, place = write(tmp_path / "questions", [fake.answer(0)]), tmp_path / "left" / "q0"
    (place / "pictures").mkdir(parents=True)
    (place / "1.txt").write_text("Text.")
    (place / "._1.txt").write_bytes(bytes(range(256)))  # macOS's, in archives
    run = ["folders", str(tmp_path / "left"), "--questions", str(questions), "--output", str(tmp_path / "out")]
    assert command.main(run) == 0
    [found] = folder.read(tmp_path / "out")
    assert shown(found.output) == ["Text."]
    assert "1 files or folders in the answers were not read, such as q0/pictures" in capsys.readouterr().out


def test_a_folder_that_is_not_there_is_a_failed_answer_and_many_are_refused(tmp_path, capsys):
    questions = write(tmp_path / "questions", [fake.answer(n) for n in range(20)])
    for n in range(19):
        (tmp_path / "left" / f"q{n}").mkdir(parents=True)
        (tmp_path / "left" / f"q{n}" / "1.txt").write_text("Text.")
    run = ["folders", str(tmp_path / "left"), "--questions", str(questions), "--output"]
    assert command.main([*run, str(tmp_path / "out")]) == 0
    assert "20 answers (1 of them have no folder, such as q19" in capsys.readouterr().out
    assert {a.key: a.failed for a in folder.read(tmp_path / "out") if a.failed} == {
        "q19": f"{tmp_path / 'left'} has no folder q19"
    }
    (tmp_path / "left" / "q7" / "1.txt").unlink()
    (tmp_path / "left" / "q7").rmdir()
    assert command.main([*run, str(tmp_path / "other")]) == 2 and not (tmp_path / "other").exists()
    assert "2 of 20 answers failed" in capsys.readouterr().err


def test_names_sort_by_their_numbers():
    assert sorted(["a10.png", "a9.png", "b.txt", "1_2.txt", "1_10.txt", "1²3.txt"], key=plain.natural) == [
        "1_2.txt",
        "1_10.txt",
        "1²3.txt",
        "a9.png",
        "a10.png",
        "b.txt",
    ]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"])
def test_a_picture_may_have_any_common_format_under_any_name(form, tmp_path):
    PIL.Image.new("RGB", (4, 4)).save(tmp_path / "a.png", form)
    record = {"instruction": "\U0001f600 \ud83d\ude00", "output": [{"type": "image", "image": "a.png"}]}
    (tmp_path / "answer.json").write_text(json.dumps(record).replace("\\\\u", "\\u"))
    [found] = folder.read(tmp_path)
    assert folder.opened(found.output[0]).size == (4, 4)


def test_a_picture_of_16_bits_is_scaled_and_not_clipped_to_white(tmp_path):
    grey = np.arange(0, 256, 17, dtype=np.uint16)[None] * 257
    PIL.Image.fromarray(grey).save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(folder.opened(tmp_path / "a.png"))[..., 0], grey // 257)


def test_a_picture_beyond_what_pillow_opens_is_said_and_no_traceback(tmp_path, monkeypatch):
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 8)
    for read in (folder.opened, lambda path: generate.read_context([str(path)])):
        with pytest.raises(UserError, match="a.png"):
            read(tmp_path / "a.png")


def test_a_picture_that_breaks_a_decoder_is_said_and_no_traceback(tmp_path):
    file = io.BytesIO()
    PIL.Image.new("RGB", (8, 8)).save(file, "AVIF")
    (tmp_path / "a.avif").write_bytes(file.getvalue()[:-1])  # RuntimeError and SyntaxError
    turned = b"\1\x12\0\3\0\0\0\1\0\6\0\0"
    resolution = b"\1\x1a\0\1\0\0\0\1\0\0\0D"  # a byte, where exif_transpose writes a fraction: TypeError
    metadata = b"Exif\0\0MM\0*\0\0\0\x08\0\2" + turned + resolution + bytes(4)
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "b.jpg", exif=metadata)
    for path in tmp_path.iterdir():
        with pytest.raises(UserError, match=f"{path.name} cannot be read as a picture: damaged"):
            folder.opened(path)
        assert not client._is_picture(path.read_bytes())


def test_an_answers_file_is_no_pipe_that_is_waited_for(tmp_path):
    record = {"instruction": "x", "output": [{"type": "image", "image": "p.png"}]}
    (tmp_path / "answer.json").write_text(json.dumps(record))
    os.mkfifo(tmp_path / "p.png")
    with pytest.raises(UserError, match=r"p\.png lies outside, or is no file"):
        folder.read(tmp_path)
    (tmp_path / "q").mkdir()
    os.mkfifo(tmp_path / "q" / "answer.json")
    (tmp_path / "answer.json").unlink()
    with pytest.raises(UserError, match="it is no file"):
        folder.read(tmp_path)


def test_a_built_folder_with_a_damaged_picture_or_a_shard_elsewhere_is_refused(tmp_path):
    example.write(place := tmp_path / "built")
    index = pyarrow.parquet.read_table(place / "index.parquet")
    first = index.slice(0, 1).to_pylist()[0]
    with open(place / "shards" / first["shard"], "r+b") as file:
        file.seek(first["images"][0]["offset"])
        file.write(bytes(9))
    with pytest.raises(UserError, match="cannot be read .ValueError: neither a JFIF file nor a PNG.*validate"):
        next(instances.read(place))
    shards = pyarrow.array([f"../../{name}" for name in index["shard"].to_pylist()])
    pyarrow.parquet.write_table(index.set_column(2, "shard", shards), place / "index.parquet")
    with pytest.raises(UserError, match="a shard outside the folder"):
        next(instances.read(place))


def test_a_built_folder_with_a_damaged_index_is_refused(tmp_path):
    example.write(tmp_path)
    index = pyarrow.parquet.read_table(tmp_path / "index.parquet")
    pyarrow.parquet.write_table(index.drop_columns("images"), tmp_path / "index.parquet")
    with pytest.raises(
        UserError, match=r"index\.parquet cannot be read .No match for FieldRef.*build the folder again"
    ):
        next(instances.read(tmp_path))
    (tmp_path / "index.parquet").write_bytes(b"")
    with pytest.raises(UserError, match=r"index\.parquet cannot be read .*0 bytes"):
        next(instances.read(tmp_path))


def test_an_instance_of_a_built_folder_decides_no_path_and_has_its_pictures(tmp_path):
    """Its key becomes the name of an answer's folder, which replaces one that is there."""
    example.write(tmp_path)
    damage.index(tmp_path, damage.first(images=[]))
    with pytest.raises(UserError, match=r"the index does not have its image 00\."):
        next(instances.read(tmp_path))
    damage.edit(tmp_path, 0, lambda value: value.update(key="../../elsewhere"))
    with pytest.raises(UserError, match="cannot be read .ValueError: /key .*elsewhere"):
        next(instances.read(tmp_path))


def test_a_text_of_interleavedbench_that_cannot_be_written_is_named(tmp_path):
    turns = [{"from": "human", "value": "Paint."}, {"from": "gpt", "value": "Red\ud800."}]
    (tmp_path / "b.json").write_text(json.dumps([{"id": "1", "image": [], "conversations": turns}]))
    with pytest.raises(UserError, match="record 0: .*surrogate"):
        list(interleavedbench.read(tmp_path / "b.json", tmp_path))


def test_a_strangers_words_do_not_control_the_terminal(tmp_path, capsys):
    (tmp_path / "answer.json").write_text(json.dumps({"instruction": "x", "output": [], "key": "k\x1b]0;x\x07"}))
    plain_folder = tmp_path / "p"
    (plain_folder / "strange\x1b[31m").mkdir(parents=True)
    arguments = ["folders", str(plain_folder), "--questions", str(tmp_path), "--output", str(tmp_path / "o")]
    assert command.main(arguments) == 2
    said = capsys.readouterr().err
    assert "there is no question strange[31m" in said and "\x1b" not in said
