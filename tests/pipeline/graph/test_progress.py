"""The counts behind the progress line, and what it says."""

import json
import re
import time

from pipeline.graph import progress

STAGES = ("Read", "Store images", "Rate text", "Assemble")


def test_the_counts_of_all_workers_are_added(tmp_path):
    (tmp_path / "1.json").write_text(json.dumps({"Read": 3}))
    (tmp_path / "2.json").write_text(json.dumps({"Read": 4, "Assemble": 1}))
    assert progress.total(str(tmp_path)) == {"Read": 7, "Assemble": 1}


def test_counts_are_written_though_no_other_tick_follows(tmp_path):
    counter = progress.Counter(str(tmp_path))
    for _ in range(3):
        counter.tick("Read")
    until = time.monotonic() + 30
    while progress.total(str(tmp_path)) != {"Read": 3}:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_the_last_line_has_every_count(tmp_path, capsys):
    with progress.shown(str(tmp_path), STAGES):
        for _ in range(1234):
            progress.counter(str(tmp_path)).tick("Read")
    assert capsys.readouterr().err.splitlines()[-1].endswith("read 1,234 of 1,234")


def test_lines_go_on_while_nothing_changes_and_say_the_speed(tmp_path, capsys):
    """A stage that waits for its model says nothing itself: the line does, every time."""
    with progress.shown(str(tmp_path), STAGES, seconds=0.3):
        counter = progress.counter(str(tmp_path))
        for name in ("Identify", "Read", "came to Rate text"):
            for _ in range(8):
                counter.tick(name)
        for _ in range(2):
            counter.tick("Rate text")
        time.sleep(2.5)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 3
    assert re.fullmatch(r"  0:\d\d  read 8 of 8 · Rate text 2 of 8, [\d.]+/s, about 0:\d\d left", lines[-1]), lines


def test_speed_is_that_of_the_last_minute(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "MINUTE", 0.5)
    with progress.shown(str(tmp_path), STAGES, seconds=0.2):
        counter = progress.counter(str(tmp_path))
        counter.came("Rate text")
        counter.came("Rate text")
        counter.tick("Read")
        counter.tick("Rate text")
        time.sleep(2)
    assert capsys.readouterr().err.splitlines()[-1].endswith("Rate text 1 of 2")  # nothing of late: no speed


def test_what_stands_still_has_no_time_left_and_what_goes_on_has_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "STANDS", 0.9)
    with progress.shown(str(tmp_path), STAGES, seconds=0.2):
        counter = progress.counter(str(tmp_path))
        for name in ("came to Rate text", "came to Rate text", "Read", "Rate text"):
            counter.tick(name)
        time.sleep(2.5)
    lines = [line for line in capsys.readouterr().err.splitlines() if "Rate text 1 of 2" in line]
    assert "left" in lines[0] and lines[-1].endswith("Rate text 1 of 2")


def test_while_documents_are_read_their_number_says_how_long_it_takes():
    said = progress.line(
        {"Identify": 10_000, "Read": 4_000, "came to Store images": 3_990, "Store images": 3_982},
        {"Read": 2.0, "Store images": 2.0},
        STAGES,
    )
    assert said == "read 4,000 of 10,000, 2/s, about 50:00 left · Store images 3,982 of 3,990"


def test_afterwards_the_stage_that_will_be_busy_longest_says_it():
    said = progress.line(
        {
            "Identify": 90,
            "Read": 90,
            "came to Store images": 90,
            "Store images": 88,
            "came to Rate text": 80,
            "Rate text": 40,
            "Assemble": 12,
        },
        {"Store images": 2.0, "Rate text": 0.01},
        STAGES,
    )
    assert said == "read 90 of 90 · Store images 88 of 90 · Rate text 40 of 80, 0.01/s, about 1:06:40 left · kept 12"


def test_before_anything_is_read():
    assert progress.line({}, {}, STAGES) == "starting"
    assert progress.line({"Identify": 1_200}, {"Identify": 99.0}, STAGES) == "1,200 documents found"


def test_counts_that_cannot_be_written_stop_nothing(tmp_path, capfd):
    """A full disk, or a folder that is gone: what writes results says so."""
    (tmp_path / "file").touch()
    counter = progress.Counter(f"{tmp_path}/file/counts")
    for _ in range(2):
        counter.tick("Read")
    time.sleep(3 * progress.EVERY)
    assert "Traceback" not in capfd.readouterr().err
