"""The counts behind the progress line."""

import json

from pipeline.graph import progress


def test_the_counts_of_all_workers_are_added(tmp_path):
    (tmp_path / "1.json").write_text(json.dumps({"Read": 3}))
    (tmp_path / "2.json").write_text(json.dumps({"Read": 4, "Assemble": 1}))
    assert progress.total(str(tmp_path)) == {"Read": 7, "Assemble": 1}


def test_the_last_line_has_every_count(tmp_path, capsys):
    with progress.shown(str(tmp_path), ("Read", "Assemble")):
        for _ in range(1234):
            progress.counter(str(tmp_path)).tick("Read")
    assert capsys.readouterr().err.splitlines()[-1].endswith("Read 1,234")
