"""Whatever the logits, every image is whole and the budget is kept."""

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessorList

from moss.generation.whole_images import FREE, WholeImages, forced, not_text, places
from moss.layout import ImageLayout

EOS, VOCABULARY = 1, 40
PLAIN = ImageLayout(rows=2, columns=3, low=20, high=30, begin=10, end=11)
EMU3 = ImageLayout(rows=2, columns=2, low=20, high=36, begin=10, end=11, row_end=12, header=(5, 6, 13), footer=(14,))
SLOT = ImageLayout(rows=2, columns=2, low=20, high=21, begin=10, end=11)


def blocks(ids: list[int], layout: ImageLayout) -> list[np.ndarray]:
    """The codes of every image; raises ValueError where one is not whole, or where block ids stand outside one."""
    found, i = [], 0
    while i < len(ids):
        if ids[i] == layout.begin:
            found.append(layout.codes(np.array(ids[i : i + layout.block_length])))
            i += layout.block_length
        elif layout.low <= ids[i] < layout.high or ids[i] in {*forced(layout)}:
            raise ValueError(f"{ids[i]} outside an image")
        else:
            i += 1
    return found


def test_forced_is_the_block_with_its_image_tokens_left_open():
    assert forced(EMU3) == [10, 5, 6, 13, FREE, FREE, 12, FREE, FREE, 12, 14, 11]
    assert forced(PLAIN) == [10, *[FREE] * 6, 11]
    for layout in (PLAIN, EMU3, SLOT):
        block = layout.block(np.zeros((layout.rows, layout.columns), int))
        assert forced(layout) == [FREE if layout.low <= id < layout.high else id for id in block]


def test_places_count_inside_a_block_and_are_0_outside_it():
    block = PLAIN.block(np.zeros((2, 3), int)).tolist()
    ids = torch.tensor([[3, *block, 3, *block, *block, 3], [3] * 16 + block + [10, 20, 20]])
    assert places(ids, PLAIN).tolist() == [
        [0, *[1, 2, 3, 4, 5, 6, 7, 0], 0, *[1, 2, 3, 4, 5, 6, 7, 0] * 2, 0],
        [0] * 16 + [1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3],
    ]


@settings(max_examples=60, deadline=None)
@given(
    layout=st.sampled_from([PLAIN, EMU3, SLOT]),
    seed=st.integers(0, 2**32),
    max_tokens=st.integers(0, 60),
    max_images=st.none() | st.integers(0, 4),
    prompt_images=st.integers(0, 2),
    liking=st.sampled_from([0, 8, 500]),
)
def test_whatever_the_logits_every_image_is_whole_and_within_the_budget(
    layout, seed, max_tokens, max_images, prompt_images, liking
):
    generator = torch.Generator().manual_seed(seed)
    block = torch.from_numpy(layout.block(np.zeros((layout.rows, layout.columns), int)))
    prompt = torch.cat([torch.tensor([0, 3]), block.repeat(prompt_images), torch.tensor([4])])
    ids = prompt.repeat(3, 1)
    rules = WholeImages(layout, prompt_length=len(prompt), max_tokens=max_tokens, max_images=max_images)
    for _ in range(max_tokens):
        scores = 20 * torch.randn(3, VOCABULARY, generator=generator)
        scores[:, layout.begin] += liking
        masked = rules(ids, scores)
        assert torch.equal(masked[masked > -torch.inf], scores[masked > -torch.inf])
        ids = torch.cat([ids, torch.multinomial(masked.softmax(-1), 1, generator=generator)], 1)
    for row in ids[:, len(prompt) :].tolist():
        images = blocks(row, layout)
        assert len(row) == max_tokens and len(images) <= (max_tokens if max_images is None else max_images)
        assert len(images) <= max_tokens // layout.block_length
        if liking == 500 and max_images is None:
            assert images or max_tokens < 2 * layout.block_length


def test_a_block_that_just_fits_is_allowed_and_one_token_less_forbids_it():
    scores, ids = torch.zeros(1, VOCABULARY), torch.tensor([[0, 3]])
    for room, allowed in ((PLAIN.block_length, True), (PLAIN.block_length - 1, False)):
        rules = WholeImages(PLAIN, prompt_length=2, max_tokens=room)
        assert (rules(ids, scores)[0, PLAIN.begin] > -torch.inf) == allowed


def test_keeping_count_gives_what_the_ids_give():
    block = EMU3.block(np.ones((2, 2), int)).tolist()
    sequence = [3, *block, 4, *block]
    ids, scores = torch.tensor([[0, *sequence]]), torch.randn(1, VOCABULARY)
    rules = WholeImages(EMU3, prompt_length=1, max_tokens=40, max_images=2)
    place, begun = 0, 0
    for i, id in enumerate(sequence):
        place = (place + 1) % EMU3.block_length if place or id == EMU3.begin else 0
        begun += id == EMU3.begin
        own = rules.mask(scores, torch.tensor([place]), torch.tensor([begun]), i + 1)
        assert torch.equal(own, rules(ids[:, : i + 2], scores))


class Letters:
    bos, eos, pad = 0, EOS, 1

    def encode(self, text):
        return [ord(letter) - ord("a") + 2 for letter in text]

    def decode(self, ids):
        return "".join(chr(id - 2 + ord("a")) for id in ids if 2 <= id < 10)


def test_header_ids_that_text_can_spell_stay_allowed_in_text():
    assert not_text(EMU3, Letters()) == {11, 12, 13, 14, 0}  # not 5 and 6, and not `pad`, which is `eos`
    rules = WholeImages(EMU3, prompt_length=1, max_tokens=40, forbidden=not_text(EMU3, Letters()))
    masked = rules(torch.tensor([[0]]), torch.zeros(1, VOCABULARY))[0]
    assert set((masked == -torch.inf).nonzero().ravel().tolist()) == {0, *range(11, 15), *range(20, 36)}


@pytest.mark.parametrize("layout,sample", list(itertools.product([PLAIN, EMU3], [False, True])))
def test_with_transformers_generate_on_a_padded_batch(layout, sample):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        pad_token_id=2,
        bos_token_id=0,
        eos_token_id=EOS,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        model.lm_head.weight[layout.begin] = 3 * model.lm_head.weight.std()
    prompt = torch.tensor([[2, 2, 0, 3], [0, 3, 4, 3], [2, 0, 7, 7]])
    rules = WholeImages(layout, prompt_length=4, max_tokens=50, max_images=3)
    out = model.generate(
        prompt,
        attention_mask=(prompt != 2).long(),
        max_new_tokens=50,
        do_sample=sample,
        logits_processor=LogitsProcessorList([rules]),
    )
    found = [blocks([id for id in row if id != 2], layout) for row in out[:, 4:].tolist()]
    assert all(len(images) <= 3 for images in found) and (any(found) or not sample)
