from __future__ import annotations

import json

import av
import numpy as np
import pytest

from pipeline import corpora
from pipeline.images.frames import read_bytes
from schemas.records import Image, Text


def video(**fields):
    return {
        "duration": 120.5,
        "subset": "training",
        "recipe_type": "113",
        "video_url": "https://video.example.org/v1",
        "annotations": [
            {"id": 1, "segment": [30, 55], "sentence": "fry the onion in butter"},
            {"id": 0, "segment": [10, 24], "sentence": "slice the onion"},
        ],
        **fields,
    }


@pytest.fixture
def read(tree, read_all):
    def read(files=(), **videos):
        return read_all(
            "youcook2", tree(**{"annotations.json": {"database": videos}}, **dict(files)) + "/annotations.json"
        )

    return read


def test_steps_in_the_order_of_the_video_with_frames_of_a_folder(read, tmp_path):
    [document] = read(
        {"frames/v1/0.jpg": b"x", "frames/v1/1.png": b"x", "label_foodtype.csv": "113,onion soup\n"}, v1=video()
    )
    assert (document.id, document.title, document.url) == ("v1", "onion soup", "https://video.example.org/v1")
    assert document.segments == (
        Text("slice the onion"),
        Image(f"{tmp_path}/./frames/v1/0.jpg"),
        Text("fry the onion in butter"),
        Image(f"{tmp_path}/./frames/v1/1.png"),
    )


def test_a_video_gives_the_frames_at_the_middle_of_its_segments(read, tmp_path):
    (tmp_path / "videos").mkdir()
    with av.open(str(tmp_path / "videos" / "v1.mp4"), "w") as container:  # one second a shade: 0, 10, 20 ...
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 64
        for i in range(60 * 5):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), i // 5 * 4, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    [document] = read(v1=video())
    assert [i.uri for i in document.images] == [
        f"{tmp_path}/./videos/v1.mp4#t=17.000",
        f"{tmp_path}/./videos/v1.mp4#t=42.500",
    ]
    import io

    import PIL.Image

    shades = [np.asarray(PIL.Image.open(io.BytesIO(read_bytes(i.uri)))).mean() for i in document.images]
    assert shades == pytest.approx([17 * 4, 42 * 4], abs=3)


def test_only_training_videos_are_read_and_missing_frames_keep_their_place(read, tmp_path):
    [document] = read(v1=video(), v2=video(subset="validation"))
    assert [i.uri for i in document.images] == [f"{tmp_path}/./frames/v1/{i}.jpg" for i in (0, 1)]


@pytest.mark.parametrize(
    "step",
    [
        {"segment": [5, 2], "sentence": "x"},
        {"segment": [1], "sentence": "x"},
        {"segment": ["1", "2"], "sentence": "x"},
        {"segment": [1, 2]},
        {"sentence": "x"},
        {"segment": [True, None], "sentence": "x"},
        {"segment": [0, 10**400], "sentence": "x"},  # no float
        {"segment": [0, float("inf")], "sentence": "x"},
    ],
)
def test_malformed_steps_fail_their_video_alone(read, step):
    fault, document = read(bad=video(annotations=[step]), v1=video())
    assert (fault.error, document.id) == ("bad_record", "v1")


def test_a_video_that_is_no_object_is_a_fault(read):
    [fault] = read(v1=[])
    assert fault.error == "not_an_object"


def test_a_table_of_titles_that_is_a_link_out_of_the_corpus_is_not_read(read, tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "secret.csv").write_text("113,a secret\n")
    (tmp_path / "corpus" / "label_foodtype.csv").symlink_to("../secret.csv")
    (tmp_path / "corpus" / "a.json").write_text(json.dumps({"database": {"v1": video()}}))
    [document] = [d for part in corpora.parts("youcook2", f"{tmp_path}/corpus") for d in corpora.read(part)]
    assert document.title == ""
    (tmp_path / "corpus" / "label_foodtype.csv").unlink()
    (tmp_path / "corpus" / "titles.csv").write_text("113,onion soup\n")
    (tmp_path / "corpus" / "label_foodtype.csv").symlink_to("titles.csv")
    (tmp_path / "corpus" / "a.json").touch()
    [document] = [d for part in corpora.parts("youcook2", f"{tmp_path}/corpus") for d in corpora.read(part)]
    assert document.title == "onion soup"


def test_a_damaged_table_of_titles_is_a_fault(read):
    [fault] = read({"label_foodtype.csv": "113," + "x" * 140_000}, v1=video())
    assert fault.error == "unreadable" and "label_foodtype.csv" in fault.detail
