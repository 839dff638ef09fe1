"""What is refused at the end of a run. How it goes well is in test_build.py."""

import dataclasses
import json
import pathlib

import pytest

from pipeline.launch.publish import check_models, check_output, prepare_output, publish
from schemas.errors import UserError
from tests.pipeline.runs import a_run


def test_rules_that_changed_during_the_run_are_not_published_under_its_name(tmp_path):
    run = a_run(tmp_path)  # its provenance names another configuration
    pathlib.Path(run.staging).mkdir(parents=True)
    with pytest.raises(UserError, match="word list was changed during the run"):
        publish(run, {})
    assert [p.name for p in pathlib.Path(run.output).iterdir()] == [".staging"]


def config_file(run) -> pathlib.Path:
    prepare_output(run)
    return pathlib.Path(run.output) / "config.yaml"


def test_shards_that_lost_their_manifest_are_kept_from_another_config(tmp_path):
    run = a_run(tmp_path)
    config_file(run)
    (pathlib.Path(run.output) / "shards").mkdir()
    check_output(run.output, run.config)
    with pytest.raises(UserError, match="contains the results of another configuration"):
        check_output(run.output, dataclasses.replace(run.config, limit=3))


def test_what_a_run_left_before_it_published_may_be_written_over(tmp_path):
    run = a_run(tmp_path)
    config_file(run)
    pathlib.Path(run.staging).mkdir()
    check_output(run.output, dataclasses.replace(run.config, limit=3))


@pytest.mark.parametrize("name, theirs", [("llm", "llama"), ("clip", "ViT-L-14@0123456789ab")])
def test_results_of_another_model_are_not_written_over(tmp_path, name, theirs):
    run = a_run(tmp_path)
    provenance = dataclasses.asdict(run.provenance)
    manifest = pathlib.Path(run.output) / "manifest.json"
    manifest.parent.mkdir()
    manifest.write_text(json.dumps({"provenance": provenance | {"pipeline": "0.0.9"}}))
    check_models(run)
    manifest.write_text(json.dumps({"provenance": provenance | {name: theirs}}))
    with pytest.raises(UserError, match=f"the results of another model, {theirs}, and this run uses"):
        check_models(run)
