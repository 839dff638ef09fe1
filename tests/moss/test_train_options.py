"""What a run may do besides: validate, prune, track, train whole modules."""

# ruff: noqa: F811 - fixtures of another module are imported by their names

import dataclasses
import shutil

import pytest
import torch
from accelerate.utils import LoggerType
from safetensors.torch import load_file

from moss import backbones, data, train
from moss.training import checkpoints
from schemas.errors import UserError
from tests.moss import small
from tests.moss.test_train import alone, assert_same, events, result, run, shards  # noqa: F401


def test_validation_pruning_and_rates_by_branch(shards, tmp_path):
    settings = small.settings(
        shards,
        tmp_path,
        data={"held_out_sources": ("source-1",)},
        steps=4,
        save_every=1,
        keep=2,
        validate_every=2,
        learning_rate_image=0.002,
    )
    run(settings)
    logged = events(tmp_path)
    assert len(logged["validation/text"]) == 2 and len(logged["loss/text"]) == 4
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-00000003", "checkpoint-00000004"]
    groups = torch.load(tmp_path / "checkpoint-00000004" / "optimizer.pt", weights_only=True)["param_groups"]
    assert groups[0]["lr"] == pytest.approx(5 * groups[1]["lr"])


def test_the_validation_loss_is_the_mean_over_targets_whatever_the_rows(shards, tmp_path, monkeypatch):
    """Before and after, each sample counts once: also where a batch has room for more rows than there are."""
    found = {}
    measure = train.validate

    def keeping(accelerator, model, batches):
        found[rows] = measure(accelerator, model, batches)
        return found[rows]

    monkeypatch.setattr(train, "validate", keeping)
    monkeypatch.setattr(
        train, "train_step", lambda *_, **__: {"stop": 0.0, "tokens": 1.0, "loss/text": 0, "loss/image": 0}
    )
    for rows in (1, 2, 5):
        settings = small.settings(
            shards,
            tmp_path / str(rows),
            data={"length": 190, "held_out_sources": ("source-1",)},
            steps=1,
            warmup=0,
            rows=rows,
            validate_every=1,
        )
        run(settings)
    made = train.build(settings).eval()
    held_out = data.open_samples(shards, made, max_length=190, progress=False, sources=("source-1",))
    sums = torch.zeros(2, 2)
    for number in range(len(held_out)):
        batch = data.collate([[held_out[number]]], 190, made.layout, made.tokenizer.pad)
        with torch.no_grad():
            scores = made(batch)
        for at, (loss, of) in enumerate(((scores.text_loss, batch.text_of), (scores.image_loss, batch.image_of))):
            sums[at] += torch.tensor([loss[of >= 0].sum(), (of >= 0).sum()])
    assert len(held_out) % 2 and len(held_out) > 1
    for rows in (1, 2, 5):
        assert found[rows]["validation/text"] == pytest.approx(float(sums[0, 0] / sums[0, 1]), rel=1e-5)
        assert found[rows]["validation/image"] == pytest.approx(float(sums[1, 0] / sums[1, 1]), rel=1e-5)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_whole_modules_over_a_bf16_base_take_steps_that_bf16_would_round_away(shards, tmp_path, precision):
    """Its weights are about 0.3, where the next number in bfloat16 is more than 0.001 away."""
    adapter = {"modules_to_save": ("lm_head",)}
    settings = small.settings(
        shards, tmp_path / "out", adapter=adapter, steps=2, warmup=0, learning_rate_extra=1e-5, precision=precision
    )
    settings = dataclasses.replace(settings, backbone=dataclasses.replace(settings.backbone, dtype="bfloat16"))
    run(settings)
    saved = load_file(tmp_path / "out" / "checkpoint-00000002" / "adapter" / "adapter_model.safetensors")
    [name] = [name for name in saved if "lm_head" in name]
    moved = saved[name] - small.bare(torch.bfloat16).plain_model.lm_head.weight.float()
    assert saved[name].dtype == torch.float32 and 0 < moved.abs().max() < 3e-5
    assert (moved != 0).float().mean() > 0.5
    loaded = checkpoints.load_weights(tmp_path / "out" / "checkpoint-00000002", small.bare(torch.bfloat16))
    hidden = torch.randn(3, 16, dtype=torch.bfloat16)
    low, high = loaded.layout.low, loaded.layout.high
    torch.testing.assert_close(loaded.image_logits(hidden), (hidden.float() @ saved[name][low:high].T))
    torch.testing.assert_close(loaded.text_logits(hidden), (hidden.float() @ saved[name].T).bfloat16())


def test_accelerates_own_accumulation_is_refused(tmp_path, monkeypatch):
    """It would divide the gradients a second time."""
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "8")
    with pytest.raises(UserError, match="set to 8 gradient accumulation steps, .* and set training.accumulate"):
        run(small.settings("none", tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_trackers_that_cannot_be_used_are_said_before_anything_is_loaded(tmp_path, monkeypatch, capsys):
    def load(*_, **__):
        raise AssertionError("loaded")

    monkeypatch.setattr(backbones, "load", load)
    with pytest.raises(UserError, match="there is no tracker 'tensorbord'; choose among .*tensorboard, .*wandb"):
        run(small.settings("none", tmp_path, trackers=("tensorboard", "tensorbord")))
    monkeypatch.setattr("moss.training.trackers.get_available_trackers", lambda: [LoggerType.TENSORBOARD])
    with pytest.raises(UserError, match="wandb is not installed; install its package, or leave it out"):
        run(small.settings("none", tmp_path, trackers=("tensorboard", "wandb")))
    assert list(tmp_path.iterdir()) == []


def test_whole_modules_are_trained_saved_and_resumed(shards, tmp_path):
    """lm_head beside the adapters, with its own rate; its weights are in the checkpoint and in the loaded run."""
    adapter = {"modules_to_save": ("lm_head",)}
    settings = small.settings(shards, tmp_path / "out", adapter=adapter, save_every=2, learning_rate_extra=0.02)
    run(settings)
    shutil.copytree(tmp_path / "out" / "checkpoint-00000002", tmp_path / "again" / "checkpoint-00000002")
    run(dataclasses.replace(settings, output=str(tmp_path / "again")), resume=True)
    assert_same(result(tmp_path / "again", 6), result(tmp_path / "out", 6))
    groups = torch.load(tmp_path / "out" / "checkpoint-00000006" / "optimizer.pt", weights_only=True)["param_groups"]
    text, image, extra = (group["lr"] for group in groups)
    assert extra == pytest.approx(2 * text) and image == pytest.approx(text) and text > 0
    start = small.bare().plain_model.lm_head.weight
    saved = load_file(tmp_path / "out" / "checkpoint-00000006" / "adapter" / "adapter_model.safetensors")
    [name] = [name for name in saved if "lm_head" in name]
    assert saved[name].shape == start.shape and not torch.allclose(saved[name], start, atol=1e-3)
    loaded = checkpoints.load_weights(tmp_path / "out" / "checkpoint-00000006", small.bare())
    hidden = torch.randn(3, 16)
    low, high = loaded.layout.low, loaded.layout.high
    torch.testing.assert_close(loaded.text_logits(hidden), hidden @ saved[name].T)
    torch.testing.assert_close(loaded.image_logits(hidden), hidden @ saved[name][low:high].T)
