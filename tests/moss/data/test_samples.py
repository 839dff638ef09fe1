from __future__ import annotations

import dataclasses

import numpy as np
import PIL.Image
import pytest

from moss.data import prompt_sample, samples
from schemas.records import Image, Text
from tests.moss.data import stub
from tests.schemas import example

LAYOUT, TEXT = stub.DISCRETE, stub.Bytes()
PICTURE = Image("00.jpg", "never in the text", "nor this")
BASE, _ = example.instance(0)
INSTANCE = dataclasses.replace(
    BASE,
    instruction="Do",
    context=(Text("a"), PICTURE, Text("b"), Text("c")),
    output=(Text("x"), PICTURE, PICTURE, Text("y"), Text("z")),
)
CODES = np.arange(18).reshape(3, 2, 3) % 16
TEXT_ONLY = ["Do\n\na", "b\n\nc\n\n### Answer\n\n", "x", "y\n\nz"]


def block(codes):
    a, b, c, d, e, f = (300 + code for code in codes)
    return [260, 263, a, b, c, 262, d, e, f, 262, 264, 261]


def test_the_template_is_exactly_this():
    made = samples.sample(INSTANCE, CODES, LAYOUT, TEXT)
    before, question, x, yz = map(TEXT.encode, TEXT_ONLY)
    first, second, third = block(range(6)), block(range(6, 12)), block([12, 13, 14, 15, 0, 1])
    assert made.ids.tolist() == [1, *before, *first, *question, *x, *second, *third, *yz, 2]
    given = 1 + len(before) + 12 + len(question)
    assert made.trained.tolist() == [False] * given + [True] * (len(made.ids) - given)
    image = [0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0]
    assert made.image_number.tolist() == [0] * given + [0] + image + [2 * n for n in image] + [0] * (len(yz) + 1)
    assert (made.key, made.vectors, made.ids.dtype) == (INSTANCE.key, None, np.int64)
    assert samples.sample_length(INSTANCE, LAYOUT, TEXT) == len(made.ids)


def test_boundaries_need_not_be_trained():
    made = samples.sample(INSTANCE, CODES, LAYOUT, TEXT, train_boundaries=False)
    every = samples.sample(INSTANCE, CODES, LAYOUT, TEXT)
    untrained = made.ids[every.trained & ~made.trained]
    assert untrained.tolist() == 2 * [260, 263, 262, 262, 264, 261]
    assert not (made.trained & ~every.trained).any() and made.trained[-1]


def test_a_header_that_is_spelt_like_text_is_a_boundary_too():
    layout = dataclasses.replace(LAYOUT, header=tuple(TEXT.encode("x2")))
    made = samples.sample(INSTANCE, CODES, layout, TEXT, train_boundaries=False)
    x = made.ids == TEXT.encode("x")[0]
    assert made.trained[x].tolist() == [False, True, False, False]  # context's header, the text "x", two headers


def test_vectors_take_slots_and_come_in_reading_order():
    vectors = np.arange(3 * 2 * 2 * 5, dtype=np.float16).reshape(3, 2, 2, 5)
    made = samples.sample(INSTANCE, vectors, stub.CONTINUOUS, TEXT)
    assert (made.ids == 300).sum() == 12 and made.vectors.dtype == np.float32
    assert np.array_equal(made.vectors, np.arange(60).reshape(12, 5))
    assert np.bincount(made.image_number).tolist() == [len(made.ids) - 8, 4, 4]
    assert samples.sample_length(INSTANCE, stub.CONTINUOUS, TEXT) == len(made.ids)


def test_images_must_be_as_many_as_the_codes():
    with pytest.raises(ValueError, match="has 3 images, but there are codes of 2"):
        samples.sample(INSTANCE, CODES[:2], LAYOUT, TEXT)


@pytest.mark.parametrize("continuous", [False, True])
def test_a_prompt_is_how_the_training_sample_begins(continuous):
    model = stub.generalist(continuous)
    grey = PIL.Image.new("L", (9, 7), 100)
    prompt = prompt_sample(model, "Do", [Text("a"), grey, Text("b"), Text("c")])
    codes = model.pixels.encode([grey.convert("RGB")] * 3)
    trained = samples.sample(INSTANCE, codes, model.layout, TEXT)
    given = int(np.argmax(trained.trained))
    assert np.array_equal(prompt.ids, trained.ids[:given]) and not prompt.trained.any()
    assert prompt.vectors is None or np.array_equal(prompt.vectors, trained.vectors[:4])
    assert continuous == (prompt.vectors is not None)


def test_a_prompt_of_words_alone():
    assert prompt_sample(stub.generalist(), "Do").ids.tolist() == [1, *TEXT.encode("Do\n\n### Answer\n\n")]
