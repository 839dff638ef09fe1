"""Documents as pieces for pre-training."""

import numpy as np
import pytest

import models
from moss import settings
from moss.backbones import chameleon
from moss.small import HELD_OUT, pretrain


@pytest.fixture(scope="module")
def generalist():
    return chameleon.tiny()


CODES = {"a.png": np.arange(64).reshape(8, 8), "b.png": np.full((8, 8), 7)}
DOCUMENT = {
    "id": "x",
    "source": "18f",
    "segments": [
        {"text": "One. " * 500},
        {"image": "a.png"},
        {"text": "Two."},
        {"image": "missing.png"},
        {"text": "Three. " * 20},
        {"image": "b.png"},
        {"text": "Four."},
    ],
}


def blocks(ids, layout):
    return [ids[at : at + layout.block_length] for at in np.flatnonzero(ids == layout.begin)]


def test_pieces_hold_everything_and_cut_no_picture(generalist):
    pieces = list(pretrain.pieces(DOCUMENT, CODES, generalist, dense=False))
    assert len(pieces) > 2 and all(len(piece) <= pretrain.LENGTH for piece in pieces)
    assert all(piece[0] == generalist.tokenizer.bos for piece in pieces)
    assert [piece[-1] == generalist.tokenizer.eos for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    found = [generalist.layout.codes(block) for piece in pieces for block in blocks(piece, generalist.layout)]
    assert [code.tolist() for code in found] == [CODES["a.png"].tolist(), CODES["b.png"].tolist()]
    text = "".join(generalist.tokenizer.decode(piece.tolist()) for piece in pieces)
    assert text == "".join(s["text"] + "\n\n" for s in DOCUMENT["segments"] if "text" in s)


def test_dense_pieces_keep_the_text_just_above_a_picture(generalist):
    (piece,) = pretrain.pieces(DOCUMENT, CODES, generalist, dense=True)
    assert len(blocks(piece, generalist.layout)) == 2
    text = generalist.tokenizer.decode(piece.tolist())  # a byte a token in the tiny model
    assert text == ("One. " * 500 + "\n\n")[-pretrain.NEARBY :] + ("Three. " * 20 + "\n\n")[-pretrain.NEARBY :]


def test_the_backbone_has_not_seen_what_is_measured_or_fine_tuned_on():
    assert HELD_OUT == models.HELD_OUT
    assert not set(pretrain.SOURCES) & set(HELD_OUT)
    held_out = settings.load("configs/moss_ordering.yaml").data.held_out_sources
    assert set(pretrain.SOURCES) <= set(held_out) and set(HELD_OUT) <= set(held_out)
