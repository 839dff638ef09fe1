"""Two short runs and the base, measured on a source that was held out."""

import json

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from moss import data, evaluate, settings, train
from moss.evaluation import measure, table
from moss.evaluation.measure import Writing
from moss.evaluation.metrics import COUNT, LOSS, InstanceSums
from moss.training import losses, runs
from schemas.errors import UserError
from tests.schemas import example


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Shards, and runs of three steps: {name: output folder}."""
    folder = tmp_path_factory.mktemp("evaluated")
    example.write(folder / "shards")
    found = {}
    for kind in ("lora", "moss"):
        config = folder / f"{kind}.yaml"
        config.write_text(
            f"shards: {folder}/shards\noutput: {folder}/{kind}\nbackbone: {{name: continuous}}\n"
            f"adapter: {{kind: {kind}, r: 4}}\ndata: {{length: 1024}}\n"
            "training: {steps: 3, rows: 1, learning_rate: 0.01}\n"
        )
        AcceleratorState._reset_state(reset_partial_state=True)
        train.train(settings.load(str(config)))
        found[kind] = str(folder / kind)
    AcceleratorState._reset_state(reset_partial_state=True)
    return str(folder / "shards"), found


def test_a_comparison_is_written_whole_and_replaces_only_a_comparison(built, tmp_path, capsys, monkeypatch):
    shards, found = built
    run = ["--shards", shards, "--runs", f"lora={found['lora']}", "--output", str(tmp_path / "out")]
    assert evaluate.main(run) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(before) == set(evaluate.FILES)
    write = evaluate.folder.pathlib.Path.write_bytes

    def killed(path, data):
        if path.name == evaluate.FILES[-1]:
            raise KeyboardInterrupt
        return write(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(evaluate.folder.pathlib.Path, "write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            evaluate.main([*run, "--seed", "1"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert evaluate.main(run) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    (tmp_path / "out/notes.txt").write_text("mine")
    assert evaluate.main(run) == 2 and (tmp_path / "out/notes.txt").exists()
    assert "name another --output" in capsys.readouterr().err


def test_the_command_writes_a_table_of_base_lora_and_moss(built, tmp_path, capsys):
    shards, found = built
    named = [f"base={found['lora']}", *(f"{name}={folder}" for name, folder in found.items())]
    assert (
        evaluate.main(
            [
                "--shards",
                shards,
                "--output",
                str(tmp_path / "out"),
                "--generate",
                "1",
                "--max-tokens",
                "80",
                "--runs",
                *named,
            ]
        )
        == 0
    )
    said = capsys.readouterr()
    assert said.out.strip() == (tmp_path / "out/table.md").read_text().strip() and "trained on" in said.err
    results = json.loads((tmp_path / "out/results.json").read_text())
    base, lora, moss = results["methods"]
    assert [base["name"], lora["name"], moss["name"]] == ["base", "lora", "moss"] and base["parameters"] == 0
    assert lora["parameters"] == sum(
        t.numel()
        for file in ("adapter/adapter_model", "extra")
        for t in load_file(f"{found['lora']}/checkpoint-00000003/{file}.safetensors").values()
    )
    loss = [method["figures"]["text loss"] for method in results["methods"]]
    assert loss[1]["value"] < loss[0]["value"] and loss[0]["low"] <= loss[0]["value"] <= loss[0]["high"]
    assert loss[2]["difference"]["value"] == pytest.approx(loss[2]["value"] - loss[1]["value"])
    assert "difference" not in loss[0] and "difference" not in loss[1]
    sums = np.load(tmp_path / "out/instances.npz")
    assert sums["moss.text"][:, LOSS].sum() / sums["moss.text"][:, COUNT].sum() == pytest.approx(loss[2]["value"])
    assert "image squared error" in moss["figures"] and "whole images, unconstrained" not in moss["figures"]


def test_a_loaded_run_scores_what_the_trained_model_scored(built):
    """InstanceSums over instances are the sums that training takes of the same batches."""
    shards, found = built
    run = runs.find_run(found["moss"])
    assert run.checkpoint.name == "checkpoint-00000003" and run.settings.adapter.kind == "moss"
    loaded = runs.load_run(found["moss"])
    dataset = data.open_samples(shards, loaded, max_length=1024, progress=False)
    sums = measure.predictions(loaded, dataset, rows=2, length=1024)
    assert sums.keys == tuple(sorted(dataset.keys))
    with torch.no_grad():
        trained = train.build(run.settings, run.checkpoint).eval()
        parts = [
            losses.sums(trained(batch), batch)
            for batch in data.batches(dataset, rows=1, length=1024, seed=0, epoch=0, complete=False)
        ]
    np.testing.assert_allclose(
        sums.text[:, LOSS].sum() + sums.boundary[:, LOSS].sum(), sum(float(part.text) for part in parts), rtol=1e-5
    )
    np.testing.assert_allclose(sums.image[..., LOSS].sum(), sum(float(part.image) for part in parts), rtol=1e-5)


def test_a_folder_without_a_checkpoint_and_other_backbones_are_refused(built, tmp_path, capsys):
    shards, found = built
    assert evaluate.main(["--shards", shards, "--output", str(tmp_path), "--runs", f"lora={tmp_path}"]) == 2
    assert "holds no checkpoint" in capsys.readouterr().err
    assert evaluate.main(["--shards", shards, "--output", str(tmp_path), "--runs", found["lora"]]) == 2
    assert "NAME=FOLDER" in capsys.readouterr().err
    run = ["--shards", shards, "--output", str(tmp_path), "--runs", f"lora={found['lora']}"]
    assert evaluate.main([*run, "--seed", "-1"]) == 2  # before anything is measured
    assert "--seed must be at least 0" in capsys.readouterr().err
    with pytest.raises(UserError, match="nowhere holds no checkpoint"):
        runs.find_run("nowhere")


def method(name: str, text_loss: list[float], writing: Writing | None = None) -> table.Method:
    text = np.stack([np.array(text_loss), [1.0, 2.0], [2.0, 4.0]], 1)
    image = np.zeros((2, 2, 3))
    image[0, 0] = [8 * np.log(2), 1, 2]
    return table.Method(name, 1234, InstanceSums(("a", "b"), text, text, image), writing)


def test_the_table_has_values_intervals_differences_and_none_for_what_was_never_seen():
    writing = Writing(("a", "b"), *np.array([[1.0, 2], [2, 2], [0, 1], [3, 0], [6, 0], [1, 0], [2, 0]]))
    lora = method("lora", [2.0, 4.0], writing)
    rows = table.results([lora, method("moss", [1.0, 2.0], writing)], slots=False, seed=0)
    lora, moss = (row["figures"] for row in rows)
    assert lora["text loss"]["value"] == 1.0 and moss["text loss"]["difference"]["value"] == pytest.approx(-0.5)
    assert lora["text perplexity"]["value"] == pytest.approx(np.e) and lora["text top-1"]["value"] == 0.5
    assert lora["image bits/token"]["value"] == pytest.approx(4) and lora["image 1 top-1"]["value"] == 0.5
    assert lora["image 2 bits/token"]["value"] is None
    assert [
        lora[title]["value"]
        for title in ("images written / expected", "empty outputs", "repeated 4-grams", "whole images, unconstrained")
    ] == [0.75, 0.5, 0.5, 0.5]
    text = table.markdown(rows)
    assert "| lora | 1,234 | 1 [1, 1] | 2.718 [2.718, 2.718] | 0.5 [0.5, 0.5]" in text
    assert "| moss | -0.5 [-0.5, -0.5] |" in text and "| none |" in text
    other = table.Method("moss", 1, InstanceSums(("a", "c"), np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 2, 3))))
    with pytest.raises(ValueError, match="other instances"):
        table.results([method("lora", [2.0, 4.0]), other], slots=False, seed=0)
