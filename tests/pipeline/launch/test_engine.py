"""Which jobs go on without their launcher."""

from __future__ import annotations

import socket
import types

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.portable_runner import PipelineResult

from pipeline.launch import engine, metrics

SERVER = "--job_endpoint=127.0.0.1:8099"


@pytest.mark.parametrize(
    "flags, job",
    [
        ([SERVER, "--environment_type=EXTERNAL"], "job-1"),
        ([SERVER, "--environment_type=DOCKER"], "job-1"),
        ([SERVER, "--environment_type=LOOPBACK"], ""),  # its workers are in the launcher
        (["--job_endpoint=embed", "--environment_type=EXTERNAL"], ""),
        ([], ""),
    ],
)
def test_a_job_of_a_job_server_goes_on_unless_a_part_of_it_is_in_the_launcher(flags, job):
    assert engine.lasting(PipelineResult(None, "job-1", (), ()), PipelineOptions(flags)) == job


def test_a_job_of_dataflow_goes_on_and_one_that_was_not_sent_does_not():
    sent = types.SimpleNamespace(has_job=True, job_id=lambda: "2026-11-29_1")
    assert engine.lasting(sent, PipelineOptions([])) == "2026-11-29_1"
    assert engine.lasting(types.SimpleNamespace(has_job=False), PipelineOptions([])) == ""
    assert engine.lasting(types.SimpleNamespace(), PipelineOptions([])) == ""


def test_only_a_job_server_in_another_process_can_be_asked_later():
    assert engine.endpoint(PipelineOptions([SERVER])) == "127.0.0.1:8099"
    assert engine.endpoint(PipelineOptions(["--job_endpoint=embed"])) == engine.endpoint(PipelineOptions([])) == ""


def test_a_job_server_that_never_answers_leaves_the_state_unknown(monkeypatch):
    monkeypatch.setattr(engine, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asked = types.SimpleNamespace(endpoint=f"127.0.0.1:{silent.getsockname()[1]}", engine_job="job-1")
        assert engine.state(asked) == engine.UNKNOWN
        assert engine.collect(asked) == {}


def test_a_job_that_has_ended_is_not_lost_because_its_metrics_cannot_be_had():
    def refused():
        raise RuntimeError("403: dataflow.metrics.get")  # as Google's client, with an error of its own

    assert metrics.collect(types.SimpleNamespace(metrics=refused)) == {}
