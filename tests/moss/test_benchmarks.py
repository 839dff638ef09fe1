"""The scripts behind the figures of docs/moss.md, in small."""

import json
import pathlib
import subprocess
import sys

import peft
import pytest
import torch

from benchmarks import moss_decode, moss_gpu, moss_ordering, moss_step, peft_stand_in
from moss import MossConfig
from moss.small.build import new_generalist

ROOT = pathlib.Path(__file__).parents[2]


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
    assert found["images"]["device"] == "cpu" and found["peft"].startswith("PEFT ")
    assert found["step"]["rounds"] == found["decode"]["eager"]["rounds"] == "1 of 1"
    assert found["not_measured"] == {"decode, graph": "a CUDA graph needs a CUDA device, and this is cpu"}
    assert found["targets"] == "not compared: --tiny"
    assert moss_gpu.main(["--tiny", "--device", "cpu", "--json", "--minutes", "0"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["decode"] == "not measured: the time was over"
    assert found["not_measured"] == dict.fromkeys(("equal", "step", "images", "decode"), "the time was over")

    def broken(*_):
        raise RuntimeError("no room")

    for part in ("step", "images", "decode"):
        monkeypatch.setattr(moss_gpu, part, broken)
    assert moss_gpu.main(["--tiny", "--device", "cpu", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert "no room" in found["step"]["error"] and found["not_measured"]["step"] == "RuntimeError: no room"


def test_the_gpu_script_compares_every_target_and_ends_with_1_where_one_is_missed():
    def report(step=1.1, share=0.9, graph=True):
        rates = {name: {"share": share} for name in moss_gpu.VARIANTS}
        found = {
            "equal": {},
            "images": {},
            "step": {name: {"ratio": 1.05} for name in moss_gpu.VARIANTS} | {"rank k=2": {"ratio": step}},
            "decode": {"graph": rates if graph else "not measured: no graph"},
        }
        return found | {"targets": moss_gpu.targets(found), "not_measured": moss_gpu.not_measured(found)}

    assert moss_gpu.exit_code(report(), tiny=False) == 0 and len(report()["targets"]) == 6
    slow = report(step=1.11)
    assert slow["targets"]["step, rank k=2"] == {"target": "at most 1.1", "found": 1.11, "met": False}
    assert [name for name, row in slow["targets"].items() if not row["met"]] == ["step, rank k=2"]
    assert moss_gpu.exit_code(slow, tiny=False) == 1 == moss_gpu.exit_code(report(share=0.89), tiny=False)
    missing = report(graph=False)
    assert missing["targets"]["decode, feature k=2"] == {"target": "at least 0.9", "found": None, "met": False}
    assert missing["not_measured"] == {"decode, graph": "no graph"} and moss_gpu.exit_code(missing, tiny=False) == 1


def test_the_image_tokenizer_is_measured_on_the_device_that_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert moss_gpu.images(moss_gpu.TINY, "cpu", 0.0)["device"] == "cpu"


HIDDEN = ("peft", "accelerate", "psutil", "torchvision", "diffusers", "timm", "open_clip", "aiohttp", "jsonschema")


def test_the_gpu_script_runs_with_torch_and_transformers_alone():
    """PEFT and all else that a bare machine may lack are hidden; the report says what stood in."""
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({HIDDEN}))\n"
        "from benchmarks import moss_gpu, peft_stand_in\n"
        "sys.exit(moss_gpu.main(['--tiny', '--device', 'cpu', '--json', '--minutes', '5']))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["peft"].startswith("a stand-in with PEFT's arithmetic")
    assert all(found["step"][name]["ratio"] > 0 for name in moss_gpu.VARIANTS)
    assert list(found["not_measured"]) == ["decode, graph"] and found["equal"]["rank k=2"]["decoding"] < 1e-5


def test_the_stand_in_computes_what_pefts_lora_computes():
    torch.manual_seed(0)
    ids = moss_step.sequences(1, "cpu")[:, :80]
    bases = [moss_step.decoder(1, 128, torch.bfloat16, "cpu") for _ in range(2)]
    bases[1].load_state_dict(bases[0].state_dict())
    theirs = moss_step.adapted(bases[0], None, 4)
    ours = peft_stand_in.get_peft_model(
        bases[1], peft_stand_in.LoraConfig(r=4, lora_alpha=8, target_modules=moss_step.LINEARS)
    )
    own = {name.replace(".default", ""): p for name, p in theirs.named_parameters() if p.requires_grad}
    assert sum(p.numel() for p in own.values()) == sum(p.numel() for p in ours.parameters() if p.requires_grad)
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            if parameter.requires_grad:
                known = own[f"base_model.model.{name.removeprefix('base_model.model.')}"]
                assert known.dtype == parameter.dtype == torch.float32
                parameter.copy_(torch.nn.init.normal_(known, std=0.2))
        with torch.autocast("cpu", torch.bfloat16):
            expected, found = (m.get_base_model().model(input_ids=ids).last_hidden_state for m in (theirs, ours))
    assert torch.equal(found, expected)


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
