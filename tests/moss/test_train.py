import dataclasses
import pathlib
import shutil
import signal

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from moss import backbones, data, train
from moss.training import checkpoints
from schemas.codec import key_of
from schemas.errors import UserError
from tests.moss import small
from tests.schemas import example

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    example.write(folder)
    return folder


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Every run begins as a process of its own would; the backbone is a small one."""
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr(backbones, "load", lambda name, path, dtype, **_: small.bare(dtype))
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def run(settings, **options):
    AcceleratorState._reset_state(reset_partial_state=True)
    return train.train(settings, **options)


def result(output, step) -> dict[str, torch.Tensor]:
    folder = f"{output}/checkpoint-{step:08d}"
    moments = torch.load(f"{folder}/optimizer.pt", weights_only=True)["state"]
    weights = load_file(f"{folder}/adapter/adapter_model.safetensors")
    return weights | {f"{name}.{kind}": value for name, state in moments.items() for kind, value in state.items()}


def assert_same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def uninterrupted(shards, tmp_path_factory):
    """Six steps of two micro-batches, three epochs and a half of them; with dropout, so that its draws count too."""
    output = tmp_path_factory.mktemp("uninterrupted")
    patch = pytest.MonkeyPatch()
    patch.setattr(backbones, "load", lambda name, path, dtype, **_: small.bare(dtype))
    settings = small.settings(shards, output, adapter={"dropout": 0.2}, accumulate=2, save_every=1)
    assert run(settings).step == 6
    patch.undo()
    return settings


@pytest.mark.parametrize("step, workers", [(1, 0), (4, 0), (3, 1)])
def test_a_resumed_run_ends_as_an_uninterrupted_one_bit_for_bit(uninterrupted, tmp_path, step, workers):
    place = f"checkpoint-{step:08d}"
    shutil.copytree(f"{uninterrupted.output}/{place}", tmp_path / place)
    position = checkpoints.resume_position(tmp_path / place, uninterrupted)
    assert position.start > 0  # in the middle of an epoch
    again = dataclasses.replace(
        uninterrupted, output=str(tmp_path), data=dataclasses.replace(uninterrupted.data, workers=workers)
    )
    assert run(again, resume=True).step == 6
    assert_same(result(tmp_path, 6), result(uninterrupted.output, 6))


def test_a_run_goes_on_with_shards_that_moved_but_not_with_others(shards, uninterrupted, tmp_path):
    shutil.copytree(shards, tmp_path / "moved")
    example.write(tmp_path / "others", 5)
    shutil.copytree(f"{uninterrupted.output}/checkpoint-00000005", tmp_path / "out" / "checkpoint-00000005")
    settings = dataclasses.replace(uninterrupted, output=str(tmp_path / "out"))
    with pytest.raises(UserError, match="was trained on other shards than .*others holds now; give these back"):
        run(dataclasses.replace(settings, shards=str(tmp_path / "others")), resume=True)
    run(dataclasses.replace(settings, shards=str(tmp_path / "moved")), resume=True)
    assert_same(result(settings.output, 6), result(uninterrupted.output, 6))


def test_a_run_goes_on_with_other_micro_batches_of_the_same_step(shards, tmp_path):
    """As another number of GPUs needs: the same rows in every step, so the same weights up to rounding."""
    settings = small.settings(shards, tmp_path / "whole", accumulate=2, save_every=2)
    run(settings)
    shutil.copytree(tmp_path / "whole" / "checkpoint-00000002", tmp_path / "again" / "checkpoint-00000002")
    other = dataclasses.replace(
        settings, output=str(tmp_path / "again"), training=dataclasses.replace(settings.training, rows=4, accumulate=1)
    )
    assert run(other, resume=True).step == 6
    again, before = (
        load_file(f"{tmp_path}/{name}/checkpoint-00000006/adapter/adapter_model.safetensors")
        for name in ("again", "whole")
    )
    start = load_file(f"{tmp_path}/whole/checkpoint-00000002/adapter/adapter_model.safetensors")
    for name, value in before.items():
        torch.testing.assert_close(again[name], value, rtol=1e-2, atol=1e-4)
        assert not torch.allclose(start[name], value, rtol=1e-2, atol=1e-4)


def test_a_run_does_not_go_on_over_another_backbone(uninterrupted, tmp_path, monkeypatch):
    def another(name, path, dtype, **_):
        made = small.bare(dtype)
        with torch.no_grad():
            made.plain_model.lm_head.weight.add_(1)
        return made

    shutil.copytree(f"{uninterrupted.output}/checkpoint-00000003", tmp_path / "checkpoint-00000003")
    monkeypatch.setattr(backbones, "load", another)
    with pytest.raises(UserError, match="was trained on another backbone than tiny holds now"):
        run(dataclasses.replace(uninterrupted, output=str(tmp_path)), resume=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_step_saves_and_can_be_resumed(uninterrupted, tmp_path, monkeypatch, number, capsys):
    drawn = data.batches

    def interrupting(*args, **options):
        for batch in drawn(*args, **options):
            signal.raise_signal(number)
            yield batch

    settings = dataclasses.replace(
        uninterrupted, output=str(tmp_path), training=dataclasses.replace(uninterrupted.training, save_every=100)
    )
    monkeypatch.setattr(data, "batches", interrupting)
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(signal, "getsignal", lambda n: signal.SIG_IGN)  # the second and third signal do nothing here
    try:
        assert run(settings).step == 1
    finally:
        monkeypatch.undo()
        for one, handler in before.items():  # a program that a later test starts would ignore what is ignored here
            signal.signal(one, handler)
    assert [p.name for p in tmp_path.glob("checkpoint-*")] == ["checkpoint-00000001"]
    assert "stopped after step 1; --resume goes on from there" in capsys.readouterr().out
    assert_same(result(tmp_path, 1), result(uninterrupted.output, 1))


def test_only_the_adapters_are_trained_and_their_loss_falls(shards, tmp_path, capsys):
    settings = small.settings(shards, tmp_path, steps=15, learning_rate=0.03, save_every=15)
    run(settings)
    said = capsys.readouterr().out
    assert "data: 7 instances; left out: 0 longer than 320 tokens" in said
    assert "trainable parameters: text 1,280, image 1,600 (" in said
    weights = result(tmp_path, 15)
    assert all("moss_" in name for name in weights)
    logged = events(tmp_path)
    assert logged["loss/text"][-1] < 0.8 * logged["loss/text"][0]
    assert logged["loss/image"][-1] < logged["loss/image"][0]
    assert set(logged) >= {
        "gradient_norm/text",
        "gradient_norm/image",
        "tokens_per_second",
        "image_fraction",
        "z_squared",
        "learning_rate",
        "epoch",
    }
    assert logged["learning_rate"][:3] == pytest.approx([0.015, 0.03, 0.03]) and len(logged["epoch"]) == 15


def events(output) -> dict[str, list[float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(next(output.rglob("events*")).parent))
    read.Reload()
    return {name: [event.value for event in read.Scalars(name)] for name in read.Tags()["scalars"]}


def test_gradient_checkpointing_changes_nothing(shards, tmp_path):
    for name, checkpointing in (("plain", False), ("again", True)):
        run(small.settings(shards, tmp_path / name, steps=2, warmup=0, gradient_checkpointing=checkpointing))
    assert_same(result(tmp_path / "plain", 2), result(tmp_path / "again", 2))


def test_bf16_over_a_bf16_base_keeps_the_adapters_in_float32(shards, tmp_path):
    settings = small.settings(shards, tmp_path, steps=3, warmup=0, precision="bf16")
    run(dataclasses.replace(settings, backbone=dataclasses.replace(settings.backbone, dtype="bfloat16")))
    assert {value.dtype for value in result(tmp_path, 3).values()} == {torch.float32}


def test_losses_that_are_not_finite_stop_the_run_and_name_the_sample(shards, tmp_path, monkeypatch):
    def broken(name, path, dtype, **_):
        generalist = small.bare(dtype)
        with torch.no_grad():
            generalist.model.model.embed_tokens.weight[3 + ord("5")] = float("nan")
        return generalist

    monkeypatch.setattr(backbones, "load", broken)
    with pytest.raises(UserError) as error:  # every sample has a row of its own, and "5" stands in one of them
        run(small.settings(shards, tmp_path, rows=7, data={"length": 190}))
    assert str(error.value) == (
        "step 1: loss/text is nan, loss/image is nan, z_squared is nan, gradient_norm/text is nan, gradient_norm/image "
        f"is nan, at {key_of('doc-5')}; lower training.learning_rate, or look at these instances"
    )
    assert checkpoints.latest(str(tmp_path)) is None


def test_a_run_is_not_written_over(shards, tmp_path):
    run(small.settings(shards, tmp_path, steps=1, warmup=0))
    with pytest.raises(UserError, match="holds checkpoint-00000001 of an earlier run; give --resume to go on"):
        run(small.settings(shards, tmp_path, steps=1, warmup=0))


def test_a_run_does_not_go_on_to_fewer_steps_than_it_has_taken(uninterrupted):
    fewer = dataclasses.replace(uninterrupted, training=dataclasses.replace(uninterrupted.training, steps=4))
    with pytest.raises(UserError, match="checkpoint-00000006 has taken 6 steps, and training.steps is 4"):
        run(fewer, resume=True)


def test_the_command_reads_overrides_and_says_what_is_wrong(shards, tmp_path, capsys, monkeypatch):
    config = [
        "--config",
        "configs/moss_demo.yaml",
        "--set",
        f"shards={shards}",
        "--set",
        f"output={tmp_path}/out",
        "--set",
        "training.steps=1",
        "--set",
        "training.warmup=0",
        "--set",
        "data.length=320",
    ]
    monkeypatch.chdir(ROOT)
    assert train.main([*config, "--set", "training.batch=3"]) == 2
    assert "moss.train: configs/moss_demo.yaml: unknown key training.batch" in capsys.readouterr().err
    assert train.main([*config, "--set", "adapter.kernel_size=9"]) == 2
    assert "moss.train: adapter: kernel_size 9 does not fit into a grid of 2 x 3" in capsys.readouterr().err
    assert train.main(config) == 0
    assert (tmp_path / "out" / "checkpoint-00000001" / "adapter" / "adapter_config.json").exists()
