"""What a build prints when it has ended."""

import dataclasses

from pipeline.dataset import ledger
from pipeline.graph import outcomes
from pipeline.launch import finished
from pipeline.launch.build import Built, built
from schemas.records import Document, Drop

BUILT = Built("the funnel", "the metrics", 0, "log")


def test_documents_whose_ids_were_taken_are_said_with_what_to_do(capsys):
    assert finished.of_build("out", dataclasses.replace(BUILT, taken=1200)) == 0
    said = capsys.readouterr().err
    assert "1,200 documents were left out" in said and "id_taken" in said and "build again" in said
    assert finished.of_build("out", BUILT) == 0
    assert capsys.readouterr().err == ""


def test_a_build_counts_the_ids_that_were_taken():
    rules = ("id_taken", "duplicate_id", "id_taken")
    rows = [outcomes.dropped(Document(str(n), "s", ()), "deduplicate", Drop(r, 2, 1)) for n, r in enumerate(rules)]
    assert built(ledger.funnel(rows), {}, "log").taken == 2
    assert built(ledger.funnel(rows[1:2]), {}, "log").taken == 0
    assert "ids that differ keep both" in ledger.reason("id_taken", 2, 1)
