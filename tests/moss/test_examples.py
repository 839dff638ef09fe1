"""The examples of use without `moss.train`: transformers' Trainer, and the loader in a loop of one's own."""

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from examples import moss_loader, moss_trainer
from moss.backbones import chameleon
from tests.schemas import example


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    example.write(folder)
    return str(folder)


def test_the_trainer_trains_saves_resumes_and_its_adapter_loads(shards, tmp_path):
    wanted = {"max_steps": 4, "save_steps": 2, "use_cpu": True, "logging_steps": 1, "disable_tqdm": True}
    trainer = moss_trainer.train(shards, str(tmp_path / "whole"), **wanted)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 4 and losses[-1] < losses[0]
    whole = load_file(tmp_path / "whole" / "checkpoint-4" / "adapter_model.safetensors")
    assert any("moss_image_" in name for name in whole)
    moss_trainer.train(shards, str(tmp_path / "again"), **{**wanted, "max_steps": 2, "lr_scheduler_type": "constant"})
    moss_trainer.train(shards, str(tmp_path / "again"), resume=True, **{**wanted, "lr_scheduler_type": "constant"})
    again = load_file(tmp_path / "again" / "checkpoint-4" / "adapter_model.safetensors")
    half = load_file(tmp_path / "again" / "checkpoint-2" / "adapter_model.safetensors")
    assert any(not torch.equal(again[name], half[name]) for name in half)
    loaded = PeftModel.from_pretrained(chameleon.tiny().plain_model, tmp_path / "whole" / "checkpoint-4")
    name, value = next((n, p) for n, p in loaded.named_parameters() if "moss_image_" in n)
    assert torch.equal(value, whole[name.replace(".default", "")])


def test_padding_is_neither_read_nor_learnt(shards):
    made = chameleon.tiny()
    dataset = moss_trainer.data.open_samples(shards, made, max_length=1024, progress=False)
    one, other = sorted((dataset[0], dataset[1]), key=lambda sample: len(sample.ids))
    batch = moss_trainer.Collator(made.tokenizer.pad)([one, other])
    n = len(one.ids)
    assert batch["attention_mask"].sum(1).tolist() == [n, len(other.ids)]
    assert (batch["labels"][0, n:] == -100).all() and (batch["labels"][0, :n] >= 0).tolist() == one.trained.tolist()


def test_the_loader_feeds_a_loop_of_ones_own(shards):
    losses = moss_loader.train(shards, steps=8)
    assert losses[-1][0] < losses[0][0] and losses[-1][1] < losses[0][1]
