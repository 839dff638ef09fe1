"""The graph as Dataflow would get it: Beam makes the job and checks it, and `--dry_run` keeps it from being sent."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2 as proto

from pipeline import dag
from tests.pipeline.runs import a_run

FLAGS = ["--runner=DataflowRunner", "--project=project-1", "--region=us-central1", "--temp_location=gs://bucket/tmp",
         "--sdk_container_image=IMAGE", "--sdk_location=container", "--dry_run=True"]  # fmt: skip
LARGEST_JOB = 10 << 20
"""Bytes of a job that Dataflow still takes."""


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> proto.Pipeline:
    pipeline = beam.Pipeline(options=PipelineOptions(FLAGS))
    dag.build(pipeline, a_run(tmp_path_factory.mktemp("dataflow")))
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


def test_no_step_has_state_or_timers(job):
    steps = [proto.ParDoPayload.FromString(one.spec.payload) for one in of(job, "beam:transform:pardo:v1")]
    assert len(steps) > 20
    assert not [one for one in steps if one.state_specs or one.timer_family_specs]
    assert set(job.requirements) <= {"beam:requirement:pardo:splittable_dofn:v1"}


def test_the_job_is_small_enough_to_be_sent(job):
    assert job.ByteSize() < LARGEST_JOB / 10
