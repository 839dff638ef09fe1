"""Texts of strangers in everything that people read of a build: terminal, page and card."""

from __future__ import annotations

import dataclasses
import json
import os
import unicodedata

import pytest

from pipeline.cli import main
from pipeline.corpora import limits
from pipeline.dataset import ledger
from pipeline.dataset.card import MOST_ROWS, card
from pipeline.graph import outcomes
from pipeline.report import write_report
from pipeline.report.show import show
from schemas.controls import without_controls
from schemas.outcome import Outcome
from schemas.records import Drop, Fault, GeneratedInstruction, ImageDrop, StoredImage, Text
from tests.pipeline.finished_run import document, finish
from tests.schemas.test_printable import STEERING

ALL = "".join(STEERING.values()).replace("\ud83d", "")
NAMES = {"kept": f"kept {without_controls(ALL)}", "gone": f"gone {ALL}", "lost": f"lost {ALL}"}
FORGED = "x\n  ✓ Assemble          passed\nKept, with 9 images"


def steers(text: str) -> list[str]:
    return [
        f"U+{ord(c):04X}"
        for c in text
        if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One kept, one dropped and one failed document with every such character in every field."""
    path, pictures = tmp_path_factory.mktemp("hostile"), {}
    base = document(1, pictures)
    images = [
        dataclasses.replace(image, alt=f"alt {ALL}", caption=f"caption {ALL} &#x202e;&#27;") for image in base.images
    ]
    fields = {
        "title": f"Title {ALL} {FORGED}",
        "source": f"source {ALL}|{FORGED}",
        "license": f"licence {ALL}",
        "url": f"https://example.org/{ALL}",
        "location": f"docs.jsonl {ALL}:1",
        "segments": (Text(f"text {ALL} &#x202e;&#27;"), images[0], Text(f"more {ALL}"), images[1]),
        "generated": GeneratedInstruction(f"Do it {ALL}?", "repair", 1),
        "dropped_images": (ImageDrop(2, f"c/{ALL}.gif", "store_images", Drop("min_side", 40, 150)),),
    }
    kept = document(1, pictures, id=NAMES["kept"], **fields)
    gone = document(2, pictures, id=NAMES["gone"], **fields)
    ended = [
        outcomes.dropped(gone, "filter_coherence", Drop("margin", 0.01, 0.02), f"detail {ALL} {FORGED}"),
        outcomes.unreadable(Fault(NAMES["lost"], "s", f"docs.jsonl {ALL}:2", "bad_json", f"detail {ALL} {FORGED}")),
    ]
    finish(path, [kept], ended, pictures, dropped_documents={gone.id: gone})
    write_report(str(path))
    return path


@pytest.mark.parametrize("name", ["kept", "gone", "lost"])
def test_explain_and_show_steer_no_terminal(folder, name, capsys):
    text = ledger.explain(str(folder), NAMES[name])
    assert steers(text) == []
    if name == "kept":
        text = show(str(folder), NAMES[name])
        assert steers(text) == [] and "text" in text
        [page] = (folder / ".work/show").glob("*/index.html")
        assert steers(page.read_text()) == []


def test_a_forged_line_is_none(folder):
    lines = ledger.explain(str(folder), NAMES["gone"]).split("\n")
    assert not [line for line in lines if line.startswith(("  ✓ Assemble", "Kept"))]


@pytest.mark.parametrize("command", ["explain", "show", "funnel"])
def test_commands_steer_no_terminal(folder, command, capsys):
    for name in (NAMES["kept"], f"nobody \x1b[2J \u202e {ALL}"):
        main([command, str(folder), *([] if command == "funnel" else [name])])
        printed = capsys.readouterr()
        assert steers(printed.out) == steers(printed.err) == []


def test_page_and_card_hold_no_such_character(folder):
    assert steers((folder / "report.html").read_text()) == []
    text = card(json.loads((folder / "manifest.json").read_text()))
    assert steers(text) == []
    table = text.split("| source | number |")[1].split("\n\n")[0].strip().split("\n")
    assert len(table) == 2 and table[1].count("|") - table[1].count("\\|") == 3


def test_a_made_up_ledger_steers_no_terminal():
    """Whoever gives a folder away can write anything into its ledger."""
    row = Outcome(f"a{ALL}", f"s{ALL}", f"l{ALL}", "failed", "read", error=f"e{ALL}\n{FORGED}", detail=f"d{ALL}")
    counts = ledger.Funnel(
        1, 0, {}, {f"e{ALL}\n{FORGED}": 1}, (ledger.Stage("read", 1, {f"r{ALL}": 1}, {f"e{ALL}": 1}),), {f"i{ALL}": 1}
    )
    for text in (ledger.explain_outcome(row, {}), ledger.funnel_text(counts, 100)):
        assert steers(text) == [] and "\n  ✓ Assemble" not in text


def test_the_longest_fields_leave_page_and_card_small(tmp_path):
    """30 documents of which every field is as long as it may be, each from a source and under a licence of its own."""
    pictures, kept = {}, []
    for n in range(30):
        base = document(n, pictures)
        images = [
            StoredImage(
                image.uri,
                "&" * limits.MOST["alt"],
                "&" * limits.MOST["caption"],
                width=400,
                height=300,
                sha256=image.sha256,
                extension="jpg",
            )
            for image in base.images
        ]
        kept.append(
            document(
                n,
                pictures,
                title="&" * limits.MOST["title"],
                source=f"{n:<200}".replace(" ", "&"),
                url="https://example.org/" + "&" * 7900,
                license=f"{n:<500}".replace(" ", "&"),
                segments=(Text("&" * 100_000), images[0], Text("&" * 100_000), images[1]),
            )
        )
    finish(tmp_path, kept, [], pictures)
    assert os.path.getsize(write_report(str(tmp_path))) < 6_000_000


def test_a_card_of_very_many_sources_is_small(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["counts"]["sources"] = {f"source {n}" + "|" * 180: 1 + n % 3 for n in range(100_000)}
    text = card(manifest)
    assert len(text) < 200_000 and f"{100_000 - MOST_ROWS:,} others" in text
