"""An audit: the page that two readers get, and what their answers come to."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import pathlib
import re
import shutil
import subprocess

import pytest

from pipeline.audit.answers import Answer, Reader, kappa, text
from pipeline.audit.page import REASONS
from pipeline.audit.sample import sample
from pipeline.cli import main
from schemas.codec import key_of
from schemas.errors import UserError
from tests.pipeline.finished_run import HOSTILE, document, finish, small_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("audit")
    small_run(path)
    return str(path)


@pytest.fixture(scope="module")
def page(folder):
    assert main(["audit", folder, "--sample", "18"]) == 0
    with open(f"{folder}/.work/audit.html", encoding="utf-8") as file:
        return file.read()


def saved(path, folder, answers, reader="Ann", dataset=None) -> str:
    with open(f"{folder}/manifest.json", "rb") as file:
        found = hashlib.sha256(file.read()).hexdigest()
    path.write_text(json.dumps({"dataset": dataset or found, "reader": reader, "answers": answers}))
    return str(path)


def test_kept_and_dropped_are_mixed_by_their_keys(folder, page):
    keys = re.findall(r'<article class="card" id="([0-9a-f]{20})">', page)
    dropped = [key_of(f"doc-{100 + n}") in keys for n in range(9)]
    assert len(keys) == 18 and keys == sorted(keys)
    assert sum(dropped) == 8 and not dropped[5]  # the repeat of another document may be good: it is not shown


def test_kept_and_dropped_look_the_same_but_for_the_hidden_instruction(folder):
    items = sample(folder, f"{folder}/.work/dropped", 18)
    forms = {bool(item.instruction): [block.kind for block in item.blocks] for item in items}
    assert forms[True] == forms[False] == ["text", "image", "text", "image"]
    assert all(
        block.src and block.src.startswith("data:image/jpeg")
        for i in items
        for block in i.blocks
        if block.kind == "image"
    )


@pytest.mark.parametrize("number, rule", [(3, "min_words"), (106, "min_words"), (300, "min_words")])
def test_examples_that_a_later_run_left_are_refused(folder, tmp_path, number, rule):
    """It dropped what this one kept, by another rule, or what this one has not read."""
    shutil.copytree(f"{folder}/.work/dropped", tmp_path / "dropped")
    example = json.loads(next((tmp_path / "dropped/min_words").iterdir()).read_text())
    theirs = tmp_path / "dropped" / rule / "0.json"
    theirs.write_text(json.dumps(example | {"id": f"doc-{number:03d}", "rule": rule}))
    with pytest.raises(UserError, match="has the examples of another run, which came after"):
        sample(folder, f"{tmp_path}/dropped", 18)
    theirs.unlink()
    assert len(sample(folder, f"{tmp_path}/dropped", 18)) == 18


def test_the_page_says_nothing_of_scores_and_rules(page):
    for word in ("margin", "min_words", "mean_coherence", "filter_text", "dropped_images", "fluency"):
        assert word not in page.partition("<body")[2]
    assert "display: none" in page and page.count('class="asked"') == 10


def test_only_the_pages_own_script_may_run(page):
    [script] = re.findall(r"<script>(.*?)</script>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert HOSTILE not in page and html.escape(HOSTILE) in page
    assert "href=" not in page.replace(script, "") and "https://" not in page


def test_the_same_folder_gives_the_same_page(folder, page):
    assert main(["audit", folder, "--sample", "18"]) == 0
    with open(f"{folder}/.work/audit.html", encoding="utf-8") as file:
        assert file.read() == page


def test_a_smaller_sample_is_half_kept_and_half_dropped(folder):
    items = sample(folder, f"{folder}/.work/dropped", 8)
    assert sum(bool(item.instruction) for item in items) == 4 == len(items) - 4


DRIVER = """
const open = URL.createObjectURL;
URL.createObjectURL = blob => { blob.text().then(text => { document.title = text; }); return open(blob); };
const pick = (card, what, value) => { card.querySelector(`[name="${card.id}-${what}"][value="${value}"]`).click(); };
document.querySelector("#reader").value = "Ann B";
cards.forEach((card, i) => pick(card, "acceptable", i ? "yes" : "no"));
cards.filter(card => card.querySelector(".asked")).forEach(card => pick(card, "right", "yes"));
save.click();
"""
"""Judges everything: the first document is not acceptable. Runs in the scope of the page's own script."""


def dumped(path, profile) -> str:
    """The page as a headless Chromium has it, without network, after its scripts."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not browser:
        print("skipped: no chromium here; install it to see the page used")
        pytest.skip("no chromium here; install it to see the page used")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000", f"--user-data-dir={profile}"]
    done = subprocess.run([browser, *flags, "--dump-dom", path.as_uri()], check=True, capture_output=True, timeout=120)
    return done.stdout.decode()


def test_a_browser_runs_the_pages_script_under_its_policy(folder, page, tmp_path):
    found = dumped(pathlib.Path(folder, ".work/audit.html"), tmp_path / "profile")
    assert "18 documents to judge" in found and '<body class="single">' in found


def test_a_browser_saves_the_answers_that_the_command_reads(folder, page, tmp_path):
    """Without the policy, which forbids the test's own script."""
    path = tmp_path / "page.html"
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', page)[0]
    path.write_text(page.replace(policy, "").replace("</script>", f"</script><script>{DRIVER}</script>"))
    found = dumped(path, tmp_path / "profile")
    assert "All judged" in found and 'class="single second"' in found
    saved_as = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", found, re.S)[1]))
    assert saved_as["reader"] == "Ann B" and len(saved_as["answers"]) == 18
    first, *others = saved_as["answers"].values()
    assert (first["acceptable"], first["reason"]) == (False, next(iter(REASONS)))
    assert all(other["acceptable"] and not other["reason"] for other in others)
    assert sum("instruction" in answer for answer in saved_as["answers"].values()) == 10
    (tmp_path / "a.json").write_text(json.dumps(saved_as))
    assert main(["audit", folder, "--answers", str(tmp_path / "a.json"), str(tmp_path / "a.json")]) == 0


def reader(name: str, **answers: str) -> Reader:
    """Answers in letters: `y` acceptable, `n` not; a second letter for the instruction."""
    return Reader(
        name,
        {
            key: Answer(a[0] == "y", "" if a[0] == "y" else "images", a[1] == "y" if len(a) > 1 else None)
            for key, a in answers.items()
        },
    )


OUTCOMES = {"a": "kept", "b": "kept", "c": "kept", "d": "margin", "e": "min_words"}


def test_agreement_shares_and_reasons():
    found = text(
        reader("Ann", a="yy", b="yn", c="n", d="n", e="y"), reader("Bo", a="yy", b="ny", c="n", d="n"), OUTCOMES
    )
    assert "4 documents judged by both readers: 3 kept, 1 dropped" in found
    assert "agreement: 75.0 %, Cohen's kappa 0.50" in found
    assert "  kept, Ann: 2 of 3 (66.7 %, 20.8 % to 93.8 %)" in found
    assert "  kept, both: 1 of 3 (33.3 %, 6.2 % to 79.2 %)" in found
    assert "  dropped, Bo: 0 of 1 (0 %, 0 % to 79.3 %)" in found
    assert "agreement on instructions: 50.0 %" in found and "  kept, both: 1 of 2 (50.0 %" in found
    assert f"  {REASONS['images']}: 3 of kept, 2 of dropped" in found
    assert found.endswith("1 document on which they do not agree\n  b (kept)")


def test_kappa_takes_chance_away():
    same = [(True, True), (False, False)]
    assert (kappa(same), kappa([(True, False), (False, True)]), kappa([(True, True)] * 3)) == (1.0, -1.0, None)
    assert kappa([(True, True), (True, False), (False, True), (False, False)]) == 0.0


def test_two_files_of_answers_are_compared(folder, tmp_path, capsys):
    keys = {key_of("doc-001"): ("y", "y"), key_of("doc-101"): ("n", "n")}
    files = [
        saved(
            tmp_path / f"{place}.json",
            folder,
            {k: {"acceptable": v[place] == "y", "reason": "" if v[place] == "y" else "text"} for k, v in keys.items()},
            reader=f"R{place}",
        )
        for place in (0, 1)
    ]
    assert main(["audit", folder, "--answers", *files]) == 0
    said = capsys.readouterr().out
    assert (
        "agreement: 100 %, Cohen's kappa 1.00" in said and "kept, R1: 1 of 1" in said and "dropped, R0: 0 of 1" in said
    )


@pytest.mark.parametrize(
    "value, words",
    [
        ("[]", "is no file of answers"),
        ('{"dataset": 1}', "another dataset"),
        ("no JSON", "is no file of answers"),
    ],
)
def test_files_that_are_no_answers_are_refused(folder, tmp_path, capsys, value, words):
    (tmp_path / "a.json").write_text(value)
    assert main(["audit", folder, "--answers", str(tmp_path / "a.json"), str(tmp_path / "a.json")]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "answers, words",
    [
        ({"x": {"acceptable": True, "reason": ""}}, "no document of this dataset"),
        ({key_of("doc-001"): {"acceptable": 1, "reason": ""}}, "is no file of answers"),
        ({key_of("doc-001"): {"acceptable": False, "reason": "<b>"}}, "is no file of answers"),
        ({key_of("doc-001"): {"acceptable": True, "reason": "", "instruction": "yes"}}, "is no file of answers"),
        ({}, "no document was judged by both"),
    ],
)
def test_answers_that_do_not_fit_are_refused(folder, tmp_path, capsys, answers, words):
    file = saved(tmp_path / "a.json", folder, answers)
    assert main(["audit", folder, "--answers", file, file]) == 2
    assert words in capsys.readouterr().err


def test_what_has_no_manifest_is_refused(tmp_path, capsys):
    assert main(["audit", str(tmp_path)]) == 2
    assert main(["audit", str(tmp_path), "--sample", "1"]) == 2
    assert "--sample" in capsys.readouterr().err


def test_one_reader_alone_is_told():
    with pytest.raises(UserError, match="judged by both"):
        text(reader("Ann", a="y"), reader("Bo", b="y"), OUTCOMES)


def test_a_work_folder_without_the_examples_of_dropped_documents_is_refused_and_not_made(folder, tmp_path, capsys):
    assert main(["audit", folder, "--work", f"{tmp_path}/nowhere"]) == 2
    assert "nowhere/dropped has no example of the dropped documents" in (said := capsys.readouterr().err)
    assert "give the build's work folder (--work)" in said and not (tmp_path / "nowhere").exists()


def test_a_build_that_dropped_nothing_needs_no_examples(tmp_path):
    pictures = {}
    finish(tmp_path, [document(n, pictures) for n in range(4)], [], pictures)
    assert len(sample(str(tmp_path), f"{tmp_path}/nowhere", 4)) == 4


def test_the_command_says_how_many_documents_of_each_kind_there_are(folder, capsys):
    assert main(["audit", folder, "--sample", "200"]) == 0
    assert "audit.html: 21 documents for two readers, 13 kept and 8 dropped." in capsys.readouterr().out
