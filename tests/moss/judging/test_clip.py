"""CLIP's figures of an answer against the same cosines worked out apart."""

import dataclasses

import numpy as np
import pytest

from moss.judging import figures
from moss.judging.clip import NEXT, Clip, neighbours
from pipeline.coherence.scorer import Scorer
from schemas.errors import UserError
from schemas.records import Text
from tests.moss.servers import fake
from tests.tiny_clip import clip_folder, document, picture


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return Clip(clip_folder(tmp_path_factory.mktemp("clip") / "model"))


PICTURES = [fake.picture_of(colour, n) for n, colour in enumerate(fake.COLOURS)]
ANSWER = dataclasses.replace(
    fake.answer(0),
    context=[PICTURES[3]],
    output=[Text("A red cup. It is full."), PICTURES[0], Text("Green now."), PICTURES[1], PICTURES[2]],
)


def test_scores_are_means_of_the_cosines_beside_less_those_beside_others(clip):
    found = clip.coherence(ANSWER)
    pictures = clip.pictures(PICTURES[:3])
    near = clip.texts(["It is full.", "Green now.", "A red cup."])  # by weight: 1, 1 and 2/3
    cosines = pictures @ near.T
    first = []  # beside the first picture: all three
    for row in cosines:
        ranked = sorted(zip(-row, [1, 1, 2 / 3], strict=True), key=lambda one: one[0])
        counts = [weight * NEXT**k for k, (_, weight) in enumerate(ranked)]
        first.append(sum(-c * count for (c, _), count in zip(ranked, counts, strict=True)) / sum(counts))
    last = cosines[:, 1]  # the two others share one sentence, and are not each other's baseline
    np.testing.assert_allclose(found.matched, [first[0], last[1], last[2]], atol=1e-6)
    margin = ((first[0] - last[0]) + (last[1] - first[1]) + (last[2] - first[2])) / 3
    assert found.margin == pytest.approx(margin, abs=1e-6)
    between = pictures @ pictures.T
    assert found.between == pytest.approx((between[0, 1] + between[0, 2] + between[1, 2]) / 3, abs=1e-6)


def test_copies_and_repetitions_are_counted(clip):
    found = clip.coherence(dataclasses.replace(ANSWER, output=[PICTURES[3], Text("x"), PICTURES[3]]))
    assert found.copies == 2 and found.repeated == 1 and found.between == pytest.approx(1)
    assert clip.coherence(dataclasses.replace(ANSWER, output=[Text("x")])).between is None


def test_a_picture_without_any_text_beside_it_has_no_score(clip):
    found = clip.coherence(dataclasses.replace(ANSWER, output=[PICTURES[0], Text("..."), PICTURES[1]]))
    assert np.isnan(found.matched).all() and found.margin is None


def test_neighbours_are_the_nearest_sentences_and_pictures_in_a_row_share_them():
    beside = [("c", 1), ("b", 2 / 3), ("a.", 1 / 2), ("d", 1)]
    assert neighbours([Text("a. b\nc"), PICTURES[0], PICTURES[1], Text("d")]) == [beside] * 2
    many = [f"Sentence {n}." for n in range(9)]
    page = [Text(" ".join(many[:4])), Text(" ".join(many[4:])), PICTURES[0], *map(Text, many), PICTURES[1]]
    assert [[sentence for sentence, _ in some] for some in neighbours(page)] == [
        [*many[:2:-1], *many[:6]],
        many[:2:-1],
    ]


PAGES = [
    ["Cut the board. Sand the wood.", 0, "Paint it red.", 1, "The brush is red! And the cat?"],
    ["One two three. Four five six.", 0, 1, "The paint is red.", "A cat of the house.", 2],
    [" ".join(f"This is sentence number {n}." for n in range(9)), 3, "A last word."],
]


def test_scores_are_the_pipelines_of_the_same_texts_and_pictures(tmp_path):
    """Two implementations of one definition: pictures in a row, many sentences, several texts on a side."""
    name = clip_folder(tmp_path / "model")
    theirs, ours = Scorer(name, dtype="float32"), Clip(name)
    shown = {str(n): picture(str(n)) for n in range(4)}
    expected = theirs.score([document(*page) for page in PAGES], shown.__getitem__)
    for page, known in zip(PAGES, expected, strict=True):
        output = [shown[str(part)] if isinstance(part, int) else Text(part) for part in page]
        found = ours.coherence(dataclasses.replace(ANSWER, context=[], output=output))
        np.testing.assert_allclose(found.matched, known.matched, atol=1e-4)
        assert found.margin == (None if known.margin is None else pytest.approx(known.margin, abs=2e-4))
    assert len({score for known in expected for score in known.matched}) == 6


def test_columns_count_form_and_place(clip):
    empty = dataclasses.replace(ANSWER, output=[], missing=1)
    answers = [ANSWER, empty]
    found = {c.title: c for c in figures.columns(answers, [clip.coherence(a) for a in answers])}
    assert found["images"].total.tolist() == [3, 0] and found["empty answers"].total.tolist() == [0, 1]
    assert found["images delivered / begun"].count.tolist() == [3, 1] and found["words"].total.tolist() == [8, 0]
    assert found["CLIP text-image, image 3"].count.tolist() == [1, 0]
    assert found["CLIP text-image, image 2"].count.tolist() == [1, 0]
    assert "CLIP margin" not in {c.title for c in figures.columns(answers, None)}


def test_a_model_without_its_weights_is_refused():
    """open_clip would make random ones, and every figure would be noise."""
    with pytest.raises(UserError, match="open_clip cannot load ViT-B-32 with --clip-weights None"):
        Clip("ViT-B-32")


def test_a_model_that_is_not_there_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="--clip"):
        Clip(f"local-dir:{tmp_path}/nowhere")
