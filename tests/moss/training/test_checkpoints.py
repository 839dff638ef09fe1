import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from moss.settings import Training
from moss.training import checkpoints, runs
from moss.training.checkpoints import Position
from schemas.errors import UserError
from tests.moss import small


def stepped(generalist) -> torch.optim.AdamW:
    optimizer = torch.optim.AdamW([p for p in generalist.parameters() if p.requires_grad], lr=0.01)
    batch = small.batches(4)[0]
    scores = generalist(batch)
    others = sum(p.square().sum() for name, p in generalist.named_parameters() if name.startswith("extra."))
    (scores.text_loss.mean() + scores.image_loss.mean() + others).backward()
    optimizer.step()
    optimizer.zero_grad()
    return optimizer


def with_projections(generalist):
    torch.manual_seed(1)
    generalist.extra = torch.nn.ModuleDict({"up": torch.nn.Linear(2, 3), "down": torch.nn.Linear(3, 2)})
    return generalist


def test_weights_and_moments_come_back_bit_for_bit(tmp_path):
    settings, generalist = small.settings("s", tmp_path), with_projections(small.adapted())
    optimizer = stepped(generalist)
    folder = checkpoints.save(str(tmp_path), generalist, optimizer, Position(7, 1, 3), settings, writes=True)
    assert sorted(p.name for p in folder.iterdir()) == ["adapter", "extra.safetensors", "optimizer.pt", "state.json"]
    assert all("moss_" in name for name in load_file(folder / "adapter" / "adapter_model.safetensors"))

    again = with_projections(small.bare())
    torch.nn.init.zeros_(again.extra["up"].weight)
    checkpoints.load_weights(folder, again, trainable=True)
    then, now = ({n: p for n, p in g.named_parameters() if p.requires_grad} for g in (generalist, again))
    assert list(then) == list(now) and all(torch.equal(then[name], now[name]) for name in then)
    fresh = torch.optim.AdamW(now.values(), lr=0.01)
    checkpoints.load_optimizer(folder, again, fresh)
    for old, new in zip(then.values(), now.values(), strict=False):
        assert optimizer.state[old].keys() == fresh.state[new].keys()
        assert all(torch.equal(optimizer.state[old][k], fresh.state[new][k]) for k in optimizer.state[old])
    assert checkpoints.resume_position(folder, settings) == Position(7, 1, 3)


@pytest.mark.filterwarnings("ignore:Found missing adapter keys:UserWarning")  # PEFT's, which loads the rest
def test_weights_that_are_missing_or_have_other_names_are_refused(tmp_path):
    settings, generalist = small.settings("s", tmp_path), with_projections(small.adapted())
    folder = checkpoints.save(str(tmp_path), generalist, stepped(generalist), Position(1, 0, 1), settings, writes=True)
    whole = load_file(folder / "adapter" / "adapter_model.safetensors")
    (folder / "extra.safetensors").unlink()
    with pytest.raises(UserError, match="has no extra.safetensors"):
        checkpoints.load_weights(folder, with_projections(small.bare()))
    for rename in (
        lambda name: name.replace(".layers.", ".blocks."),
        lambda name: name.replace("layers.0", "layers.9"),
    ):
        save_file(
            {rename(name): weight for name, weight in whole.items()}, folder / "adapter" / "adapter_model.safetensors"
        )
        with pytest.raises(UserError, match=f"of its adapters' {len(whole)} weights are missing"):
            checkpoints.load_weights(folder, small.bare())
    name = next(iter(whole))  # of a layer that this backbone does not have
    more = whole | {name.replace("layers.0", "layers.9"): whole[name].clone()}
    save_file(more, folder / "adapter" / "adapter_model.safetensors")
    with pytest.raises(
        UserError, match=f"0 of its adapters' {len(whole)} weights are missing and 1 have no place there"
    ):
        checkpoints.load_weights(folder, small.bare())


def test_a_file_that_is_cut_or_missing_is_named(tmp_path):
    settings, generalist = small.settings("s", tmp_path), with_projections(small.adapted())
    optimizer = stepped(generalist)
    folder = checkpoints.save(str(tmp_path), generalist, optimizer, Position(1, 0, 1), settings, writes=True)
    for name, read in (
        ("state.json", lambda: checkpoints.resume_position(folder, settings)),
        ("state.json", lambda: runs.find_run(folder.parent)),
        ("optimizer.pt", lambda: checkpoints.load_optimizer(folder, generalist, optimizer)),
        ("adapter/adapter_config.json", lambda: checkpoints.load_weights(folder, small.bare())),
        ("adapter/adapter_model.safetensors", lambda: checkpoints.load_weights(folder, small.bare())),
        ("extra.safetensors", lambda: checkpoints.load_weights(folder, with_projections(small.bare()))),
    ):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UserError, match=f"checkpoint-00000001/{name} cannot be read .*: copy the checkpoint again"):
            read()
        (folder / name).unlink()
        with pytest.raises(UserError, match="cannot be read .*FileNotFound|has no extra.safetensors"):
            read()
        (folder / name).write_bytes(whole)


def test_only_whole_checkpoints_are_found_and_the_highest_step_wins(tmp_path):
    assert checkpoints.latest(str(tmp_path)) is None
    settings, generalist = small.settings("s", tmp_path), small.adapted()
    optimizer = stepped(generalist)
    for step in (9, 10):
        checkpoints.save(str(tmp_path), generalist, optimizer, Position(step), settings, writes=True)
    for name in (".checkpoint-00000099", "checkpoint-last", "moss"):
        (tmp_path / name).mkdir()
    assert checkpoints.latest(str(tmp_path)).name == "checkpoint-00000010"


def test_a_save_that_was_cut_off_is_no_obstacle(tmp_path):
    partial = tmp_path / ".checkpoint-00000001" / "adapter"
    partial.mkdir(parents=True)
    (partial / "adapter_model.safetensors").write_bytes(b"half")
    generalist = small.adapted()
    folder = checkpoints.save(
        str(tmp_path), generalist, stepped(generalist), Position(1), small.settings("s", "o"), writes=True
    )
    assert load_file(folder / "adapter" / "adapter_model.safetensors") and not partial.exists()


def test_processes_that_do_not_write_leave_nothing(tmp_path):
    generalist = small.adapted()
    settings = small.settings("s", "o")
    checkpoints.save(str(tmp_path), generalist, stepped(generalist), Position(1), settings, writes=False)
    assert list(tmp_path.iterdir()) == []


def test_settings_that_make_another_run_are_refused_and_others_are_not(tmp_path):
    settings = small.settings("s", tmp_path)
    generalist = small.adapted()
    folder = checkpoints.save(str(tmp_path), generalist, stepped(generalist), Position(1), settings, writes=True)
    easier = dataclasses.replace(
        settings,
        output="elsewhere",
        data=dataclasses.replace(settings.data, workers=2),
        training=dataclasses.replace(settings.training, save_every=5, log_every=3),
    )
    assert checkpoints.resume_position(folder, easier) == Position(1)
    moved = dataclasses.replace(
        settings,
        backbone=dataclasses.replace(settings.backbone, path="elsewhere"),
        training=dataclasses.replace(settings.training, steps=9, rows=1, accumulate=2),
    )
    assert checkpoints.resume_position(folder, moved) == Position(1)
    with pytest.raises(UserError, match=r"took rows \* accumulate = 2 rows and now takes 4"):
        checkpoints.resume_position(
            folder, dataclasses.replace(settings, training=dataclasses.replace(settings.training, accumulate=2))
        )
    other = dataclasses.replace(settings, training=Training(steps=6, rows=2, learning_rate=0.02, warmup=1))
    with pytest.raises(UserError) as error:
        checkpoints.resume_position(folder, other)
    assert str(error.value) == (
        f"{folder} belongs to another run: training.learning_rate was 0.01 and is now 0.02; training.warmup was 2 and is now 1; "
        "give these values back, or name another output"
    )
    assert json.loads((folder / "state.json").read_text())["settings"]["training.steps"] == 6


def test_only_the_newest_are_kept(tmp_path):
    for step in (5, 10, 15):
        (tmp_path / f"checkpoint-{step:08d}").mkdir()
    checkpoints.prune(str(tmp_path), None)
    assert len(list(tmp_path.iterdir())) == 3
    checkpoints.prune(str(tmp_path), 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-00000010", "checkpoint-00000015"]


def test_a_users_copy_of_a_checkpoint_is_left_alone(tmp_path):
    for name in ("checkpoint-00000005", "checkpoint-00000005.best", "checkpoint-00000010", "checkpoint-00000100.best"):
        (tmp_path / name).mkdir()
    checkpoints.prune(str(tmp_path), 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-00000005.best",
        "checkpoint-00000010",
        "checkpoint-00000100.best",
    ]


def test_a_deletion_that_was_cut_off_leaves_no_half_checkpoint_and_is_completed_later(tmp_path, monkeypatch):
    for step in (5, 10):
        (tmp_path / f"checkpoint-{step:08d}" / "adapter").mkdir(parents=True)
        (tmp_path / f"checkpoint-{step:08d}" / "state.json").write_text("{}")

    def killed(folder):
        (folder / "state.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("shutil.rmtree", killed)
        checkpoints.prune(str(tmp_path), 1)
    assert checkpoints.latest(str(tmp_path)).name == "checkpoint-00000010"
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-00000010"]
    checkpoints.prune(str(tmp_path), 1)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000010"]


@pytest.fixture
def saved(tmp_path):
    """A checkpoint, its settings, and a function that changes its state.json."""
    settings, generalist = small.settings("s", tmp_path), small.adapted()
    folder = checkpoints.save(str(tmp_path), generalist, stepped(generalist), Position(3, 1, 2), settings, writes=True)

    def edit(change):
        state = json.loads((folder / "state.json").read_text())
        change(state)
        (folder / "state.json").write_text(json.dumps(state))

    return folder, settings, edit


def test_settings_that_an_earlier_version_did_not_have_are_their_defaults(saved):
    folder, settings, edit = saved
    new = ["training.decay", "training.lowest_share", "training.trackers", "adapter.modules_to_save", "backbone.size"]
    edit(lambda state: [state["settings"].pop(key) for key in new] + [state.pop("samples"), state.pop("backbone")])
    assert checkpoints.resume_position(folder, settings) == Position(3, 1, 2)
    assert runs.find_run(folder).settings == settings
    other = dataclasses.replace(settings, training=dataclasses.replace(settings.training, decay="none"))
    with pytest.raises(UserError, match="training.decay was 'cosine' and is now 'none'; give these values back"):
        checkpoints.resume_position(folder, other)


def test_what_no_default_explains_is_said(saved):
    folder, settings, edit = saved
    edit(lambda state: [state["settings"].pop("data.length"), state["settings"].update({"training.mood": 1})])
    with pytest.raises(UserError) as error:
        checkpoints.resume_position(folder, settings)
    assert str(error.value) == (
        f"{folder} was written by another version: it does not say data.length; it has training.mood 1, which this "
        "version does not know; resume with that version, or name another output"
    )
    with pytest.raises(UserError, match="state.json does not say data.length: it is damaged, or was written by"):
        runs.find_run(folder)
    edit(lambda state: [state.pop("settings"), state.pop("epoch")])
    with pytest.raises(UserError, match="does not say data.length; it does not say epoch; it does not say output"):
        checkpoints.resume_position(folder, settings)
    with pytest.raises(UserError, match="does not say .*training.steps: it is damaged"):
        runs.find_run(folder)
