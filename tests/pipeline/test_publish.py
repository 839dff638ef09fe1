"""What is refused at the end of a run. How it goes well is in test_build.py."""

import pathlib

import pytest

from pipeline.publish import publish
from schemas.errors import UserError
from tests.pipeline.runs import a_run


def test_rules_that_changed_during_the_run_are_not_published_under_its_name(tmp_path):
    run = a_run(tmp_path)           # its provenance names another configuration
    pathlib.Path(run.staging).mkdir(parents=True)
    with pytest.raises(UserError, match="word list was changed while the run went on"):
        publish(run)
    assert [p.name for p in pathlib.Path(run.output).iterdir()] == [".staging"]
