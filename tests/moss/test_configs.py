"""Every config of a backbone from start to end on a stand-in of its checkpoint: encode, train, resume, generate."""

import json
import pathlib

import PIL.Image
import pytest
from accelerate.state import AcceleratorState

from moss import encode, generate, settings, train
from moss.training import checkpoints
from tests.moss import hands
from tests.moss.stand_ins import STAND_INS
from tests.schemas import example

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    example.write(folder)
    return folder


@pytest.fixture(autouse=True)
def alone():
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_no_config_of_a_backbone_is_left_out():
    named = {path.stem for path in CONFIGS.glob("moss_*.yaml")}
    assert named == {*STAND_INS, "moss_demo", "moss_ordering"}  # these two have a backbone in the repository


@pytest.mark.parametrize("name", STAND_INS)
def test_a_config_runs_from_a_checkpoints_folder_to_answers(name, shards, tmp_path, capsys, monkeypatch):
    more = STAND_INS[name](tmp_path / "checkpoint")
    chosen = [
        f"shards={shards}",
        f"output={tmp_path}/out",
        f"backbone.path={tmp_path}/checkpoint",
        "data.length=1024",
        "data.workers=0",
        "training.rows=1",
        "training.accumulate=2",
        "training.warmup=0",
        *more,
    ]
    config = ["--config", str(CONFIGS / f"{name}.yaml"), *(part for value in chosen for part in ("--set", value))]
    own = settings.load(str(CONFIGS / f"{name}.yaml"))
    assert own.training.precision == "bf16" and own.training.gradient_checkpointing

    assert encode.main(config) == 0
    assert train.main([*config, "--set", "training.steps=2"]) == 0
    assert checkpoints.latest(str(tmp_path / "out")).name == "checkpoint-00000002"
    AcceleratorState._reset_state(reset_partial_state=True)
    assert train.main([*config, "--set", "training.steps=3", "--resume"]) == 0
    assert checkpoints.latest(str(tmp_path / "out")).name == "checkpoint-00000003"

    # random weights rarely begin an image: these always do, as often as there is room
    load = generate.runs.load_run
    monkeypatch.setattr(generate.runs, "load_run", lambda folder: hands.eager(load(folder), 30.0))
    run = ["--checkpoint", str(tmp_path / "out"), "--shards", str(shards), "--limit", "1", "--max-tokens", "200"]
    run += ["--max-images", "1", "--greedy"]
    code = generate.main([*run, "--output", str(tmp_path / "answers")])
    if name == "moss_continuous":  # CLIP's features have no way back to pixels
        assert code == 2 and "Emu2-Gen" in capsys.readouterr().err
        return
    assert code == 0
    [answer] = [json.loads(path.read_text()) for path in (tmp_path / "answers").glob("*/answer.json")]
    assert answer["instruction"].startswith("Explain") and answer["tokens"] <= 200
    [drawn] = [part for part in answer["output"] if part["type"] == "image"]
    [path] = (tmp_path / "answers").glob(f"*/{drawn['image']}")
    with PIL.Image.open(path) as image:
        image.load()
        assert image.format == "PNG" and image.size == (drawn["width"], drawn["height"])
