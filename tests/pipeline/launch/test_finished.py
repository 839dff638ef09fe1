"""What a build prints when it has ended."""

import dataclasses

from pipeline.launch import finished
from pipeline.launch.build import Built

BUILT = Built("the funnel", "the metrics", 0, "log")


def test_documents_whose_ids_were_taken_are_said_with_what_to_do(capsys):
    assert finished.of_build("out", dataclasses.replace(BUILT, taken=1200)) == 0
    said = capsys.readouterr().err
    assert "1,200 documents were left out" in said and "id_taken" in said and "build again" in said
    assert finished.of_build("out", BUILT) == 0
    assert capsys.readouterr().err == ""
