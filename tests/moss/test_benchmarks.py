"""The scripts behind the figures of docs/moss.md, in small."""

import json

import peft
import pytest
import torch

from benchmarks import moss_decode, moss_gpu, moss_ordering, moss_step
from moss import MossConfig
from moss.small.build import new_generalist


def test_a_step_and_what_it_saves_are_measured_for_every_variant():
    found = moss_step.measure(
        layers=1, width=128, rank=4, rows=1, rounds=1, dtype=torch.float32, device="cpu", names=list(moss_step.VARIANTS)
    )
    linears = 4 * (128 + 128) + 3 * (128 + 352)
    assert found["PEFT LoRA"]["trainable"] == found["lora"]["trainable"] == 4 * linears
    assert found["moe_lora"]["trainable"] == 8 * linears
    assert found["PEFT LoRA"]["ratio"] == found["PEFT LoRA"]["saved_ratio"] == 1
    assert all(row["seconds"] > 0 and row["saved_mib"] > 0 for row in found.values())


def test_decoding_is_measured_for_every_variant():
    found = moss_decode.measure(
        layers=1,
        width=128,
        rank=4,
        rounds=1,
        dtype=torch.float32,
        device="cpu",
        names=["PEFT LoRA", "feature k=2", "rank k=2"],
    )
    assert found["PEFT LoRA"]["share"] == 1 and all(row["tokens_per_second"] > 0 for row in found.values())


def test_the_gpu_script_measures_every_part_and_says_what_it_could_not(capsys, monkeypatch):
    assert moss_gpu.main(["--tiny", "--device", "cpu", "--json", "--minutes", "5"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["step"]["feature k=3"]["ratio"] > 0 and found["decode"]["eager"]["rank k=2"]["share"] > 0
    assert found["images"]["images_per_second"] > 0 and found["equal"]["feature k=2"]["decoding"] < 1e-5
    assert moss_gpu.main(["--tiny", "--device", "cpu", "--json", "--minutes", "0"]) == 1
    assert json.loads(capsys.readouterr().out)["decode"] == "not measured: the time was over"

    def broken(*_):
        raise RuntimeError("no room")

    for part in ("step", "images", "decode"):
        monkeypatch.setattr(moss_gpu, part, broken)
    assert moss_gpu.main(["--tiny", "--device", "cpu", "--json"]) == 1
    assert "no room" in json.loads(capsys.readouterr().out)["step"]["error"]


@pytest.mark.parametrize("method", moss_ordering.METHODS)
def test_the_methods_compared_are_of_equal_size(method):
    """A shared LoRA of rank 16 has 315,392 numbers; the others come within 2.5 percent of that."""
    generalist = new_generalist()
    model = peft.get_peft_model(generalist.model, MossConfig.for_backbone(generalist, **moss_ordering.METHODS[method]))
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == pytest.approx(315_392, rel=0.025)


def test_the_table_gives_the_spread_over_seeds_and_the_differences():
    def figure(value, difference=None):
        found = {"value": value, "low": value - 1, "high": value + 1}
        return found | ({"difference": {"value": difference, "low": -0.5, "high": 0.5}} if difference else {})

    def seed(value):
        return {
            "methods": [
                {"name": "lora", "parameters": 1000, "figures": {f: figure(2.0) for f in moss_ordering.FIGURES}},
                {
                    "name": "moss",
                    "parameters": 1010,
                    "figures": {f: figure(value, value - 2) for f in moss_ordering.FIGURES},
                },
            ]
        }

    lora, moss = moss_ordering.markdown([seed(1.5), seed(1.0)]).splitlines()[2:]
    assert lora.startswith("| lora | 1,000 | 2.0000 (2.0000 to 2.0000) | - |")
    assert "| 1.2500 (1.0000 to 1.5000) | -0.5000 [-0.5000, +0.5000]; -1.0000 [-0.5000, +0.5000] |" in moss
