"""Personal data in texts: what goes, and what stays because it is nobody's."""

from __future__ import annotations

import dataclasses

import pytest

from filters import presets
from filters.personal_data import KINDS, replaced
from pipeline.graph import stages
from schemas.errors import UserError
from schemas.records import Document, Image, Text
from tests.pipeline.runs import a_run


def clean(text, kinds=tuple(KINDS)):
    document, _ = replaced(Document("d", "s", (Text(text),)), kinds)
    return document.texts[0]


@pytest.mark.parametrize(
    "text, left",
    [
        ("Write to ann.lee+shop@mail.corp.co.uk.", "Write to [mail address]."),
        ("<mailto:ann@müller.de>", "<mailto:[mail address]>"),
        ("Ann_Lee@corp.museum, bob@12x.agency", "[mail address], [mail address]"),
        ("Call (212) 555-0123 or +44 20 7946 0958.", "Call [phone number] or [phone number]."),
        ("212.555.0123 or 212-555-0123", "[phone number] or [phone number]"),
        ("Tel. +49 30 901820", "Tel. [phone number]"),
        ("Pay by 4532 0151 1283 0366 now", "Pay by [card number] now"),
        ("4532-0151-1283-0366", "[card number]"),
        ("378734493671000", "[card number]"),
        ("30569309025904", "[card number]"),
        ("6011 1111 1111 1117, 3530111333300000", "[card number], [card number]"),
        ("ann@163.com, bob@mail.2x.de, cy@archive.zip", "[mail address], [mail address], [mail address]"),
        ("Avoid 8.8.8.8 in dissection 8.8.4.4", "Avoid [network address] in dissection [network address]"),
        ("From 8.8.8.8, and 2606:2800:220:1::1:", "From [network address], and [network address]:"),
        ("the adapter 00:1B:44:11:3A:B7", "the adapter [network address]"),
        ("Physical Address: 00-1B-44-11-3A-B7", "Physical Address: [network address]"),
    ],
)
def test_what_goes(text, left):
    assert clean(text) == left
    assert clean(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "user@example.com, root@host.test, me@localhost",
        "git clone git@github.com:ann/tools.git",
        "@decorator and a@b",
        "192.168.0.1, 10.0.0.8, 127.0.0.1, ::1, fe80::1, 224.0.0.1",
        "Version **9.8.7.6**, version=9.8.7.6, 1.0.0.0",
        "2147483647, 31.8 45.9 36.1, 81.5 74.3 86, https://doi.org/10.1016/j.bjpt.2022.100442 (item/2015649388/)",
        "https://example.org/212-555-0123, https://example.org/?id=212-555-0123, scan_212-555-0123.jpg",
        "version 10.2.3.4, v1.2.3.4, release 8.8.8.8, 1.2.3.4.5",
        "dead::beef, std::add, Face::cafe, 12:30:45, a:b:c",
        "icon@2x.png, flag@3x.webp, lodash@4.17.beta, react@18.beta, photo@home.jpeg",
        "section 3.2.1.4, Chapters 3.2.1.4, OID: 1.3.6.1, § 8.8.8.8",
        "barcodes 5901234123457 and 4006381333931, IMEI 353879234252633",
        "In 2025-08-15 and 1999-2003, 3.14159265358979, 1 2 3 4 5 6 7 8 9 10",
        "4111 1111 1111 1111 is for tests",
        "4532 0151 1283 0367 has a wrong check digit",
        "ISBN 978-3-16-148410-0, sha 1234567890123456789012345678901234567890",
        "![a](https://img.example.org/20250815123456.jpg)",
        "",
    ],
)
def test_what_stays(text):
    assert clean(text) == text


def test_all_texts_of_a_document_are_looked_at_and_what_was_found_is_counted():
    segments = (Text("Ask ann@corp.io."), Image("a.jpg", alt="bob@corp.io", caption="+44 20 7946 0958"))
    found, count = replaced(Document("d", "s", segments, title="8.8.8.8"), KINDS)
    assert (found.title, count) == ("[network address]", 4)
    assert found.segments == (Text("Ask [mail address]."), Image("a.jpg", "[mail address]", "[phone number]"))
    one = Document("d", "s", segments)
    assert replaced(one, ["card"]) == (one, 0)
    assert replaced(one, ["phone"])[1] == 1


def test_hostile_texts_take_no_more_time_than_their_length_allows():
    """Each would take hours if a pattern went back over what it has read."""
    for part in ("a", "a.", "a@", "1 ", "1", ":", "a:", "1.", "-", "00:"):
        clean(part * 20_000)


def test_a_preset_turns_it_on_and_says_so(tmp_path):
    (tmp_path / "own.yaml").write_text("extends: leafinstruct\npersonal_data: [mail, phone]\n")
    preset = presets.load(str(tmp_path / "own.yaml"))
    assert preset.personal_data == ("mail", "phone") and len(preset.document_rules) > 5
    assert presets.as_dict(preset)["personal_data"] == ["mail", "phone"]
    assert "personal_data" not in presets.as_dict(presets.load("leafinstruct"))
    run = dataclasses.replace(a_run(tmp_path), preset=dataclasses.replace(preset, document_rules=()))
    step = stages.filter_text(run)
    assert step(Document("d", "s", (Text("Ask ann@corp.io"),))).texts == ("Ask [mail address]",)
    assert step.counts() == {"personal_data_replaced": 1}


@pytest.mark.parametrize("given", ["[names]", "mail", "[3]"])
def test_a_preset_with_another_kind_is_refused(tmp_path, given):
    (tmp_path / "own.yaml").write_text(f"personal_data: {given}\n")
    with pytest.raises(UserError, match="personal_data"):
        presets.load(str(tmp_path / "own.yaml"))
