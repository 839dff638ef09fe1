"""CLIP's figures of an answer against the same cosines worked out apart."""

import dataclasses

import numpy as np
import pytest

from moss.judging import figures
from moss.judging.clip import Clip, neighbours
from schemas.errors import UserError
from schemas.records import Text
from tests.moss.servers import fake
from tests.tiny_clip import clip_folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return Clip(clip_folder(tmp_path_factory.mktemp("clip") / "model"))


PICTURES = [fake.picture_of(colour, n) for n, colour in enumerate(fake.COLOURS)]
ANSWER = dataclasses.replace(
    fake.answer(0),
    context=[PICTURES[3]],
    output=[Text("A red cup. It is full."), PICTURES[0], Text("Green now."), PICTURES[1], PICTURES[2]],
)


def test_scores_are_the_best_cosine_beside_less_those_beside_others(clip):
    found = clip.coherence(ANSWER)
    pictures = clip.pictures(PICTURES[:3])
    texts = clip.texts(["A red cup.", "It is full.", "Green now."])
    cosines = pictures @ texts.T
    expected = [cosines[0].max(), cosines[1, 2]]
    np.testing.assert_allclose(found.matched[:2], expected, atol=1e-6)
    assert np.isnan(found.matched[2])  # between two pictures: no text beside it
    margin = (expected[0] - cosines[0, 2] + expected[1] - cosines[1].max()) / 2
    assert found.margin == pytest.approx(margin, abs=1e-6)
    between = pictures @ pictures.T
    assert found.between == pytest.approx((between[0, 1] + between[0, 2] + between[1, 2]) / 3, abs=1e-6)


def test_copies_and_repetitions_are_counted(clip):
    found = clip.coherence(dataclasses.replace(ANSWER, output=[PICTURES[3], Text("x"), PICTURES[3]]))
    assert found.copies == 2 and found.repeated == 1 and found.between == pytest.approx(1)
    assert clip.coherence(dataclasses.replace(ANSWER, output=[Text("x")])).between is None


def test_neighbours_are_the_texts_at_a_picture():
    assert neighbours([Text("a. b\nc"), PICTURES[0], PICTURES[1], Text("d")]) == [["a.", "b", "c"], ["d"]]


def test_columns_count_form_and_place(clip):
    empty = dataclasses.replace(ANSWER, output=[], missing=1)
    answers = [ANSWER, empty]
    found = {c.title: c for c in figures.columns(answers, [clip.coherence(a) for a in answers])}
    assert found["images"].total.tolist() == [3, 0] and found["empty answers"].total.tolist() == [0, 1]
    assert found["images delivered / begun"].count.tolist() == [3, 1] and found["words"].total.tolist() == [8, 0]
    assert found["CLIP text-image, image 3"].count.tolist() == [0, 0]
    assert found["CLIP text-image, image 2"].count.tolist() == [1, 0]
    assert "CLIP margin" not in {c.title for c in figures.columns(answers, None)}


def test_a_model_that_is_not_there_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="--clip"):
        Clip(f"local-dir:{tmp_path}/nowhere")
