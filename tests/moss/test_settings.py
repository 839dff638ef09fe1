import pathlib

import pytest
import yaml

from moss import backbones, settings
from schemas.errors import UserError

CONFIGS = sorted((pathlib.Path(__file__).parents[2] / "configs").glob("moss_*.yaml"))
LEAST = {
    "shards": "s",
    "output": "o",
    "backbone": {"name": "emu3"},
    "data": {"length": 64},
    "training": {"steps": 4, "rows": 2},
}


def load(tmp_path, tree, *overrides):
    path = tmp_path / "run.yaml"
    path.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
    return settings.load(str(path), overrides)


def refused(tmp_path, tree, *overrides) -> str:
    with pytest.raises(UserError) as error:
        load(tmp_path, tree, *overrides)
    return str(error.value).removeprefix(f"{tmp_path / 'run.yaml'}: ")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configurations_that_ship_are_read(path):
    read = settings.load(str(path))
    assert read.shards and read.training.steps > read.training.warmup


def test_the_demo_explains_every_key():
    lines = (CONFIGS[0].parent / "moss_demo.yaml").read_text().splitlines()
    tree = yaml.safe_load("\n".join(lines))
    assert set(settings.flat(settings.load(str(CONFIGS[0].parent / "moss_demo.yaml")))) == {
        f"{section}.{key}" if isinstance(below, dict) else section
        for section, below in tree.items()
        for key in (below if isinstance(below, dict) else [""])
    }
    bare = [line for line in lines if ":" in line and "#" not in line and not line.rstrip().endswith(":")]
    assert bare == []


def test_overrides_win_over_the_file(tmp_path):
    read = load(
        tmp_path,
        LEAST,
        "training.steps=10",
        "training.learning_rate=3e-4",
        "adapter.kind=lora",
        "data.held_out_sources=[a, b]",
        "output=elsewhere",
    )
    assert (read.training.steps, read.training.learning_rate, read.adapter.kind) == (10, 3e-4, "lora")
    assert (read.data.held_out_sources, read.output) == (("a", "b"), "elsewhere")


def test_compiling_and_checkpointing_exclude_each_other(tmp_path):
    assert refused(tmp_path, LEAST, "training.compile=true", "training.gradient_checkpointing=true") == (
        "training.compile and training.gradient_checkpointing do not work together; choose one"
    )


@pytest.mark.parametrize(
    "override, said",
    [
        ("training.step=3", "unknown key training.step; did you mean training.steps?"),
        ("trainings.steps=3", "unknown key trainings; did you mean training?"),
        (
            "data.zzz=3",
            "unknown key data.zzz; the keys are length, max_images, train_boundaries, workers, held_out_sources",
        ),
        ("training.steps=1.5", "training.steps must be a whole number, not 1.5"),
        ("training.steps=true", "training.steps must be a whole number, not True"),
        ("training.clip=.nan", "training.clip must be a finite number, not nan"),
        (f"training.clip=1{'0' * 309}", "training.clip must be a finite number, not 1" + "0" * 309),
        ("training.clip=0", "training.clip must be more than 0, not 0.0"),
        ("training.compile=1", "training.compile must be true or false, not 1"),
        ("training.warmup=4", "training.warmup (4) must be less than training.steps (4)"),
        ("training.rows=0", "training.rows must be at least 1, not 0"),
        ("training.seed=-1", "training.seed must be at least 0, not -1"),
        ("training.precision=fp16", "training.precision must be one of no, bf16, not 'fp16'"),
        ("data.held_out_sources=howto", "data.held_out_sources must be a list"),
        ("training.steps", "--set wants KEY=VALUE, such as training.steps=10, not 'training.steps'"),
        ("output.folder=x", "--set output.folder=x: output is a value, not a section"),
        ("adapter=3", "adapter must be a mapping of keys to values"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, override, said):
    assert refused(tmp_path, LEAST, override) == said


def test_a_missing_key_a_missing_file_and_a_broken_one(tmp_path):
    assert refused(tmp_path, {k: v for k, v in LEAST.items() if k != "data"}) == "data is missing"
    assert refused(tmp_path, "a: [").startswith(f"{tmp_path / 'run.yaml'} is not YAML")
    assert refused(tmp_path, "") == "the file must be a mapping of keys to values"
    with pytest.raises(UserError, match="No such file or directory; give an existing file to --config"):
        settings.load(str(tmp_path / "none.yaml"))


def test_no_is_a_precision(tmp_path):
    assert (
        load(
            tmp_path,
            "shards: s\noutput: o\nbackbone: {name: emu3}\ndata: {length: 8}\n"
            "training: {steps: 1, rows: 1, precision: no}\n",
        ).training.precision
        == "no"
    )


def test_attention_is_one_of_four_or_the_models_default(tmp_path):
    assert load(tmp_path, LEAST).training.attention is None
    assert load(tmp_path, LEAST, "training.attention=eager").training.attention == "eager"
    assert load(tmp_path, LEAST, "training.attention=null").training.attention is None
    said = refused(tmp_path, LEAST, "training.attention=paged")
    assert said == ("training.attention must be one of sdpa, eager, flash_attention_2, flex_attention, not 'paged'")


def test_flat_names_every_value(tmp_path):
    table = settings.flat(load(tmp_path, LEAST))
    assert table["shards"] == "s" and table["training.steps"] == 4 and table["data.held_out_sources"] == []
    assert table["adapter.r_image"] is None and len(table) == 48


def test_options_belong_to_their_backbone():
    with pytest.raises(UserError, match="backbone chameleon at tiny has no option size"):
        backbones.load("chameleon", "tiny", size=256)
    with pytest.raises(UserError, match="backbone janus at checkpoints/janus has no option clip"):
        backbones.load("janus", "checkpoints/janus", clip="ViT-B-32")
    emu3 = settings.load("configs/moss_emu3.yaml").backbone
    assert emu3.options == {"size": 256, "clip": None, "clip_weights": None}
