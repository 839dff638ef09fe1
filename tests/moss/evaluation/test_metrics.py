"""InstanceSums by instance against values worked out by hand."""

import dataclasses
import math

import numpy as np
import PIL.Image
import pytest
import torch

from moss.backbones.generalist import TokenScores
from moss.batch import Batch
from moss.evaluation.metrics import COUNT, HIT, LOSS, blocks, images_in, instance_sums, joined, repetition
from moss.layout import ImageLayout
from schemas.records import Text

LAYOUT = ImageLayout(rows=1, columns=2, low=20, high=30, begin=10, end=11, row_end=12)
PICTURE = PIL.Image.new("RGB", (4, 4))


def scores(text_loss, text_hit, image_loss, image_hit) -> TokenScores:
    tensors = [torch.tensor(values, dtype=torch.float32) for values in (text_loss, text_hit, image_loss, image_hit)]
    zeros = [torch.zeros(len(values)) for values in (text_loss, image_loss)]
    return TokenScores(tensors[0], tensors[1], zeros[0], tensors[2], tensors[3], zeros[1])


def batch() -> Batch:
    """a: bos | word, an image, eos.  b: bos, an image | word, two images, eos.  One row each."""
    a = [0, 5, 10, 20, 21, 12, 11, 1] + [2] * 12
    b = [0, 10, 25, 25, 12, 11, 6, 10, 22, 23, 12, 11, 10, 24, 25, 12, 11, 1, 2, 2]
    ids = torch.tensor([a, b])
    text = [
        (0, 5, 0),
        (1, 10, 0),
        (4, 12, 0),
        (5, 11, 0),
        (6, 1, 0),
        (25, 6, 1),
        (26, 10, 1),
        (29, 12, 1),
        (30, 11, 1),
        (31, 10, 1),
        (34, 12, 1),
        (35, 11, 1),
        (36, 1, 1),
        (0, 0, -1),
    ]
    image = [(2, 0, 0, 1), (3, 1, 0, 1), (27, 2, 1, 1), (28, 3, 1, 1), (32, 4, 1, 2), (33, 5, 1, 2), (0, 0, -1, 0)]
    flat = ids.flatten()
    assert all(flat[at + 1] == target for at, target, of in text if of >= 0)
    assert all(flat[at + 1] == target + 20 for at, target, of, _ in image if of >= 0)
    return Batch(ids, torch.zeros_like(ids), *torch.tensor(text).T, *torch.tensor(image).T, None, ("b key", "a key"))


def test_sums_keep_words_boundaries_and_images_apart_and_leave_surplus_out():
    measured = instance_sums(
        scores(
            [1.0, 0.1, 0.2, 0.3, 2.0, 4.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 8.0, 1000.0],
            [1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1],
            [1.5, 2.5, 3.0, 3.5, 5.0, 6.0, 1000.0],
            [1, 0, 0, 0, 1, 1, 1],
        ),
        batch(),
        LAYOUT,
    )
    assert measured.keys == ("b key", "a key")
    np.testing.assert_allclose(measured.text, [[3.0, 1, 2], [12.0, 2, 2]], rtol=1e-6)
    np.testing.assert_allclose(measured.boundary, [[0.6, 2, 3], [0.6, 5, 6]], rtol=1e-6)
    np.testing.assert_allclose(measured.image, [[[4.0, 1, 2], [0, 0, 0]], [[6.5, 0, 2], [11.0, 2, 2]]], rtol=1e-6)


def test_joined_batches_are_in_the_order_of_keys_and_padded_to_the_most_images():
    part = instance_sums(scores([0.0] * 14, [0] * 14, [1.0] * 7, [0] * 7), batch(), LAYOUT)
    more = dataclasses.replace(part, keys=("c", "a"), image=part.image[:, :1])
    whole = joined([part, more])
    assert whole.keys == ("a", "a key", "b key", "c") and whole.image.shape == (4, 2, 3)
    assert whole.image[:, 1, COUNT].tolist() == [0, 2, 0, 0] and whole.image[:, 0, LOSS].tolist() == [2, 2, 2, 2]
    with pytest.raises(ValueError, match="2 instances were measured twice"):
        joined([part, part])


def test_scores_of_a_uniform_guess_are_the_logarithm_of_the_codebook():
    """Bits a token of a model that knows nothing: log2 of 64 codes is 6."""
    part = instance_sums(scores([0.0] * 14, [0] * 14, [math.log(64)] * 7, [0] * 7), batch(), LAYOUT)
    total = part.image.sum((0, 1))
    assert total[LOSS] / total[COUNT] / math.log(2) == pytest.approx(6) and total[HIT] == 0


@pytest.mark.parametrize(
    "ids,expected",
    [
        ([3, 10, 20, 29, 12, 11, 3], (1, 1)),
        ([10, 20, 29, 12, 11, 10, 20, 20, 12, 11], (2, 2)),
        ([10, 20, 12, 11, 3, 3], (1, 0)),  # a column short
        ([10, 20, 20, 20, 12, 11], (1, 0)),  # one too many
        ([10, 3, 10, 20, 20, 12, 11], (2, 1)),  # text inside, then a right one
        ([3, 10, 20, 20], (0, 0)),  # cut by the budget while still right
        ([3, 10, 20, 3], (1, 0)),  # cut, but wrong already
        ([3, 20, 20, 4], (0, 0)),
    ],
)
def test_blocks_counts_begun_and_whole_images(ids, expected):
    assert blocks(ids, LAYOUT) == expected


def test_repetition_counts_word_4_grams_that_occurred_before():
    assert repetition([Text("Cut the paper in half.")]) == (0, 2)
    assert repetition([Text("fold it and fold it"), PICTURE, Text("AND fold it")]) == (2, 5)
    assert repetition([Text("a a a a a a")]) == (2, 3)
    assert repetition([PICTURE, Text("too short here")]) == (0, 0)
    assert images_in([PICTURE, Text("x"), PICTURE]) == 2
