from __future__ import annotations

import subprocess
import sys

STUBBORN = """
import torch
torch.library.register_fake("torchvision::nms")(lambda dets, scores, iou_threshold: dets)
torch.library.register_fake("torchvision::qnms")(lambda dets, scores, iou_threshold: dets)
"""
"""What a torchvision does whose operator library did not load: it dies unless the operators are declared."""

FITTING = """
import torch
library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""
"""A torchvision that brings its operators: another definition of the same would raise."""


def run(folder, torchvision: str | None) -> subprocess.CompletedProcess:
    """Import the module in a fresh interpreter in which torchvision is this text."""
    if torchvision is not None:
        (folder / "torchvision.py").write_text(torchvision)
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        "from torch_compat import ready_torchvision\n"
        "import torchvision, torch\n"
        "print(torchvision.__file__, ready_torchvision(), torch.ops.torchvision.nms is not None)"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_missing_operators_are_declared(tmp_path):
    done = run(tmp_path, STUBBORN)
    assert done.stdout.split() == [str(tmp_path / "torchvision.py"), "True", "True"], done.stderr


def test_nothing_is_done_where_torchvision_fits(tmp_path):
    done = run(tmp_path, FITTING)
    assert done.stdout.split() == [str(tmp_path / "torchvision.py"), "False", "True"], done.stderr


def test_other_errors_are_not_hidden(tmp_path):
    done = run(tmp_path, "raise RuntimeError('something else')")
    assert done.returncode == 1 and "something else" in done.stderr


def test_the_installed_torchvision_imports():
    done = subprocess.run([sys.executable, "-c", "import torch_compat, open_clip"], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
