from __future__ import annotations

import dataclasses

from pipeline.graph import failures
from schemas.errors import ServiceError
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
