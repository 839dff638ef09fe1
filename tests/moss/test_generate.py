"""Answers of tiny backbones with random weights: whole images, the same ones again by seed, and as files."""

import json

import numpy as np
import PIL.Image
import pytest
import torch
from transformers import LogitsProcessorList

from moss import data
from moss.backbones import chameleon, continuous, emu3, janus
from moss.evaluation import metrics
from moss.generation import answers, decoding
from moss.generation.decoding import Answer, answer, has_slots, segments
from moss.generation.reading import Reader
from moss.generation.sampling import Sampling
from moss.generation.whole_images import FREE, WholeImages, forced, not_text, places
from schemas.errors import UserError
from schemas.records import Text
from tests.moss.hands import adapt, eager, picture

BACKBONES = {"chameleon": chameleon, "emu3": emu3, "continuous": continuous, "janus": janus}


@pytest.fixture(params=BACKBONES)
def generalist(request):
    made = adapt(BACKBONES[request.param].tiny())
    torch.manual_seed(1)
    for name, parameter in made.model.named_parameters():
        if "moss_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return eager(made.eval(), 6.0)


def prompt_of(generalist):
    return data.prompt_sample(generalist, "Show a cake.", [Text("It rises."), picture(1)])


def asked(generalist, **sampling) -> Answer:
    prompt = prompt_of(generalist)
    return answer(
        generalist,
        prompt.ids.tolist(),
        prompt.vectors,
        Sampling(**{"text_temperature": 1.0, "text_top_p": 1.0, **sampling}),
    )


def test_every_image_is_whole_and_becomes_a_picture(generalist):
    layout = generalist.layout
    # so eager that rounding, which differs between processors, does not decide how many images there are
    written = asked(eager(generalist, 24.0), max_images=2, max_tokens=3 * layout.block_length)
    begun, whole = metrics.blocks(written.ids, layout)
    assert begun == whole == written.ids.count(layout.begin) == 2
    assert len(written.ids) <= written.budget and written.finished == (written.ids[-1] == generalist.tokenizer.eos)
    assert metrics.images_in(segments(written, generalist)) == 2
    if has_slots(layout):
        assert written.vectors.shape == (2 * layout.rows * layout.columns, generalist.pixels.channels)


def test_a_seed_repeats_an_answer_and_another_gives_another(generalist):
    wanted = {"max_tokens": generalist.layout.block_length + 4, "max_images": 1}
    first = asked(generalist, seed=3, **wanted)
    torch.manual_seed(99)
    again, other = asked(generalist, seed=3, **wanted), asked(generalist, seed=4, **wanted)
    assert first.ids == again.ids and other.ids != first.ids
    if first.vectors is not None and again.vectors is not None:
        np.testing.assert_array_equal(first.vectors, again.vectors)


@pytest.mark.parametrize("sampling", [{"greedy": True}, {"seed": 3}, {"greedy": True, "image_guidance": 3.0}])
def test_a_batch_of_prompts_is_answered_as_each_alone(generalist, sampling):
    """Other lengths, with and without pictures; answers that end at other times."""
    if has_slots(generalist.layout):  # random weights make chaos of vectors that they read again: rounding grows
        with torch.no_grad():
            generalist.extra.down.weight.mul_(0.005)
    prompts = [
        data.prompt_sample(generalist, "Show a cake.", [Text("It rises."), picture(1)]),
        data.prompt_sample(generalist, "Now."),
        data.prompt_sample(generalist, "A hat, please.", [picture(2), picture(3)]),
    ]
    room = generalist.layout.block_length + 12
    asked = [decoding.Prompt(p.ids.tolist(), p.vectors, room + 3 * n) for n, p in enumerate(prompts)]
    drawn = Sampling(**{"text_temperature": 1.0, "text_top_p": 1.0, "max_images": 1, **sampling})
    together = decoding.answers(generalist, asked, drawn)
    for prompt, found in zip(asked, together, strict=True):
        [alone] = decoding.answers(generalist, [prompt], drawn)
        assert found.ids == alone.ids and (found.finished, found.budget) == (alone.finished, alone.budget)
        if alone.vectors is not None:
            np.testing.assert_allclose(found.vectors, alone.vectors, atol=1e-4)
    assert any(generalist.layout.begin in found.ids for found in together)


def test_a_row_that_is_finished_gets_no_position_beyond_the_context():
    """The other goes on; dynamic rotary embeddings would be scaled for both by the largest position."""
    made = continuous.tiny()
    made.plain_model.config.max_position_embeddings = 6
    given = []
    made.hidden = lambda ids, positions, *_: given.append(positions) or torch.zeros(*ids.shape, 96)
    reader = Reader(made, [[5, 5, 5, 5], [5]], [None, None])
    for _ in range(4):
        reader.hidden()
        reader.append(torch.tensor([5, 5]), [None, None])
    assert torch.cat(given, 1).tolist() == [[0, 1, 2, 3, 4, 5, 5], [0, 0, 0, 0, 1, 2, 3]]


@torch.no_grad()
@pytest.mark.parametrize("backbone", [chameleon, continuous])
def test_guidance_moves_image_tokens_away_from_an_answer_without_a_prompt(backbone):
    made = eager(backbone.tiny().eval(), 30.0)
    prompt, bare, g = prompt_of(made), data.bare_prompt(made.tokenizer), 2.5
    [guided] = decoding.answers(
        made,
        [decoding.Prompt(prompt.ids.tolist(), prompt.vectors, made.layout.block_length)],
        Sampling(greedy=True, image_guidance=g),
    )
    layout, first = made.layout, guided.ids.index(made.layout.begin) + 1
    known = None if prompt.vectors is None else torch.from_numpy(prompt.vectors)
    before = made.hidden(torch.tensor([[*prompt.ids, *guided.ids[:first]]]), vectors=known)[:, -1]
    without = made.hidden(torch.tensor([[*bare, *guided.ids[:first]]]))[:, -1]
    if has_slots(layout):
        one, other = made.image_vectors(before), made.image_vectors(without)
        np.testing.assert_allclose(guided.vectors[:1], other + g * (one - other), atol=1e-4)
    else:
        one, other = made.image_logits(before), made.image_logits(without)
        assert guided.ids[first] == layout.low + int((other + g * (one - other)).argmax())


@torch.no_grad()
def test_guidance_of_a_bfloat16_model_is_not_rounded_to_bfloat16(monkeypatch):
    made = eager(chameleon.tiny().eval(), 30.0)
    made.model.bfloat16()
    predicted, drawn, own, draw = [], [], made.image_logits, decoding.Draw.image
    made.image_logits = lambda hidden: predicted.append(own(hidden)) or predicted[-1]
    monkeypatch.setattr(decoding.Draw, "image", lambda self, logits: drawn.append(logits) or draw(self, logits))
    prompt = decoding.Prompt(prompt_of(made).ids.tolist(), None, made.layout.block_length)
    decoding.answers(made, [prompt], Sampling(greedy=True, image_guidance=2.3))
    assert len(predicted) == 2 * len(drawn) > 0 and predicted[0].dtype == torch.bfloat16
    for one, other, found in zip(predicted[::2], predicted[1::2], drawn, strict=True):
        assert torch.equal(found, other.float() + 2.3 * (one.float() - other.float()))


@torch.no_grad()
def test_the_cached_loop_takes_what_a_full_forward_finds_likeliest(generalist):
    """Greedy, with adapters: each token against one forward over everything before it."""
    layout, prompt = generalist.layout, prompt_of(generalist)
    written = asked(eager(generalist, 30.0), greedy=True, max_images=1, max_tokens=layout.block_length + 3)
    rules = WholeImages(
        layout,
        prompt_length=len(prompt.ids),
        max_tokens=written.budget,
        max_images=1,
        forbidden=not_text(layout, generalist.tokenizer),
    )
    ids = torch.tensor([[*prompt.ids, *written.ids]])
    known = [] if prompt.vectors is None else [torch.from_numpy(prompt.vectors)]
    vectors = None if not known else torch.cat([*known, torch.from_numpy(written.vectors)])
    slots = ((layout.low <= ids) & (ids < layout.high))[0]
    for n in range(len(prompt.ids), ids.shape[1]):
        so_far, place = ids[:, :n], int(places(ids[:, :n], layout)[0, -1])
        hidden = generalist.hidden(so_far, vectors=None if vectors is None else vectors[: slots[:n].sum()])[:, -1]
        if place and forced(layout)[place] != FREE:
            expected = forced(layout)[place]
        elif place and has_slots(layout):
            expected = layout.low
            np.testing.assert_allclose(generalist.image_vectors(hidden)[0], vectors[slots[:n].sum()], atol=1e-4)
        elif place:
            expected = layout.low + int(generalist.image_logits(hidden).argmax())
        else:
            expected = int(rules(so_far, generalist.text_logits(hidden)).argmax())
        assert ids[0, n] == expected
    assert layout.begin in written.ids


@pytest.mark.parametrize("backbone", [chameleon, emu3])
def test_transformers_generate_writes_the_same_with_the_same_rules(backbone):
    made = adapt(backbone.tiny()).eval()
    prompt, layout = prompt_of(made).ids, made.layout
    room = 2 * layout.block_length + 6
    rules = WholeImages(
        layout, prompt_length=len(prompt), max_tokens=room, max_images=2, forbidden=not_text(layout, made.tokenizer)
    )

    def liking(ids, scores):
        return scores + 30.0 * (torch.arange(scores.shape[1]) == layout.begin)

    out = made.model.generate(
        input_ids=torch.tensor([prompt.tolist()]),
        max_new_tokens=room,
        do_sample=False,
        eos_token_id=made.tokenizer.eos,
        pad_token_id=made.tokenizer.pad,
        logits_processor=LogitsProcessorList([liking, rules]),
    )
    own = asked(eager(made, 30.0), greedy=True, max_tokens=room, max_images=2)
    assert own.ids == tuple(out[0, len(prompt) :].tolist()) and metrics.blocks(own.ids, layout) == (2, 2)


def test_a_free_answer_may_break_its_images():
    made = eager(emu3.tiny().eval(), 30.0)
    prompt = prompt_of(made).ids.tolist()
    assert decoding.image_tokens_in_vocabulary(made) and not decoding.image_tokens_in_vocabulary(continuous.tiny())
    assert not decoding.image_tokens_in_vocabulary(janus.tiny())
    free = decoding.free_answer(made, prompt, Sampling(max_tokens=60))
    begun, whole = metrics.blocks(free.ids, made.layout)
    assert (begun, whole) == (1, 0) and not free.finished and len(free.ids) < 60  # it ends where the image broke


def test_texts_are_split_at_blank_lines_and_at_images():
    made = chameleon.tiny()
    block = made.layout.block(made.pixels.encode([picture(2)])[0]).tolist()
    before, after = (made.tokenizer.encode(text) for text in ("One.\n\nTwo.", " \n\nThree."))
    found = segments(Answer((*before, *block, *block, *after, made.tokenizer.eos), True, 999), made)
    assert [s.text if isinstance(s, Text) else s.size for s in found] == ["One.", "Two.", (32, 32), (32, 32), "Three."]


def test_an_answer_has_room_for_as_many_images_as_its_reference():
    layout = chameleon.tiny().layout
    assert decoding.budget(layout, Sampling()) == 2048 + 8 * layout.block_length
    assert decoding.budget(layout, Sampling(), images=12) == 2048 + 12 * layout.block_length
    assert decoding.budget(layout, Sampling(max_images=2), images=12) == 2048 + 2 * layout.block_length
    assert decoding.budget(layout, Sampling(max_tokens=5), images=12) == 5


@pytest.mark.parametrize("own,most,expected", [(9, 5, 5), (5, 9, 5), (None, 5, 5), (5, None, 5)])
def test_the_smaller_of_a_prompts_budget_and_the_samplings_holds(own, most, expected):
    made = chameleon.tiny()
    asked = decoding.Prompt(prompt_of(made).ids.tolist(), None, own)
    [written] = decoding.answers(made, [asked], Sampling(max_tokens=most))
    assert written.budget == expected and len(written.ids) <= expected


def test_a_prompt_that_fills_the_context_is_refused():
    made = chameleon.tiny()
    with pytest.raises(UserError, match="give less context"):
        answer(made, [3] * 5000, None, Sampling())


def test_written_pictures_are_what_answer_json_names():
    shown = [Text("One."), PIL.Image.new("RGB", (8, 4), "red"), PIL.Image.new("RGB", (8, 4), "blue")]
    files = answers.files(answers.GenerationResult("", "x", [], Answer((), True, 1), shown), {"model": "m"})
    assert list(files) == ["answer.json", "00.png", "01.png"]
    assert json.loads(files["answer.json"])["output"] == [
        {"type": "text", "text": "One."},
        {"type": "image", "image": "00.png", "width": 8, "height": 4},
        {"type": "image", "image": "01.png", "width": 8, "height": 4},
    ]
