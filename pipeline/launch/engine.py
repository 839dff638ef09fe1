"""Asks the engine about a job that its launcher has left: what state it is in, and its metrics."""

from __future__ import annotations

import contextlib
from typing import Any

import grpc
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners.portability.portable_runner import PipelineResult
from apache_beam.runners.runner import PipelineState

from pipeline.launch import metrics
from pipeline.launch.job import Job

TIMEOUT = 30.0
"""Seconds for an answer of the job server."""
RUNNING, DONE, FAILED, UNKNOWN = "running", "done", "failed", "unknown"


def lasting(result: Any, options: PipelineOptions) -> str:
    """The id that the engine gave its job; empty if the job ends with its launcher.

    Jobs go on that were given to a job server in another process, with workers that are not the launcher's, and those of
    Dataflow.
    """
    if isinstance(result, PipelineResult):
        here = options.view_as(PortableOptions).environment_type == "LOOPBACK"
        return str(result._job_id) if endpoint(options) and not here else ""
    return str(result.job_id()) if getattr(result, "has_job", False) else ""


def is_template(options: PipelineOptions) -> bool:
    """Whether the job is only described, in a file from which Dataflow starts it later."""
    return bool(options.view_as(GoogleCloudOptions).template_location)


def endpoint(options: PipelineOptions) -> str:
    """The address of a job server in another process; empty if there is none."""
    found = options.view_as(PortableOptions).job_endpoint
    return "" if found in (None, "embed") else str(found)


def state(job: Job) -> str:
    """What the job does: one of the four above. Only a job server is asked; without its answer nothing is known."""
    if job.endpoint:
        with _result(job) as result, contextlib.suppress(grpc.RpcError):
            found = result.state
            if not PipelineState.is_terminal(found):
                return RUNNING
            return DONE if found == PipelineState.DONE else FAILED
    return UNKNOWN


def collect(job: Job) -> metrics.Metrics:
    """The metrics of the job; empty if they cannot be had."""
    if job.endpoint:
        with _result(job) as result, contextlib.suppress(grpc.RpcError):
            return metrics.collect(result)
    return {}


@contextlib.contextmanager
def _result(job: Job) -> Any:
    with grpc.insecure_channel(job.endpoint) as channel:
        stub = beam_job_api_pb2_grpc.JobServiceStub(grpc.intercept_channel(channel, _InTime()))
        yield PipelineResult(stub, job.engine_job, (), ())


class _InTime(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc has no types
    """Gives up a request that has no answer after TIMEOUT; Beam's client would wait for ever."""

    def intercept_unary_unary(self, ask: Any, details: Any, request: Any) -> Any:
        return ask(details._replace(timeout=TIMEOUT), request)
