"""Loading: what processes of a machine share, and what the first of several loads for the others."""

# ruff: noqa: F811 - fixtures of another module are imported by their names

import fcntl
import os
import pathlib
import subprocess
import sys
import types

import pytest
import torch
from accelerate.state import AcceleratorState
from transformers import LlamaConfig, LlamaForCausalLM

from moss import train
from moss.backbones.hub import byte_tokenizer, tiny_decoder
from moss.training import sharded
from schemas.errors import UserError
from tests.moss import loaded_once, small
from tests.moss.stand_ins import STAND_INS
from tests.moss.test_train import ROOT, result, shards  # noqa: F401


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The checkpoint of each backbone, and beside it the settings that its size asks for."""
    folder = tmp_path_factory.mktemp("loaded_once")
    for name, write in STAND_INS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.txt").write_text("\n".join(write(folder / name)))
    return folder


@pytest.fixture(scope="module")
def two_processes(folders, shards):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
            *("-m", "tests.moss.loaded_once", str(folders), str(shards), *STAND_INS),
        ],
        cwd=ROOT,
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    return folders / "two"


@pytest.mark.parametrize("name", STAND_INS)
def test_a_model_that_the_first_process_loads_learns_as_one_that_is_not_sharded(
    name, two_processes, folders, shards, monkeypatch
):
    monkeypatch.chdir(ROOT)
    AcceleratorState._reset_state(reset_partial_state=True)
    loaded_once.run(folders, str(shards), name, folders / "one" / name)
    AcceleratorState._reset_state(reset_partial_state=True)
    for step in (2, 3):
        one, two = result(folders / "one" / name, step), result(two_processes / name, step)
        assert one.keys() == two.keys()
        for key, value in one.items():
            torch.testing.assert_close(two[key], value, rtol=1e-3, atol=1e-5)


def heavy(folder, dtype):
    """A checkpoint of about 320 MiB in bfloat16, and its size in MiB."""
    tokenizer = byte_tokenizer()
    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 10, "num_key_value_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(**tiny_decoder(tokenizer) | sizes)).to(dtype)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) >> 20


@pytest.mark.skipif(not pathlib.Path("/proc/self/smaps_rollup").exists(), reason="Linux says whose pages memory is")
def test_a_process_shares_the_pages_of_the_checkpoint_instead_of_copying_it(tmp_path):
    """In its own type; in another one there is a copy, which shows that this would be seen."""
    size = heavy(tmp_path / "checkpoint", torch.bfloat16)
    assert 280 < size < 400
    done = subprocess.run(
        [sys.executable, "-m", "tests.moss.memory", str(tmp_path / "checkpoint"), "bfloat16", "float32"],
        cwd=ROOT,
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    same, other = map(int, done.stdout.split())
    assert same < 0.25 * size and other > 1.5 * size, (same, other)


def accelerator(**state):
    """As much of an Accelerator as loading looks at: one of two processes, on a GPU."""
    return types.SimpleNamespace(
        num_processes=2,
        device=torch.device("cuda"),
        state=types.SimpleNamespace(**state),
        is_main_process=False,
        mixed_precision="no",
    )


def test_processes_with_a_gpu_each_load_one_after_the_other(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with open(tmp_path / "config.json", "rb") as other:
        with sharded.in_turn(accelerator(), str(tmp_path)), pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        plugin = types.SimpleNamespace(fsdp_version=2)
        with sharded.in_turn(accelerator(fsdp_plugin=plugin), str(tmp_path)):  # which load together
            pass
    with sharded.in_turn(accelerator(), "tiny"):
        pass


def test_the_first_version_of_fsdp_is_refused(shards, tmp_path, monkeypatch):
    plugin = types.SimpleNamespace(fsdp_version=1)
    monkeypatch.setattr(train, "Accelerator", lambda **_: accelerator(fsdp_plugin=plugin))
    with pytest.raises(UserError, match="does not work with adapters; give accelerate launch --fsdp_version 2"):
        train.train(small.settings(shards, tmp_path))


def test_a_trained_weight_that_was_not_loaded_is_refused():
    made = small.adapted()
    made.plain_model.model.layers[0].mlp.gate_proj.to("meta").requires_grad_()
    plugin = types.SimpleNamespace(fsdp_version=2, cpu_ram_efficient_loading=True)
    with pytest.raises(
        UserError, match=r"layers.0.mlp.gate_proj.weight is trained, but was not loaded on every process"
    ):
        sharded.make_ready(accelerator(fsdp_plugin=plugin), made)
