from tests.pipeline.runs import a_run


def test_what_runs_share_lies_in_the_work_folder_and_what_is_a_runs_own_in_its_staging(tmp_path):
    run = a_run(tmp_path)
    assert {run.store(name) for name in ("images", "scores", "answers")} == {
        f"{run.work}/images",
        f"{run.work}/scores",
        f"{run.work}/answers",
    }
    assert run.store("instances").startswith(f"{run.staging}/")
