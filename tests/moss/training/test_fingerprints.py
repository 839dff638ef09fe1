"""A backbone is known by its frozen weights, wherever in a tensor they differ; an answer by all weights and settings."""

import dataclasses
import json

import pytest
import torch

from moss import backbones, evaluate, generate
from moss.training import checkpoints, fingerprints, runs
from moss.training.checkpoints import Position
from schemas.errors import UserError
from tests.moss import small
from tests.moss.training.test_checkpoints import stepped, with_projections


def test_a_backbone_has_one_fingerprint_with_adapters_and_without():
    expected = fingerprints.backbone(small.bare())
    for adapter in ({}, {"r": 8}, {"modules_to_save": ["lm_head"]}):
        made = small.adapted(**adapter)
        assert fingerprints.backbone(made) == expected
        assert fingerprints.backbone(with_projections(made)) == expected  # new weights, which are trained
    made.extra.requires_grad_(False)  # published ones, as Emu2's, which are not
    frozen = fingerprints.backbone(made)
    made.extra["up"].weight += 1
    assert len({expected, frozen, fingerprints.backbone(made)}) == 3


@pytest.mark.parametrize("row", [0, 100, 319])
def test_a_change_far_into_a_tensor_is_seen(row):
    made = small.adapted()
    with torch.no_grad():
        made.plain_model.lm_head.weight[row] += 1
    assert fingerprints.backbone(made) != fingerprints.backbone(small.bare())
    assert fingerprints.whole(made) != fingerprints.whole(small.adapted())


def test_rows_that_only_anole_trained_are_seen_in_a_large_output_layer():
    """Rows 4 to 8195 of 65,536, in any one column of 64."""
    head = torch.nn.Linear(64, 65_536, bias=False)
    expected = fingerprints.backbone(head)
    for column in (0, 1, 37, 63):
        with torch.no_grad():
            head.weight[4:8196, column] += 1
        assert fingerprints.backbone(head) != expected
        with torch.no_grad():
            head.weight[4:8196, column] -= 1


def test_a_type_that_holds_the_same_values_has_the_same_fingerprint():
    head = torch.nn.Linear(64, 100, bias=False).bfloat16()
    assert fingerprints.backbone(head) == fingerprints.backbone(head.float())


@pytest.mark.parametrize("settings", [{"alpha": 3.0}, {"alpha_image": 0}, {"dropout": 0.5}])
def test_answers_under_other_settings_have_another_fingerprint(settings):
    one, other = small.adapted(), small.adapted(**settings)
    other.load_state_dict(one.state_dict())
    assert fingerprints.whole(one) != fingerprints.whole(other)
    assert fingerprints.backbone(one) == fingerprints.backbone(other)


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(backbones, "load", lambda name, path, dtype, **_: small.bare(dtype))
    generalist, settings = small.adapted(), small.settings("s", tmp_path)
    position = Position(1, backbone=fingerprints.backbone(small.bare()))
    return checkpoints.save(str(tmp_path), generalist, stepped(generalist), position, settings, writes=True)


def another(name, path, dtype, **_):
    made = small.bare(dtype)
    with torch.no_grad():
        made.plain_model.model.layers[1].mlp.down_proj.weight[5] *= 1.1
    return made


def test_a_run_is_not_loaded_on_another_backbone(checkpoint, tmp_path, monkeypatch, capsys):
    assert runs.load_run(checkpoint).plain_model is not None
    monkeypatch.setattr(backbones, "load", another)
    for adapters in (True, False):
        with pytest.raises(UserError, match="was trained on another backbone than tiny holds now; put that one back"):
            runs.load_run(checkpoint, adapters=adapters)
    output = str(tmp_path / "out")
    assert generate.main(["--checkpoint", str(checkpoint), "--instruction", "Go.", "--output", output]) == 2
    assert "moss.generate: " in (said := capsys.readouterr().err) and "put that one back there" in said
    assert evaluate.main(["--shards", "s", "--sources", "a", "--runs", f"moss={checkpoint}", "--output", output]) == 2
    assert "put that one back there" in capsys.readouterr().err


@pytest.mark.parametrize("known", [None, "0123456789ab"], ids=["without", "of eight values a tensor"])
def test_an_earlier_versions_run_is_loaded_with_a_warning(checkpoint, known):
    state = json.loads((checkpoint / "state.json").read_text())
    del state["backbone"]
    (checkpoint / "state.json").write_text(json.dumps(state if known is None else state | {"backbone": known}))
    with pytest.warns(UserWarning, match="make sure that tiny holds the one that it was trained on"):
        loaded = runs.load_run(checkpoint)
    assert dataclasses.asdict(loaded.model.peft_config["default"])["r"] == 4
