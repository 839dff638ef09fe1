"""Answers of tiny backbones with random weights: whole images, the same ones again by seed, and as files."""

import json
import types

import numpy as np
import PIL.Image
import pytest
import torch
from transformers import LogitsProcessorList

from moss import data, generate
from moss.backbones import chameleon, continuous, emu3, janus
from moss.evaluation import metrics
from moss.generation import answers, decoding
from moss.generation.decoding import Answer, answer, has_slots, segments
from moss.generation.sampling import Sampling
from moss.generation.whole_images import FREE, WholeImages, forced, not_text, places
from schemas.errors import UserError
from schemas.records import Text
from tests.moss.hands import adapt, picture
from tests.schemas import example

BACKBONES = {"chameleon": chameleon, "emu3": emu3, "continuous": continuous, "janus": janus}


def eager(generalist, liking: float):
    """The same generalist with another wish to begin images; random weights rarely do."""
    own, begin = generalist.text_logits, generalist.layout.begin

    def text_logits(hidden):
        logits = own(hidden).clone()
        logits[:, begin] += liking
        return logits

    generalist.text_logits = text_logits
    return generalist


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


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "shards: x\noutput: y\nbackbone: {name: continuous}\ndata: {length: 512}\ntraining: {steps: 1, rows: 1}\n"
    )
    return str(path)


def test_the_command_writes_a_folder_and_replaces_only_answers(config, tmp_path, capsys):
    picture(5).save(tmp_path / "cake.png")
    (tmp_path / "more.json").write_text(
        json.dumps([{"type": "text", "text": "Stir."}, {"type": "image", "image": "cake.png"}])
    )
    arguments = [
        "--config",
        config,
        "--instruction",
        "Bake <b>it</b>.",
        "--max-tokens",
        "90",
        "--output",
        str(tmp_path / "out"),
        "--context",
        "It rises.",
        str(tmp_path / "cake.png"),
        str(tmp_path / "more.json"),
    ]
    assert generate.main(arguments) == 0
    record = json.loads((tmp_path / "out/answer.json").read_text())
    assert record["instruction"] == "Bake <b>it</b>." and record["tokens"] <= 90 and record["sampling"]["seed"] == 0
    page = (tmp_path / "out/page.html").read_text()
    assert "Bake &lt;b&gt;it&lt;/b&gt;." in page
    assert page.count("<img") == len(list((tmp_path / "out").glob("*.png"))) >= 2
    assert generate.main([*arguments, "--seed", "1"]) == 0
    assert json.loads((tmp_path / "out/answer.json").read_text())["sampling"]["seed"] == 1
    (tmp_path / "out/notes.txt").write_text("mine")
    assert generate.main(arguments) == 2 and (tmp_path / "out/notes.txt").exists()
    assert "name another --output" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_command_answers_a_built_folders_instances(config, tmp_path):
    example.write(tmp_path / "built")
    assert (
        generate.main(
            [
                "--config",
                config,
                "--shards",
                str(tmp_path / "built"),
                "--limit",
                "2",
                "--max-tokens",
                "20",
                "--output",
                str(tmp_path / "out"),
            ]
        )
        == 0
    )
    folders = [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    assert len(folders) == 2 and all((folder / "answer.json").is_file() for folder in folders)
    page = (tmp_path / "out/page.html").read_text()
    assert page.count("<h3>Reference</h3>") == 2 and all(folder.name in page for folder in folders)


def test_shards_are_answered_in_batches_by_processes_that_can_be_stopped(config, tmp_path, capsys, monkeypatch):
    example.write(tmp_path / "built")
    run = ["--config", config, "--shards", str(tmp_path / "built"), "--limit", "5", "--max-tokens", "12"]

    def written(name):
        found = {path.parent.name: path.read_bytes() for path in (tmp_path / name).glob("*/answer.json")}
        return {key: (json.loads(data)["output"], json.loads(data)["tokens"]) for key, data in found.items()}

    assert generate.main([*run, "--output", str(tmp_path / "one")]) == 0
    assert generate.main([*run, "--output", str(tmp_path / "two"), "--batch", "2", "--share", "0/2"]) == 0
    assert len(written("two")) == 3
    first = next((tmp_path / "two").glob("*/answer.json"))
    stamp = first.stat().st_mtime_ns
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert generate.main([*run, "--output", str(tmp_path / "two"), "--batch", "2"]) == 0
    assert written("two") == written("one") and len(written("one")) == 5
    assert first.stat().st_mtime_ns == stamp
    assert (tmp_path / "two/page.html").read_text() == (tmp_path / "one/page.html").read_text()
    assert generate.main([*run, "--output", str(tmp_path / "two"), "--seed", "1"]) == 2
    assert "with another sampling; name another --output" in capsys.readouterr().err


def test_answers_to_other_questions_or_of_another_decoder_are_not_kept(config, tmp_path, capsys):
    example.write(tmp_path / "built")
    run = ["--config", config, "--shards", str(tmp_path / "built"), "--limit", "2", "--max-tokens", "12"]
    run += ["--output", str(tmp_path / "out")]
    assert generate.main(run) == 0 == generate.main(run)
    path = next((tmp_path / "out").glob("*/answer.json"))
    known = json.loads(path.read_text())
    for change, said in (
        ({"instruction": "Another."}, "the instruction under this key is another one now"),
        ({"context": [{"type": "text", "text": "More."}]}, "the context under this key is another one now"),
        ({"decoder": "0123"}, "with another pixel decoder"),
        ({"weights": "0123"}, "with another model"),
    ):
        path.write_text(json.dumps({**known, **change}))
        assert generate.main(run) == 2 and said in capsys.readouterr().err
    path.write_text(json.dumps(known))
    assert generate.main(run) == 0


@pytest.mark.parametrize(
    "dropout,guidance,warned", [(0.0, "2", True), (0.1, "2", False), (0.0, "1", False)], ids=["never", "seen", "none"]
)
def test_guidance_that_was_not_trained_is_said(tmp_path, capsys, monkeypatch, dropout, guidance, warned):
    trained = types.SimpleNamespace(
        data=types.SimpleNamespace(held_out_sources=()), training=types.SimpleNamespace(condition_dropout=dropout)
    )
    monkeypatch.setattr(generate.runs, "find_run", lambda _: types.SimpleNamespace(checkpoint="c", settings=trained))
    monkeypatch.setattr(generate.runs, "load_run", lambda _: continuous.tiny().eval())
    run = ["--checkpoint", "c", "--instruction", "x", "--max-tokens", "3", "--output", str(tmp_path / "out")]
    assert generate.main([*run, "--image-guidance", guidance]) == 0
    assert ("trained with training.condition_dropout 0" in capsys.readouterr().err) == warned


def test_one_answer_and_those_of_a_run_do_not_replace_each_other(config, tmp_path, capsys):
    example.write(tmp_path / "built")
    run = ["--config", config, "--max-tokens", "12", "--output"]
    of_shards, of_one = ["--shards", str(tmp_path / "built"), "--limit", "1"], ["--instruction", "x"]
    assert generate.main([*run, str(tmp_path / "many"), *of_shards]) == 0
    assert generate.main([*run, str(tmp_path / "one"), *of_one]) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("answer.json")}
    assert generate.main([*run, str(tmp_path / "many"), *of_one]) == 2
    assert "answers to 1 instances, which one answer would replace" in capsys.readouterr().err
    assert generate.main([*run, str(tmp_path / "one"), *of_shards]) == 2
    assert "holds a single answer" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("answer.json")} == before and len(before) == 2


def test_what_a_killed_process_left_neither_stops_the_next_nor_is_an_answer(config, tmp_path):
    example.write(tmp_path / "built")
    run = ["--config", config, "--shards", str(tmp_path / "built"), "--max-tokens", "12", "--output"]
    out = tmp_path / "out"
    assert generate.main([*run, str(out), "--limit", "1"]) == 0
    [first] = [path.parent for path in out.glob("*/answer.json")]
    left, moved, page = (out / f".{name}.{'0f' * 16}" for name in ("other", first.name, "page"))
    left.mkdir()
    (left / "00.png").write_bytes(b"half")
    page.write_text("half")
    first.rename(f"{moved}.old")
    before = (moved.with_name(f"{moved.name}.old") / "answer.json").stat().st_mtime_ns
    assert generate.main([*run, str(out), "--limit", "2", "--share", "1/2"]) == 0  # others may be at work: nothing goes
    assert left.exists() and page.exists()
    assert generate.main([*run, str(out), "--limit", "2"]) == 0
    assert (first / "answer.json").stat().st_mtime_ns == before
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
    assert len(list(out.glob("*/answer.json"))) == 2


@pytest.mark.parametrize(
    "wrong,said",
    [
        (["--batch", "0"], "at least 1"),
        (["--image-guidance", "-1"], "at least 0"),
        (["--text-temperature", "0"], "--greedy"),
        (["--text-top-p", "1.5"], "at most 1"),
        (["--max-tokens", "0"], "at least 1"),
        (["--context", "nowhere.png"], "nowhere.png"),
        (["--context", "nowhere.json"], "nowhere.json"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(config, tmp_path, capsys, wrong, said):
    assert generate.main(["--config", config, "--instruction", "x", "--output", str(tmp_path / "out"), *wrong]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_written_pictures_are_what_answer_json_names():
    shown = [Text("One."), PIL.Image.new("RGB", (8, 4), "red"), PIL.Image.new("RGB", (8, 4), "blue")]
    files = answers.files(answers.GenerationResult("", "x", [], Answer((), True, 1), shown), {"model": "m"})
    assert list(files) == ["answer.json", "00.png", "01.png"]
    assert json.loads(files["answer.json"])["output"] == [
        {"type": "text", "text": "One."},
        {"type": "image", "image": "00.png", "width": 8, "height": 4},
        {"type": "image", "image": "01.png", "width": 8, "height": 4},
    ]
