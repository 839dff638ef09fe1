"""Runs over two processes, which share every step, against the same runs in one."""

# ruff: noqa: F811 - fixtures of another module are imported by their names

import dataclasses
import os
import shutil
import subprocess
import sys

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from tests.moss import small
from tests.moss import two_processes as steps
from tests.moss.test_train import ROOT, alone, result, run, shards  # noqa: F401


@pytest.fixture(scope="module")
def two_processes(shards, tmp_path_factory):
    """The steps of `two_processes.py`: in one process here, and in two over gloo, unsharded and with FSDP2."""
    folder = tmp_path_factory.mktemp("two_processes")
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    AcceleratorState._reset_state(reset_partial_state=True)
    steps.run(folder / "one", steps.WHOLE)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc_per_node",
            "2",
            "-m",
            "tests.moss.two_processes",
            str(folder),
            str(shards),
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    return folder


@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
def test_two_processes_learn_what_one_does_also_where_one_has_no_image(two_processes, kind):
    one, two = result(two_processes / "one", 3), result(two_processes / kind, 3)
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5)


def test_fsdp2_keeps_losses_and_moments_in_float32_over_a_bf16_base(two_processes):
    assert {value.dtype for value in result(two_processes / "fsdp2-bf16", 3).values()} == {torch.float32}


def test_one_process_goes_on_with_a_run_that_two_were_stopped_in(two_processes, shards, tmp_path):
    """The second was asked to stop; both did, after the same step."""
    stopped = tmp_path / "stopped"
    shutil.copytree(two_processes / "stopped", stopped)
    assert [path.name for path in stopped.glob("checkpoint-*")] == ["checkpoint-00000003"]
    whole = small.settings(shards, tmp_path / "whole", accumulate=2, save_every=3)
    run(whole)
    assert run(dataclasses.replace(whole, output=str(stopped)), resume=True).step == 6
    for step in (3, 6):
        found, expected = (
            load_file(f"{output}/checkpoint-{step:08d}/adapter/adapter_model.safetensors")
            for output in (stopped, tmp_path / "whole")
        )
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-2, atol=1e-4)
