from __future__ import annotations

import json
import pathlib
import random
import subprocess
import sys
import types

import pytest
import torch
from safetensors.torch import load_file

from models import HELD_OUT
from models.dual_encoder import measures, train
from models.dual_encoder.build import PROJECTIONS, build
from models.dual_encoder.data import Features, Item, Towers, features
from pipeline.coherence.scorer import Scorer
from pipeline.coherence.version import clip_version
from tests.tiny_clip import document, dual_encoder_folder, parts, picture

BUILT = pathlib.Path("build/models/coherence")
OFFLINE = """
import sys, torch, torch_compat, open_clip
model, _, preprocess = open_clip.create_model_and_transforms(sys.argv[1])
with torch.no_grad():
    torch.save(model.eval().encode_image(torch.linspace(-1, 1, 3 * 224 * 224).reshape(1, 3, 224, 224)), sys.argv[2])
"""
NO_NAMES = types.SimpleNamespace(loss=lambda model, vectors, looks: 0.0)


def world(pictures=120, seed=0) -> Features:
    """Pictures and texts of the same hidden things, seen through two different random maps, with noise."""
    made = torch.Generator().manual_seed(seed)
    things = torch.randn(pictures, 8, generator=made)
    see, say = torch.randn(8, 64, generator=made), torch.randn(8, 32, generator=made)
    texts = (things @ say).repeat_interleave(3, 0) + 0.3 * torch.randn(3 * pictures, 32, generator=made)
    items = [
        Item(i, i, HELD_OUT[0] if i % 3 == 0 else "other", (3 * i, 3 * i + 1), (3 * i + 2,)) for i in range(pictures)
    ]
    return Features(items, things @ see, texts)


def test_open_clip_loads_the_built_folder_offline(tmp_path):
    image_weights, text_folder, tower = parts(tmp_path / "parts")
    head = torch.randn(256, 1280)
    build(
        image_weights,
        text_folder,
        tmp_path / "made",
        final=tmp_path / "moved",
        projections={"visual.head.proj.weight": head, "text.proj.weight": torch.randn(256, 32)},
    )
    (tmp_path / "made").rename(tmp_path / "moved")
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, f"local-dir:{tmp_path}/moved", tmp_path / "vector.pt"],
        env={"HF_HUB_OFFLINE": "1", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    pixels = torch.linspace(-1, 1, 3 * 224 * 224).reshape(1, 3, 224, 224)
    with torch.no_grad():
        expected = tower.global_pool(tower.forward_features(pixels)) @ head.T
    assert torch.allclose(torch.load(tmp_path / "vector.pt"), expected, atol=1e-3)


def test_weights_of_another_tower_are_refused(tmp_path):
    image_weights, text_folder, _ = parts(tmp_path / "parts")
    packaged = torch.load(image_weights)
    torch.save(dict(reversed(packaged.items())), image_weights)
    with pytest.raises(ValueError, match="has the shape"):
        build(image_weights, text_folder, tmp_path / "made", projections={})


def test_committed_projections_are_small_and_sound():
    weights = load_file(PROJECTIONS)
    assert {name: tuple(value.shape) for name, value in weights.items()} == {
        "visual.head.proj.weight": (256, 1280),
        "text.proj.weight": (256, 384),
    }
    assert all(value.isfinite().all() for value in weights.values())
    assert PROJECTIONS.stat().st_size < 3_000_000


def test_towers_are_those_of_the_model_without_projections(tmp_path):
    name = dual_encoder_folder(tmp_path / "model")
    towers, scorer = Towers(name), Scorer(name)
    heads = load_file(tmp_path / "model" / "open_clip_model.safetensors")
    found = towers.pictures(["1", "2"], picture) @ heads["visual.head.proj.weight"].T
    wanted = scorer.image_vectors(["1", "2"], picture)
    for row, sha256 in zip(found, wanted, strict=True):
        assert torch.cosine_similarity(row, torch.tensor(wanted[sha256]), dim=0) > 0.99
    texts = ["the red cat", "a board in the wood of the house and the sun and the rain and the wind", "paint"]
    found = towers.texts(texts) @ heads["text.proj.weight"].T
    wanted = scorer.text_vectors(texts)
    for row, text in zip(found, texts, strict=True):
        assert torch.cosine_similarity(row, torch.tensor(wanted[text]), dim=0) > 0.99


def test_features_are_kept_for_the_next_run(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    picture("1").save(tmp_path / "images" / "a.png")
    (tmp_path / "docs.jsonl").write_text(
        json.dumps(
            {
                "id": "1",
                "source": HELD_OUT[0],
                "segments": [
                    {"text": "The red cat. In the sun."},
                    {"image": "a.png", "alt": "a cat", "caption": " "},
                    {"text": "Paint."},
                ],
            }
        )
    )
    name = dual_encoder_folder(tmp_path / "model")
    made = features(str(tmp_path / "docs.jsonl"), tmp_path / "work", name)
    assert made.items == [Item(0, 0, HELD_OUT[0], (0, 1, 2), (3,))] and made.items[0].held_out
    assert (made.pictures.shape, made.texts.shape) == ((1, 1280), (4, 32))
    monkeypatch.setattr(Towers, "__init__", lambda *_: pytest.fail("computed again"))
    again = features(str(tmp_path / "docs.jsonl"), tmp_path / "work", name)
    assert torch.equal(again.texts, made.texts) and torch.equal(again.pictures, made.pictures)


def test_training_joins_the_towers_on_sources_that_it_does_not_see():
    data = world()
    held_out = [item for item in data.items if item.held_out]
    torch.manual_seed(0)
    before = train.held_out_figures(train.Projections(64, 32), data)
    after = train.held_out_figures(train.train(data, NO_NAMES, seed=0, epochs=100, batch=40), data)
    assert before["pictures"] == after["pictures"] == len(held_out) == 40
    assert before["auc"] < 0.7 and after["auc"] > 0.9
    assert before["recall_1"] < 0.15 and after["recall_10"] > 0.9


def test_training_repeats():
    first, second = (train.train(world(), NO_NAMES, seed=3, epochs=2, batch=40).weights() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_held_out_sources_do_not_touch_the_weights():
    data = world()
    pictures = data.pictures.clone()
    pictures[[item.picture for item in data.items if item.held_out]] = 100.0
    other = Features(data.items, pictures, data.texts)
    first, second = (train.train(d, NO_NAMES, seed=0, epochs=2, batch=40).weights() for d in (data, other))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_same_picture_elsewhere_is_no_wrong_answer():
    logits = torch.tensor([[2.0, 9.0, 0.0], [9.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
    twice, distinct = torch.tensor([7, 7, 8]), torch.tensor([7, 6, 8])
    assert train.info_nce(logits, twice) < 0.3 < 3 < train.info_nce(logits, distinct)


def test_all_parts_of_the_loss_teach():
    data, names = world(), types.SimpleNamespace(loss=lambda model, vectors, looks: looks.sum() * 0)
    model = train.Projections(64, 32).eval()
    train.loss_of(model, data, data.items[:20], names, random.Random(0)).backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_auc_counts_ties_half():
    positive, negative = torch.tensor([0.5, 0.9]), torch.tensor([0.5, 0.1, 0.9, 0.2])
    pairs = [(p > n) + (p == n) / 2 for p in positive.tolist() for n in negative.tolist()]
    assert measures.auc(positive, negative) == pytest.approx(sum(pairs) / len(pairs))


def test_measures_of_a_perfect_and_of_a_wrong_model():
    eye = torch.eye(4)
    items = [
        Item(0, 0, "a", (0,), (0,)),
        Item(1, 0, "a", (1,), (1,)),
        Item(2, 1, "a", (2,), ()),
        Item(3, 2, "b", (3,), (3,)),
        Item(3, 3, "b", (), (3,)),
    ]
    perfect = measures.measures(items, eye, eye)
    assert perfect == {
        "auc": 1.0,
        "auc_source": 1.0,
        "auc_document": 1.0,
        "recall_1": 1.0,
        "recall_10": 1.0,
        "pictures": 4,
        "described": 3,
    }
    wrong = measures.measures(items, eye, eye[[1, 0, 3, 2]])
    assert wrong["auc_document"] == 0.0 and wrong["recall_1"] < 0.5 and wrong["auc"] < 0.5


def test_the_page_shows_mean_range_and_the_committed_seed():
    run = dict.fromkeys(("auc", "auc_source", "auc_document", "recall_1", "recall_10"), 0.5) | {
        "pictures": 9,
        "described": 5,
    }
    text = train.page([run | {"auc": 0.7}, run | {"auc": 0.8}], [run, run], 0.95, "python -m x")
    assert "| 0.500 (0.500 to 0.500) | 0.750 (0.700 to 0.800) | 0.700 |" in text
    assert "9 images" in text and "the 5 that" in text and "0.950" in text and "`python -m x`" in text


@pytest.fixture(scope="module")
def built():
    if not BUILT.is_dir():
        pytest.skip(f"{BUILT} is not there: run `make models`")
    return Scorer(f"local-dir:{BUILT}")


def test_the_built_model_knows_a_cat_from_a_cup(built):
    data = pytest.importorskip("skimage.data", reason="scikit-image has the photographs")
    import PIL.Image

    photographs = {"cat": data.chelsea(), "cup": data.coffee()}
    pages = [document("A cat looks at you.", 1), document("A cup of coffee stands on the table.", 1)]
    for sha256, pixels in photographs.items():
        cat, cup = (score.matched[0] for score in built.score(pages, lambda _, p=pixels: PIL.Image.fromarray(p)))
        assert (cat > cup) == (sha256 == "cat")
        built.forget()


def test_the_built_model_holds_the_committed_projections(built):
    weights = load_file(BUILT / "open_clip_model.safetensors")
    for name, value in load_file(PROJECTIONS).items():
        assert torch.equal(weights[name], value)
    assert built.version == clip_version(f"local-dir:{BUILT}", None)
