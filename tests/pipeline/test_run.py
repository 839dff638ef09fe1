from __future__ import annotations

import dataclasses
import importlib.metadata

import pytest

from pipeline import run as run_module
from pipeline.graph import failures
from pipeline.graph.transforms import Stage, Step
from schemas.errors import ServiceError, UserError
from schemas.stage_names import READ
from tests.pipeline.runs import a_run


def test_what_runs_share_lies_in_the_work_folder_and_what_is_a_runs_own_in_its_staging(tmp_path):
    run = a_run(tmp_path)
    assert {run.store(name) for name in ("images", "scores", "answers")} == {
        f"{run.work}/images",
        f"{run.work}/scores",
        f"{run.work}/answers",
    }
    assert run.store("instances").startswith(f"{run.staging}/")


def test_an_error_of_a_run_that_was_given_up_is_not_told_for_that_of_the_next_one(tmp_path):
    given_up, run = a_run(tmp_path), dataclasses.replace(a_run(tmp_path), id="next")
    failures.record(given_up.failures, "read", "", ServiceError("its own trouble"))
    assert failures.read(run.failures) is None and failures.read(given_up.failures)


def test_a_worker_with_other_versions_than_the_manifest_will_name_is_refused(tmp_path):
    """Its image is older than the launcher's environment. A build for another processor is the same version."""
    run = a_run(tmp_path)
    run_module.check_libraries(run)
    here = importlib.metadata.version("torch").partition("+")[0]
    run_module.check_libraries(dataclasses.replace(run, libraries={"torch": f"{here}+cpu"}))
    older = dataclasses.replace(run, libraries={"pillow": "12.2.9"})
    with pytest.raises(UserError, match=r"has pillow 12\.2\.9, and this worker "):
        Stage(older, READ, lambda run: Step(lambda document: document)).setup()
    with pytest.raises(UserError, match="has no-such-thing 1, and this worker none"):
        run_module.check_libraries(dataclasses.replace(run, libraries={"no-such-thing": "1"}))
