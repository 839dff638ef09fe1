"""Adapters and trained weights that a run would train in vain are refused before it begins."""

import dataclasses

import pytest
import torch

from moss import backbones, train
from moss.training import placement
from schemas.errors import UserError
from tests.moss import small


def settings(tmp_path, name="chameleon", **adapter):
    made = small.settings("none", tmp_path, adapter=adapter)
    return dataclasses.replace(made, backbone=dataclasses.replace(made.backbone, name=name))


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")  # Janus's tiny configuration
@pytest.mark.parametrize("name", backbones.NAMES)
def test_what_a_backbone_names_itself_and_its_output_layer_as_a_whole_are_trained(tmp_path, name):
    made = train.build(settings(tmp_path, name, modules_to_save=("lm_head",)))
    assert len(placement.adapted(made)) == 2 * 7
    assert train.sizes(made).endswith("of all); adapted layers: 14")
    assert any(".modules_to_save." in name for name, p in made.named_parameters() if p.requires_grad)


def test_a_part_of_januss_image_head_is_trained_whole(tmp_path):
    made = train.build(settings(tmp_path, "janus", modules_to_save=("generation_head", "generation_embeddings")))
    whole = [name for name, p in made.named_parameters() if p.requires_grad and ".modules_to_save." in name]
    assert {"generation_head", "generation_embeddings"} == {
        name.split(".modules_to_save")[0].split(".")[-1] for name in whole
    }


@pytest.mark.parametrize("kind", ["lora", "moss"])
def test_an_adapter_on_the_output_layer_is_refused(tmp_path, kind):
    """Image logits come from a part of its weight, which an adapter does not change."""
    for target in (r".*(q_proj|lm_head)", "lm_head"):
        with pytest.raises(UserError, match=r"the output layer, lm_head, .* adapter.modules_to_save: \[lm_head\]"):
            train.build(settings(tmp_path, kind=kind, target_modules=target))


@pytest.mark.parametrize(
    "name, part", [("janus", r"vision_model\.encoder\.layers\.0"), ("emu3", r"vqmodel\.encoder"), ("janus", "head")]
)
def test_an_adapter_outside_the_decoder_is_refused(tmp_path, name, part):
    target = r".*generation_head\.(proj_out|vision_head)" if part == "head" else r".*\.(q_proj|v_proj)"
    with pytest.raises(UserError, match=rf"\d+ layers that are not of the text decoder \(.*{part}.*let it name"):
        train.build(settings(tmp_path, name, target_modules=target))


def test_a_whole_module_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UserError, match="adapter.modules_to_save: ChameleonForInterleaved has no module lm_haed"):
        train.build(settings(tmp_path, modules_to_save=("lm_head", "lm_haed")))


def test_a_weight_that_would_be_trained_and_not_saved_is_refused(tmp_path, monkeypatch):
    made = small.bare()
    monkeypatch.setattr(backbones, "load", lambda *_, **__: made)
    made.resampler = torch.nn.Linear(4, 4)
    with pytest.raises(UserError, match="resampler.weight would be trained, but not saved"):
        train.build(settings(tmp_path))


@pytest.mark.parametrize("module", ["extra", "resampler"])
def test_weights_in_extra_and_frozen_ones_are_not(tmp_path, monkeypatch, module):
    made = small.bare()
    monkeypatch.setattr(backbones, "load", lambda *_, **__: made)
    made.add_module(module, torch.nn.Linear(4, 4).requires_grad_(module == "extra"))
    assert train.build(settings(tmp_path)) is made
