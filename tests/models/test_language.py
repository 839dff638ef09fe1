"""The language model's recipe: pairs, damage, adapters and measures. The weights are judged by evaluate.py."""

import json
import pathlib
import random

import pytest
from jsonschema import Draft202012Validator

import torch_compat  # noqa: F401 - before transformers looks up a class, which imports torchvision

# isort: split
import torch
import transformers
from safetensors.torch import load_file

from filters.instruction import check
from filters.words import words
from models import HELD_OUT
from models.language import data, lora, measures, pleas, train
from models.language.clutter import SEEN, UNSEEN, clutter_lines
from models.language.damage import ASPECT, can_shuffle, damage, order_marks
from schemas.records import Document, Image, Text

HOWTO = pathlib.Path(__file__).parents[3] / "shared/corpora/howto.tar"

WALL = Document(
    "w",
    "s",
    title="Painting a wall",
    segments=(
        Text("## Painting a wall"),
        Text("Move the furniture away. Cover the floor. Fill the cracks and sand them smooth."),
        Image("a.jpg"),
        Text("Stir the paint well. Begin in a corner. Roll from the top to the bottom. Wash the roller."),
    ),
)


@pytest.fixture(scope="module")
def corpus():
    """Every tenth document, read once for all that is made of them."""
    if not HOWTO.exists():
        pytest.skip(f"the training corpus is not here: {HOWTO}")
    read = list(data.documents(HOWTO))[::10]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "documents", lambda _: read)
        yield read


@pytest.fixture(scope="module")
def pairs(corpus):
    return data.training_pairs(HOWTO)


def tiny():
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=50,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=lora.FIRST_LAYER + 1,
            num_attention_heads=2,
            num_key_value_heads=1,
        )
    )


# the pairs


def test_held_out_sources_are_never_trained_on(corpus, pairs):
    held_out = [text for d in corpus if d.source in HELD_OUT for text in d.texts if len(text) > 200]
    prompts = "\n".join(pair.messages[-1]["content"] for pair in pairs)
    assert len(held_out) > 100 and not [text for text in held_out[::2] if text.strip() in prompts]


def test_every_answer_fits_the_schema_that_the_server_enforces(pairs):
    validators = {
        "rate": Draft202012Validator(data.PROMPTS.rate_prompt(WALL).schema),
        "write": Draft202012Validator(data.PROMPTS.write_prompt(WALL, data.DOMAINS).schema),
    }
    for pair in pairs:
        validators[pair.task].validate(json.loads(pair.answer))
        assert ": " not in pair.answer.split('"instruction"')[0]
    assert {json.loads(p.answer)["domain"] for p in pairs if p.task == "write"} == set(data.DOMAINS)


def test_pairs_are_the_same_every_time(corpus, monkeypatch):
    monkeypatch.setattr(data, "documents", lambda _: corpus[::2])
    pairs = data.training_pairs(HOWTO)
    assert len(pairs) > 100 and data.training_pairs(HOWTO) == pairs


def test_most_own_texts_yield_a_wish_that_passes_the_checker():
    texts = list(data.own_texts())
    wishes = [(t, json.loads(pair.answer)["instruction"]) for t in texts for pair in data.write_pairs(t, t.source)]
    assert {t.source for t in texts} <= set(data.DOMAINS)
    assert len(wishes) >= 30 and sum(check(wish, t) is None for t, wish in wishes) >= 0.95 * len(wishes)


# damage


@pytest.mark.parametrize("kind", ASPECT)
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_damage_changes_the_text_and_keeps_the_pictures_before_the_break(kind, strength):
    spoiled = damage(WALL, kind, random.Random(1), strength=strength)
    assert "\n".join(spoiled.texts) != "\n".join(WALL.texts)
    assert damage(WALL, kind, random.Random(1), strength=strength) == spoiled
    assert kind == "cut" or spoiled.images == WALL.images


def test_shuffling_only_moves_sentences():
    spoiled = damage(WALL, "shuffled", random.Random(1), strength=1.0)
    assert sorted(words(" ".join(spoiled.texts))) == sorted(words(" ".join(WALL.texts)))
    assert can_shuffle(WALL) and not can_shuffle(Document("d", "s", (Text("Wash it. Dry it."),)))


def test_order_marks_tell_which_sentences_follow_the_right_one():
    sound = Document("d", "s", (Text("# Oiling"), Text("Wash it. Dry it. Oil it."), Text("Wrap it.")))
    spoiled = Document("d", "s", (Text("# Oiling"), Text("Dry it. Buy now! Oil it. Wash it."), Text("Wrap it.")))
    assert order_marks(spoiled, sound) == [("Oil it.", True), ("Wash it.", False), ("Wrap it.", False)]
    plain = Document("d", "s", (Text("One. Two. Three."), Image("a.jpg"), Text("Four.")))
    assert order_marks(plain, plain) == [("Two.", True), ("Three.", True), ("Four.", True)]
    twice = Document("d", "s", (Text("One. Two. One. Three. Four."),))
    assert order_marks(twice, twice) == [("Four.", True)]
    thinner = Document("d", "s", (Text("One. Three."), Text("Four.")))
    assert order_marks(thinner, plain) == [("Three.", False), ("Four.", True)]


def test_passages_share_out_the_whole_document():
    document = Document("d", "s", tuple(Text(f"Paragraph {i}. " + "word " * 50) for i in range(20)))
    found = list(data.passages(document))
    assert len(found) > 3 and all(len(words(" ".join(p.texts))) >= min(data.PASSAGE_LENGTHS) for p in found)
    assert [s for p in found for s in p.segments] == list(document.segments)[: sum(len(p.segments) for p in found)]


def test_list_items_keep_their_numbers():
    steps = Document("d", "s", (Text("1. Wash it.\n2. Dry it.\n3. Oil it.\n4. Wrap it.\n5. Keep it dry."),))
    spoiled = damage(steps, "shuffled", random.Random(1), strength=1.0)
    assert sorted(spoiled.texts[0].split("\n")) == sorted(steps.texts[0].split("\n"))


def test_dropping_and_cutting_take_words_away():
    before = len(words(" ".join(WALL.texts)))
    for kind in ("dropped", "cut"):
        light, heavy = (
            len(words(" ".join(damage(WALL, kind, random.Random(1), strength=strength).texts)))
            for strength in (0.0, 1.0)
        )
        assert heavy < light < before
    assert not damage(WALL, "cut", random.Random(1), strength=0.5).texts[-1].endswith(".")


def test_clutter_for_the_evaluation_is_never_seen_in_training():
    assert not set(SEEN.split("\n")) & set(UNSEEN.split("\n")) - {""}
    lines = clutter_lines(random.Random(0), 7, unseen=True)
    assert len(set(lines)) == 7 and not any("{" in line for line in lines)


# the adapters


def test_fresh_adapters_change_nothing_and_merged_ones_agree_with_the_adapted_model(tmp_path):
    model, ids = tiny(), torch.arange(12)[None]
    before = model(ids).logits
    parameters = lora.add(model)
    assert len(parameters) == 2 * len(lora.TARGETS)  # one layer of the eleven is adapted
    assert torch.equal(model(ids).logits, before)
    for p in parameters:
        p.data = (torch.randn_like(p) * 0.3).half().float()  # values that the float16 file holds exactly
    adapted = model(ids).logits
    lora.save(model, tmp_path / "a.safetensors")
    merged = tiny()
    lora.merge(merged, tmp_path / "a.safetensors")
    assert not torch.allclose(adapted, before, atol=1e-2)
    torch.testing.assert_close(merged(ids).logits, adapted, atol=1e-4, rtol=1e-4)


def test_the_loss_is_that_of_the_answers_and_of_the_order_of_sentences(monkeypatch):
    monkeypatch.setattr(train, "ORDER_LAYER", lora.FIRST_LAYER)
    learner = train.Model(tiny())
    short = train.Example([3, 4, 5, 6, 7], [2, 3], [1.0, 1.0], [], [])
    long = train.Example([8, 9, 10, 11, 12, 13, 14], [4, 5], [1.0, 0.0], [1, 3], [1.0, 0.0])
    answers, order = learner.losses([short, long])

    def made(example):
        return learner.model(torch.tensor([example.ids]), output_hidden_states=True)

    expected = [
        -torch.log_softmax(made(e).logits[0, p], -1)[e.ids[p + 1]] for e, p in ((short, 2), (short, 3), (long, 4))
    ]
    torch.testing.assert_close(answers, sum(expected) / 3)
    right, wrong = torch.sigmoid(learner.order(made(long).hidden_states[lora.FIRST_LAYER][0, [1, 3]])).squeeze(-1)
    torch.testing.assert_close(order, -(right.log() + (1 - wrong).log()) / 2)
    assert learner.losses([short])[1] == 0


class Letters:
    """A tokenizer with a token a letter."""

    def apply_chat_template(self, messages, **_):
        return "".join(m["content"] for m in messages)

    def __call__(self, text, **_):
        return {"input_ids": [ord(c) for c in text], "offset_mapping": [(i, i + 1) for i in range(len(text))]}

    def decode(self, ids):
        return "".join(map(chr, ids))


def test_an_example_marks_where_each_sentence_ends_and_weighs_the_grades():
    pair = data.Pair(
        "rate",
        ({"role": "user", "content": "Wash it. Dry it. Rate!"},),
        "[5]",
        (("Wash it.", True), ("Dry it.", False), ("Gone.", True)),
    )
    example = train.encode(pair, Letters())
    assert "".join(map(chr, example.ids)) == "Wash it. Dry it. Rate![5]<|im_end|>"
    assert (example.ends, example.follows) == ([7, 15], [1.0, 0.0])
    assert example.answer[0] == 21
    assert example.weights[:3] == [train.FRAME_WEIGHT, train.GRADE_WEIGHT, train.FRAME_WEIGHT]


def test_the_committed_adapters_are_small_and_complete():
    tensors = load_file(lora.WEIGHTS)
    assert lora.WEIGHTS.stat().st_size < 5_000_000
    assert len(tensors) == 2 * len(lora.TARGETS) * (30 - lora.FIRST_LAYER)
    assert all(t.dtype == torch.float16 and t.isfinite().all() and t.any() for t in tensors.values())


# the measures


def test_auc():
    assert measures.auc([5, 4], [1, 2]) == 1.0
    assert measures.auc([3, 3], [3, 3]) == 0.5
    assert measures.auc([1, 5], [3]) == 0.5


def test_parroting_is_five_words_of_the_prompt_in_a_row():
    question = "Write the instruction that the text above answers."
    assert measures.parrots("Please write the instruction that the boat needs.", question)
    assert not measures.parrots("Write the steps that the boat needs.", question)


def test_the_right_title_is_found_by_its_rare_words():
    names = [
        f"{a} {b}"
        for a in ("Painting", "Washing", "Building", "Mending", "Selling")
        for b in ("a wall", "a boat", "a kite", "bread")
    ]
    assert measures.titles_found([f"Explain how to start {n.lower()}." for n in names], names, measures.by_words) == 1.0
    assert measures.titles_found(["Explain this."] * len(names), names, measures.by_words) == 0.0


# what strangers add


def test_words_to_the_rater_are_clutter_and_a_good_text_mends_nothing():
    other = Document(
        "o", "s", (Text("Wash the beans. Soak them overnight. Boil them for an hour. Salt them at the end."),)
    )
    pairs = [data.rate_pair(WALL, random.Random(seed), other) for seed in range(200)]
    pleading = [pair for pair in pairs if any(line[:12] in pair.messages[-1]["content"] for line in pleas._LINES)]
    assert len(pleading) > 20 and all('"usefulness":1' in pair.answer for pair in pleading)
    mended = [pair for pair in pairs if "Soak them overnight." in pair.messages[-1]["content"]]
    assert len(mended) > 5 and not any(pair.answer.count(":5") == 4 for pair in mended)


def test_the_injections_that_measure_the_rater_were_not_trained_on():
    tried = json.loads((pathlib.Path(__file__).parents[1] / "prompts/injections.json").read_text())["injections"]
    assert not {line.casefold() for line in pleas._LINES} & {i["text"].strip("# ").casefold() for i in tried}
