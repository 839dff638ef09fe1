from __future__ import annotations

import numpy as np
import pytest
import torch

from moss.batch import Sample
from moss.data import collate
from moss.layout import ImageLayout

LAYOUT = ImageLayout(rows=1, columns=2, low=50, high=60, begin=40, end=41)


def made(key, ids, first, vectors=None):
    ids = np.array(ids)
    image = (ids >= 50) & (np.arange(len(ids)) >= first)
    return Sample(key, ids, np.arange(len(ids)) >= first, image.astype(np.int64), vectors)


A = made("a", [1, 7, 40, 53, 54, 41, 2], 2)
B = made("b", [1, 8, 9, 2], 2)
C = made("c", [1, 40, 50, 51, 41, 5, 40, 59, 58, 41, 2], 5)


def test_two_rows_by_hand():
    batch = collate([[A, B], [C]], 12, LAYOUT, pad_id=0)
    assert batch.ids.tolist() == [
        [1, 7, 40, 53, 54, 41, 2, 1, 8, 9, 2, 0],
        [1, 40, 50, 51, 41, 5, 40, 59, 58, 41, 2, 0],
    ]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 0], [*range(11), 0]]
    assert batch.keys == ("a", "b", "c") and batch.vectors is None
    text = [(1, 40, 0), (4, 41, 0), (5, 2, 0), (8, 9, 1), (9, 2, 1), (16, 5, 2), (17, 40, 2), (20, 41, 2), (21, 2, 2)]
    assert (
        list(zip(batch.text_at.tolist(), batch.text_target.tolist(), batch.text_of.tolist(), strict=False))[:9] == text
    )
    image = [(2, 3, 0, 1), (3, 4, 0, 1), (18, 9, 2, 1), (19, 8, 2, 1)]
    assert (
        list(
            zip(
                batch.image_at.tolist(),
                batch.image_target.tolist(),
                batch.image_of.tolist(),
                batch.image_number.tolist(),
                strict=False,
            )
        )[:4]
        == image
    )
    for at, target, of, count in (
        (batch.text_at, batch.text_target, batch.text_of, 9),
        (batch.image_at, batch.image_target, batch.image_of, 4),
    ):
        assert at.shape == target.shape == of.shape == (128,)
        assert not at[count:].any() and not target[count:].any() and (of[count:] == -1).all()
    assert batch.ids.dtype == batch.text_at.dtype == batch.image_target.dtype == torch.int64


def test_padding_counts_its_own_positions():
    assert collate([[B]], 9, LAYOUT, pad_id=3).positions.tolist() == [[0, 1, 2, 3, 0, 1, 2, 3, 4]]
    assert collate([[B]], 9, LAYOUT, pad_id=3).ids[0, 4:].tolist() == [3] * 5


def test_targets_are_rounded_up_and_never_none():
    long = made("long", [1, *[9] * 128, 2], 1)
    batch = collate([[long]], 130, LAYOUT, 0)
    assert batch.text_at.shape == (256,) and (batch.text_of >= 0).sum() == 129
    assert batch.image_at.shape == (128,) and (batch.image_of == -1).all()


def test_vectors_are_targets_where_there_are_any():
    layout = ImageLayout(rows=1, columns=2, low=50, high=51, begin=40, end=41)
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    c = made("c", [1, 40, 50, 50, 41, 5, 40, 50, 50, 41, 2], 5, vectors)
    a = made("a", [1, 7, 40, 50, 50, 41, 2], 2, vectors[:2] + 100)
    batch = collate([[a], [c, B]], 16, layout, 0)
    assert torch.equal(batch.vectors, torch.from_numpy(np.concatenate([vectors[:2] + 100, vectors])))
    assert batch.image_at[:4].tolist() == [2, 3, 16 + 6, 16 + 7]
    assert torch.equal(batch.image_target[:4], torch.from_numpy(np.concatenate([vectors[:2] + 100, vectors[2:]])))
    assert batch.image_target.shape == (128, 3) and not batch.image_target[4:].any()


def test_what_cannot_be():
    with pytest.raises(ValueError, match="longer than its 8 tokens, from b on"):
        collate([[A, B]], 8, LAYOUT, 0)
    with pytest.raises(ValueError, match="nothing is trained in q"):
        collate([[made("q", [1, 5, 2], 3)]], 8, LAYOUT, 0)
