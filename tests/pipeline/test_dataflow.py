"""The graph as Dataflow would get it: Beam makes the job and checks it, and `--dry_run` keeps it from being sent."""

from __future__ import annotations

import json

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2 as proto

from pipeline import arguments, dag
from pipeline.cli import COMMANDS, main
from pipeline.launch import job as jobs
from pipeline.run import Run
from pipeline.storage import remote
from schemas.stage_names import STAGES, stage_title
from tests.answers import server
from tests.pipeline.runs import ROOT, a_run, demo_config, with_llm
from tests.pipeline.storage import emulators

FLAGS = ["--runner=DataflowRunner", "--project=project-1", "--region=us-central1", "--temp_location=gs://bucket/tmp",
         "--sdk_container_image=IMAGE", "--sdk_location=container", "--dry_run=True"]  # fmt: skip
LARGEST_JOB = 10 << 20
"""Bytes of a job that Dataflow still takes."""


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> proto.Pipeline:
    return made(a_run(tmp_path_factory.mktemp("dataflow")))


def made(run: Run, *flags: str, until: str | None = None) -> proto.Pipeline:
    """The job as Dataflow would get it."""
    pipeline = beam.Pipeline(options=PipelineOptions([*FLAGS, *flags]))
    dag.build(pipeline, run, until)
    assert pipeline.run().state == "DONE"
    return pipeline.runner.proto_pipeline


def of(job: proto.Pipeline, urn: str) -> list[proto.PTransform]:
    return [one for one in job.components.transforms.values() if one.spec.urn == urn]


def test_every_step_runs_in_the_image_that_is_named_on_the_same_machines(job):
    used = {one.environment_id for one in job.components.transforms.values()} - {""}
    environments = [job.components.environments[id_] for id_ in used]
    images = {proto.DockerPayload.FromString(one.payload).container_image for one in environments}
    assert images == {"IMAGE"}
    assert [dict(one.resource_hints) for one in environments] == [{}]


def test_a_pass_runs_on_the_machines_that_it_asks_for(tmp_path):
    accelerator = "type:nvidia-l4;count:1;install-nvidia-driver"
    hints = [f"--resource_hint=accelerator={accelerator}", "--resource_hint=min_ram=16GB"]
    job = made(a_run(tmp_path), *hints, until="score_coherence")
    used = {one.environment_id for one in job.components.transforms.values()} - {""}
    assert [dict(job.components.environments[id_].resource_hints) for id_ in used] == [
        {"beam:resources:accelerator:v1": accelerator.encode(), "beam:resources:min_ram_bytes:v1": b"16000000000"}
    ]


@pytest.mark.parametrize("until, last", [("store_images", "Store images"), ("score_coherence", "Score coherence")])
def test_a_job_can_end_with_images_or_with_scores(tmp_path, until, last):
    stages = [
        one.unique_name.split("/")[0] for one in of(made(a_run(tmp_path), until=until), "beam:transform:pardo:v1")
    ]
    titles = [stage_title(stage) for stage in STAGES if stage_title(stage) in stages]
    assert titles[-1] == last and "Write shards" not in stages and "Write end" not in stages


def test_questions_in_flight_in_the_whole_run_are_asked_in_lanes(job, tmp_path):
    """An engine may hold all that it groups for a lane, so that is no documents but names."""
    made_with_lanes = made(with_llm(a_run(tmp_path), in_flight=512))
    (group,) = (one for one in of(made_with_lanes, "beam:transform:group_by_key:v1") if "Questions" in one.unique_name)
    known = made_with_lanes.components
    grouped = known.coders[known.pcollections[next(iter(group.inputs.values()))].coder_id]
    urns = [known.coders[part].spec.urn for part in grouped.component_coder_ids]
    assert urns == ["beam:coder:varint:v1", "beam:coder:string_utf8:v1"]
    assert not [one for one in job.components.transforms.values() if "Questions" in one.unique_name]


def test_no_step_has_state_or_timers(job):
    steps = [proto.ParDoPayload.FromString(one.spec.payload) for one in of(job, "beam:transform:pardo:v1")]
    assert len(steps) > 20
    assert not [one for one in steps if one.state_specs or one.timer_family_specs]
    assert set(job.requirements) <= {"beam:requirement:pardo:splittable_dofn:v1"}


def test_the_job_is_small_enough_to_be_sent(job):
    assert job.ByteSize() < LARGEST_JOB / 10


def test_a_template_is_made_and_neither_waited_for_nor_published(tmp_path, monkeypatch, capsys):
    with emulators.emulator("gs") as environment, server() as llm:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        emulators.forget_clients()
        flags = [*FLAGS, "--template_location=gs://bucket/template"]
        output = ["--output", "gs://bucket/out", "--llm-url", llm.url]
        assert main(["build", "--config", demo_config(tmp_path), *output, *flags]) == 0
        run = jobs.load("gs://bucket/out/.work")
        said = f"when the job has ended: leafinstruct publish --work gs://bucket/out/.work --run {run.id}\n"
        assert said in capsys.readouterr().err
        assert not remote.exists("gs://bucket/out/.lease") and not remote.exists("gs://bucket/out/manifest.json")
        assert main(["publish", "--work", "gs://bucket/out/.work", "--run", run.id]) == 4
        assert "its job has not come to its end (0 shards and" in capsys.readouterr().err
    emulators.forget_clients()


def test_a_folder_of_the_launchers_disk_is_refused(tmp_path, capsys):
    """Each worker would write to its own, and the job would end without a result."""
    here, config = str(tmp_path / "out"), demo_config(tmp_path)
    for folders in (["--output", here], ["--output", "gs://bucket/out", "--work", here]):
        assert main(["build", "--config", config, *folders, "--llm-url", "http://127.0.0.1:9", *FLAGS]) == 2
        assert "is a folder of this machine" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_flex_template_asks_for_options_that_there_are():
    spec = json.loads((ROOT / "examples/flex_template/spec.json").read_text())
    names = {f"--{one['name']}" for one in spec["metadata"]["parameters"]}
    whole = arguments.parser("", {command.__name__.rstrip("_"): command for command in COMMANDS})
    required = {"--config": "demo", "--output": "out"}
    known, _ = whole.parse_known_args(["build", *(word for pair in required.items() for word in pair)])
    ours = {f"--{name.replace('_', '-')}" for name in vars(known)}
    beam_s = {flag.split("=")[0] for flag in FLAGS}
    assert required.keys() <= names <= ours | beam_s


def test_the_driver_of_a_gpu_is_found():
    """Google's machines mount it there; images of NVIDIA's look there, and those of Python do not."""
    [stage] = (ROOT / "Dockerfile").read_text().partition("AS dataflow\n")[2].split("\nFROM ")[:1]
    assert "LD_LIBRARY_PATH=/usr/local/nvidia/lib64" in stage


def test_a_user_without_rights_starts_workers_in_the_images_own_environment():
    """Beam's boot program would make one in /opt/apache, and end where it may not."""
    worker = (ROOT / "Dockerfile").read_text().partition("AS worker\n")[2]
    assert "ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1\n" in worker.partition("USER ")[0]
