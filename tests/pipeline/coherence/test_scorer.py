from __future__ import annotations

import concurrent.futures
import dataclasses
import re
import time

import numpy as np
import pytest
import torch

from pipeline.coherence import model as clip_model
from pipeline.coherence import scorer as clip
from pipeline.coherence.places import NEXT, Place, match, places
from pipeline.coherence.scorer import Scorer, coherence
from pipeline.coherence.version import clip_version
from pipeline.config import Ocr
from schemas.errors import UserError
from tests.tiny_clip import PREPROCESS, clip_folder, document, dual_encoder_folder, picture

STEPS = [
    "Cut the board.",
    "Sand the wood of the board in the sun until it is smooth.",
    "Paint it red.",
    "A cat!",
    "The brush is red, the paint is red, and the cat of the house is red as well, which is a lot of red.",
]


@pytest.fixture(scope="module")
def clip_model_name(tmp_path_factory):
    return clip_folder(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(scope="module")
def dual_encoder_name(tmp_path_factory):
    return dual_encoder_folder(tmp_path_factory.mktemp("models") / "dual")


def documents(count=7):
    return [
        document(STEPS[k % 5], k, STEPS[(k + 1) % 5] + " " + STEPS[(k + 2) % 5], k + 100, f"Number {k}.", id=str(k))
        for k in range(count)
    ]


def test_text_beside_a_picture_is_near_first_and_ends_at_the_next_picture():
    page = document("# Head\n\nOne. Two.", 1, "Three.", 2, 3, "- Four **five**", "| --- |", "Six.")
    first, *others = places(page)
    assert first.sentences == ("Two.", "One.", "Head", "Three.") and first.weights == (1, 2 / 3, 1 / 2, 1)
    # pictures in a row share one place
    assert others == [Place(("Three.", "Four five", "Six."), (1, 1, 2 / 3))] * 2


def test_at_most_six_sentences_on_each_side():
    sentence = [f"Sentence number {c}." for c in range(8)]
    page = document(" ".join(sentence[:4]), " ".join(sentence[4:]), 1, *sentence)
    assert [place.sentences for place in places(page)] == [(*sentence[:1:-1], *sentence[:6])]


def test_captions_are_no_neighbours():
    page = document("Text.", 1)
    page = dataclasses.replace(
        page, segments=(page.segments[0], dataclasses.replace(page.segments[1], alt="A saw.", caption="Figure 1."))
    )
    assert places(page) == [Place(("Text.",), (1.0,))]


def test_the_best_and_the_nearest_sentences_count_most():
    def one(cosines, weights):
        return match(np.array([cosines]), weights)[0]

    even = (1.0,) * 4
    assert one([0.1, 0.5, 0.1, 0.1], even) == pytest.approx(
        (0.5 + 0.1 * (NEXT + NEXT**2 + NEXT**3)) / (1 + NEXT + NEXT**2 + NEXT**3)
    )
    assert 0.2 < one([0.1, 0.5, 0.1, 0.1], even) < 0.5  # between the mean and the best
    assert one([0.5, 0.1, 0.1], (1.0, 2 / 3, 0.5)) > one([0.1, 0.1, 0.5], (1.0, 2 / 3, 0.5))
    assert one([0.3] * 9, (1.0,) * 9) == pytest.approx(one([0.3], (1.0,))) == pytest.approx(0.3)  # not the length
    some = [0.1, 0.7, -0.2]
    assert one([x / 4 for x in some], (1, 0.5, 1)) == pytest.approx(one(some, (1, 0.5, 1)) / 4)  # nor the scale


def test_scores_of_one_document():
    scores = np.array([[0.9, 0.1, 0.2], [0.3, 0.2, 0.6], [0.0, 0.5, 0.5]])
    alike = np.array([[1, 0.4, 0.99], [0.4, 1, 0.3], [0.99, 0.3, 1]])
    found = coherence(scores, alike, ~np.eye(3, dtype=bool), "m")
    assert found.matched == (0.9, 0.2, 0.5)
    assert found.mismatched == (0.15, 0.45, 0.25)
    assert found.max_previous_similarity == (-1.0, 0.4, 0.99)
    assert found.margin == pytest.approx(1.6 / 3 - 0.85 / 3, abs=1e-4)
    assert found.recall_at_1 == 0.6667  # the last one shares its best score with another, and counts
    off_diagonal = scores[~np.eye(3, dtype=bool)].mean()
    assert found.margin == pytest.approx(np.trace(scores) / 3 - off_diagonal, abs=1e-4)


def test_pictures_that_share_a_place_are_not_each_others_baseline():
    """Text, two pictures, text, a picture: before and after side by side are no mistake."""
    scores = np.array([[0.9, 0.9, 0.1], [0.7, 0.7, 0.3], [0.2, 0.2, 0.8]])
    apart = np.array([[0, 0, 1], [0, 0, 1], [1, 1, 0]], dtype=bool)
    found = coherence(scores, np.eye(3), apart, "m")
    assert found.mismatched == (0.1, 0.3, 0.2) and found.margin == pytest.approx(0.6, abs=1e-4)
    assert found.recall_at_1 == 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_pictures_at_one_place_have_no_baseline(count, clip_model_name):
    page = document("Cut the board.", *range(count), "Sand it.")
    [found] = Scorer(clip_model_name).score([page], picture)
    assert found.mismatched == found.matched and len(found.matched) == count
    assert (found.margin, found.recall_at_1) == (None, None)


def test_one_picture_has_no_baseline():
    found = coherence(np.array([[0.25]]), np.array([[1.0]]), np.array([[False]]), "m")
    assert (found.matched, found.mismatched, found.max_previous_similarity, found.margin, found.recall_at_1) == (
        (0.25,),
        (0.25,),
        (-1.0,),
        None,
        None,
    )


@pytest.mark.parametrize("name", ["clip_model_name", "dual_encoder_name"])
def test_a_score_does_not_depend_on_its_batch(name, request):
    model = request.getfixturevalue(name)
    together = Scorer(model).score(documents(), picture)
    alone = Scorer(model)
    assert [alone.score([d], picture)[0] for d in reversed(documents())] == together[::-1]
    assert len({score.matched for score in together}) == 7


@pytest.mark.parametrize("name", ["clip_model_name", "dual_encoder_name"])
def test_any_number_of_lanes_gives_the_same_scores(name, request, monkeypatch):
    found = []
    for lanes in (1, 5):
        monkeypatch.setattr(clip, "THREADS", lanes)
        found.append(Scorer(request.getfixturevalue(name)).score(documents(24), picture))
    assert found[0] == found[1]


def test_a_picture_that_cannot_be_opened_is_an_error_of_the_call_and_of_no_other(clip_model_name):
    scorer = Scorer(clip_model_name)
    expected = scorer.score(documents(), picture)
    scorer.forget()

    def missing(sha256):
        raise FileNotFoundError(sha256)

    with pytest.raises(FileNotFoundError):
        scorer.score(documents(), missing)
    assert scorer.score(documents(), picture) == expected


def with_texts(page, *texts):
    """The document with these texts in its images."""
    left = iter(texts)
    segments = (dataclasses.replace(s, ocr=next(left)) if hasattr(s, "sha256") else s for s in page.segments)
    return dataclasses.replace(page, segments=tuple(segments))


def test_text_in_images_counts_only_with_weights_and_only_where_it_is(dual_encoder_name):
    page = document(STEPS[1], 1, STEPS[3], 2, STEPS[0], 3)
    read = with_texts(page, "sand the\nwood", "", None)
    (plain,) = Scorer(dual_encoder_name).score([page], picture)
    assert Scorer(dual_encoder_name).score([read], picture) == [plain]
    weighed = Scorer(dual_encoder_name, ocr=Ocr(similarity=0.2, words=0.1, neutral=0.1))
    assert weighed.score([page], picture) == [plain]
    (found,) = weighed.score([read], picture)
    assert found.matched[0] != plain.matched[0] and found.matched[1:] == plain.matched[1:]


def test_an_image_whose_words_stand_elsewhere_scores_lower_in_its_place(clip_model_name):
    scorer = Scorer(clip_model_name, ocr=Ocr(similarity=0.0, words=0.2, neutral=0.1))
    page = document(STEPS[1], 1, STEPS[3], 2)
    (right,), (wrong,) = (
        scorer.score([with_texts(page, *texts)], picture) for texts in (("sand smooth", ""), ("", "sand smooth"))
    )
    (bare,) = scorer.score([page], picture)
    assert right.matched[0] > bare.matched[0] and wrong.matched[1] < bare.matched[1]
    assert right.margin > bare.margin > wrong.margin


def test_the_text_of_an_image_is_compared_as_one_sentence(clip_model_name):
    scorer = Scorer(clip_model_name)
    (found,) = scorer.measure([with_texts(document(STEPS[0], 1, STEPS[1], 2), "Cut the\nboard.", "")], picture)
    vectors = scorer.text_vectors(["Cut the board.", *STEPS[:2]])
    cosines = np.array([[float(vectors["Cut the board."] @ vectors[step]) for step in STEPS[:2]]])
    assert found.similarity[0, 0] == pytest.approx(match(cosines, (1, 1))[0], abs=1e-6)
    assert (found.similarity[1] == 0).all() and found.has_text.tolist() == [True, False]


def test_scores_are_cosines_of_the_plain_model(clip_model_name):
    scorer = Scorer(clip_model_name)
    page = document(STEPS[0], 1, STEPS[1], 2)
    model, preprocess, tokenizer = clip_model.load(clip_model_name, None)
    with torch.no_grad():
        images = model.encode_image(torch.stack([preprocess(picture("1")), preprocess(picture("2"))]), normalize=True)
        texts = model.encode_text(tokenizer(STEPS[:2]), normalize=True)
    cosines = images @ texts.T
    (found,) = scorer.score([page], picture)  # bfloat16 where it is fast
    beside_both = match(cosines[:1].numpy(), (1, 1))[0]
    assert found.matched == pytest.approx([beside_both, cosines[1, 1].item()], abs=0.02)
    assert found.max_previous_similarity[1] == pytest.approx((images[0] @ images[1]).item(), abs=0.02)


def test_everything_distinct_is_encoded_once(clip_model_name):
    scorer, opened = Scorer(clip_model_name), []

    def open_image(sha256):
        opened.append(sha256)
        return picture(sha256)

    page = document("One.", 1, "Two.", 2, "One.", 1)
    first = scorer.score([page, page], open_image)
    assert sorted(opened) == ["1", "2"]
    assert scorer.score([page], open_image) == first[:1]
    assert len(opened) == 2
    scorer.forget()
    assert scorer.score([page], open_image) == first[:1]
    assert len(opened) == 4


def test_memory_of_vectors_is_bounded(clip_model_name, monkeypatch):
    monkeypatch.setattr(clip, "REMEMBERED", 3)
    scorer = Scorer(clip_model_name)
    assert len(scorer.image_vectors(map(str, range(40)), picture)) == 40
    assert [name for _, name in scorer._vectors] == ["37", "38", "39"]


def test_pictures_without_text_and_documents_without_pictures(clip_model_name):
    bare, empty = Scorer(clip_model_name).score([document(1, 2), document("Text.")], picture)
    assert bare.matched == (0.0, 0.0) and bare.margin is None
    assert empty.matched == () and empty.margin is None


def test_out_of_memory_halves_the_batch(clip_model_name, monkeypatch):
    scorer = Scorer(clip_model_name, batch_size=4)
    expected = scorer.score(documents(), picture)
    small, sizes = Scorer(clip_model_name, batch_size=8), []
    encode = small.model.encode_image

    def encode_image(pixels):
        sizes.append(len(pixels))
        if len(pixels) > 4:
            raise torch.OutOfMemoryError("full")
        return encode(pixels)

    monkeypatch.setattr(small.model, "encode_image", encode_image)
    assert small.score(documents(), picture) == expected
    assert sizes[0] == 8 and set(sizes) == {8, 4} and small.batch_size == 4


@pytest.mark.parametrize("name", ["clip_model_name", "dual_encoder_name"])
def test_cutting_the_padding_changes_nothing(name, request):
    model, _, tokenizer = clip_model.load(request.getfixturevalue(name), None)
    tower = clip_model.TextTower(model, tokenizer)
    groups = tower.tokens(STEPS)
    assert set(groups) <= {16, 32, 48}
    with torch.no_grad():
        whole = dict(zip(STEPS, model.encode_text(tokenizer(STEPS)), strict=True))
        for length, group in groups.items():
            for text, row in group.items():
                assert len(row) == length
                cut, full = tower.encode(row[None])[0], whole[text]
                assert torch.cosine_similarity(cut, full, dim=0) > 0.99999


def test_threads_that_share_a_tower_do_not_cut_each_others_texts(dual_encoder_name):
    """The tokenizer keeps the length at which it truncates, which a thread sets and reads in two steps."""
    model, _, tokenizer = clip_model.load(dual_encoder_name, None)
    inside, most = [], []

    def slowly(texts, context_length):
        inside.append(texts)
        time.sleep(0.005)
        most.append(len(inside))
        inside.pop()
        return tokenizer(texts, context_length=context_length)

    slowly.context_length = tokenizer.context_length
    tower = clip_model.TextTower(model, slowly)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(tower.tokens, [STEPS] * 4))
    assert set(most) == {1}


def test_a_tower_that_reads_its_padding_gets_it(tmp_path):
    name = clip_folder(tmp_path / "last", pool_type="last", no_causal_mask=True)
    model, _, tokenizer = clip_model.load(name, None)
    assert list(clip_model.TextTower(model, tokenizer).tokens(STEPS)) == [77]


@pytest.mark.parametrize("words", [74, 75, 76, 300])
def test_long_sentences_keep_the_end_token_of_clip(clip_model_name, words):
    model, _, tokenizer = clip_model.load(clip_model_name, None)
    ((length, group),) = clip_model.TextTower(model, tokenizer).tokens(["cat " * words]).items()
    (row,) = group.values()
    assert length == 77
    assert row[min(words, 75) + 1] == tokenizer.eot_token_id == row.max()


@pytest.mark.parametrize("words", [125, 126, 127, 300])
def test_long_sentences_keep_the_end_token_of_the_dual_encoder(dual_encoder_name, words):
    model, _, tokenizer = clip_model.load(dual_encoder_name, None)
    ((length, group),) = clip_model.TextTower(model, tokenizer).tokens(["cat " * words]).items()
    (row,) = group.values()
    assert length == 128
    assert row[min(words, 126) + 1] == tokenizer.tokenizer.sep_token_id


def test_version_names_weights_and_preprocessing_but_no_place(tmp_path):
    first = clip_version(clip_folder(tmp_path / "a" / "model"), None)
    assert first == clip_version(clip_folder(tmp_path / "b" / "model"), None)
    assert re.fullmatch(r"model@[0-9a-f]{12}/(float32|bfloat16)", first)
    others = [
        clip_version(clip_folder(tmp_path / "c" / "model", seed=1), None),
        clip_version(clip_folder(tmp_path / "d" / "model", preprocess=PREPROCESS | {"std": [0.4] * 3}), None),
    ]
    assert len({first, *others}) == 3


def test_version_of_the_dual_encoder_names_no_place(tmp_path):
    assert len({clip_version(dual_encoder_folder(tmp_path / place / "coherence"), None) for place in "ab"}) == 1


@pytest.mark.parametrize(
    "model, pretrained, mend",
    [
        ("local-dir:nowhere", None, "make models"),
        ("ViT-L-14", None, "name them under `pretrained`"),
        ("ViT-L-14", "nowhere.pt", "check clip.model and clip.pretrained"),
        ("no-such-model", "openai", "no model of that name"),
    ],
)
def test_a_model_that_is_not_there_is_the_users_to_mend(model, pretrained, mend):
    with pytest.raises(UserError, match=mend):
        Scorer(model, pretrained)


def test_weights_from_a_file(tmp_path):
    clip_folder(tmp_path / "model")
    with pytest.raises(UserError, match="ViT-S-32-alt"):  # the weights are of another architecture
        Scorer("ViT-S-32-alt", str(tmp_path / "model" / "open_clip_model.safetensors"))


def test_float32_where_bfloat16_is_slow(clip_model_name, monkeypatch):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")  # as on a processor without the instructions for it
    scorer = Scorer(clip_model_name)
    assert next(scorer.model.parameters()).dtype == torch.float32
    half = Scorer(clip_model_name, dtype="bfloat16")
    assert next(half.model.parameters()).dtype == torch.bfloat16
    assert scorer.version.endswith("/float32") and half.version.endswith("/bfloat16")
    for a, b in zip(scorer.score(documents(), picture), half.score(documents(), picture), strict=True):
        assert a.matched == pytest.approx(b.matched, abs=0.02)
