"""What a build prints when it has ended."""

import dataclasses

from pipeline.corpora.fields import READER_ERROR, BadRecord
from pipeline.dataset import ledger
from pipeline.graph import outcomes
from pipeline.launch import finished
from pipeline.launch.build import Built, built
from schemas.records import Document, Drop

BUILT = Built("the funnel", "the metrics", 0, "log")


def test_advice_is_printed(capsys):
    assert finished.of_build("out", dataclasses.replace(BUILT, advice=("do this", "and that"))) == 0
    assert capsys.readouterr().err == "leafinstruct: do this\nleafinstruct: and that\n"
    assert finished.of_build("out", BUILT) == 0
    assert capsys.readouterr().err == ""


def test_documents_whose_ids_were_taken_are_said_with_what_to_do():
    rules = ("id_taken", "duplicate_id", "id_taken")
    rows = [outcomes.dropped(Document(str(n), "s", ()), "deduplicate", Drop(r, 2, 1)) for n, r in enumerate(rules)]
    [said] = built(ledger.funnel(rows), {}, "log").advice
    assert said.startswith("2 documents were left out") and "id_taken" in said and said.endswith("build again")
    assert built(ledger.funnel(rows[1:2]), {}, "log").advice == ()
    assert "ids that differ keep both" in ledger.reason("id_taken", 2, 1)


def test_a_reader_that_failed_is_a_bug_of_the_run():
    rows = [
        outcomes.failed(Document("d", "s", ()), "read", BadRecord(kind, "x")) for kind in (READER_ERROR, "bad_json")
    ]
    assert built(ledger.funnel(rows), {}, "log").bugs == 1
