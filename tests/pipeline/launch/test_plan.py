"""`leafinstruct plan` says what a build then does, and does nothing itself."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pytest
import yaml

from pipeline.cli import main
from pipeline.dataset import ledger
from pipeline.launch.build import build, configured
from pipeline.launch.plan import Prices, plan, text
from pipeline.launch.stored import measured
from pipeline.run import image_store
from pipeline.storage import packs
from pipeline.storage.store import Store
from schemas.errors import UserError
from schemas.records import Image
from tests.answers import MODEL, server
from tests.pipeline import web
from tests.pipeline.kept import values
from tests.pipeline.runs import ROOT, demo_tree

COHERENCE = ROOT / "build/models/coherence"
CORPUS = f"native:{ROOT}/examples/corpus"
CANDIDATES = 3


def config(folder, **changes) -> str:
    """The demo's configuration, with the prompts that word each question to the model in a way of its own."""
    tree = demo_tree()
    tree["llm"]["name"] = MODEL
    tree["clip"]["model"] = f"local-dir:{COHERENCE}"
    tree |= {"prompts": "instruct", "instructions": {"candidates": CANDIDATES}}
    for name, changed in changes.items():
        tree[name] = tree.get(name, {}) | changed
    path = folder / f"{len(list(folder.glob('*.yaml')))}.yaml"
    path.write_text(yaml.safe_dump(tree))
    return str(path)


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """(folder, the plan before a build, the plan after it, what the build did by its metrics)."""
    if not COHERENCE.is_dir():
        pytest.skip("build/models is not there: run `make models`")
    folder = tmp_path_factory.mktemp("plan")
    demo, work = config(folder), str(folder / "work")
    with server() as llm:
        before = plan(demo, [CORPUS], work, llm_url=llm.url)
        assert not llm.requests and not (folder / "work").exists()
        build(demo, str(folder / "out"), corpora=[CORPUS], work=work, llm_url=llm.url)
        asked = len(llm.requests)
        after = plan(demo, [CORPUS], work, llm_url=llm.url)
        assert len(llm.requests) == asked
    return folder, before, after, json.loads((folder / "out/metrics.json").read_text())


def test_before_a_build_everything_is_to_do_and_the_build_does_no_more(planned):
    _, before, _, metrics = planned
    assert before["documents done"] == before["scores there"] == before["questions there"] == 0
    assert before["images to_fetch"] == 0 and before["images to_decode"] >= metrics["store_images"]["images_normalised"]
    assert before["scores to_compute"] >= metrics["score_coherence"]["scored"] > 20
    asked = metrics["rate_text"]["questions"] + metrics["write_instruction"]["questions"]
    assert before["questions to_ask"] >= asked > 80
    assert before["questions to_ask"] % (1 + CANDIDATES) == 0


def test_every_record_has_one_end_in_the_plan(planned):
    lines = (ROOT / "examples/corpus/docs.jsonl").read_text().splitlines()
    for counts in planned[1:3]:
        ends = sum(count for name, count in counts.items() if name.startswith("documents "))
        assert ends == counts["read records"] == len(lines)


def test_after_a_build_its_instances_are_done_and_its_answers_are_there(planned):
    folder, _, after, metrics = planned
    kept = json.loads((folder / "out/manifest.json").read_text())["counts"]["instances"]
    damaged = after["documents to_score"]  # see the next test
    assert kept - damaged <= after["documents done"] <= kept and after["documents done"] > 10
    assert after["documents to_ask"] == 0
    asked = metrics["rate_text"]["questions"] + metrics["write_instruction"]["questions"]
    assert asked - (1 + CANDIDATES) * damaged <= after["questions there"] <= asked


def test_after_a_build_only_documents_with_damaged_local_images_are_to_score(planned):
    """Faults of local images are not remembered: each build decodes these images again."""
    _, _, after, metrics = planned
    assert 0 < after["documents to_score"] <= after["images to_decode"] < 5
    assert after["scores there"] + after["documents to_score"] >= metrics["score_coherence"]["scored"]


def test_an_answer_that_is_lost_is_to_be_asked_again_and_no_other(planned, tmp_path):
    folder, _, after, _ = planned
    answers = values(folder / "work/answers")
    for word, again in (("instruction", 1), ("fluency", 1 + CANDIDATES)):
        lost = next(key for key, data in sorted(answers.items()) if word in json.loads(data)["text"])
        work = tmp_path / word
        shutil.copytree(folder / "work", work, ignore=shutil.ignore_patterns("answers"))
        for key, data in answers.items():
            if key != lost:
                Store(f"{work}/answers").write(key, data)
        packs.flush()
        with server() as llm:
            found = plan(str(folder / "0.yaml"), [CORPUS], str(work), llm_url=llm.url)
        assert found["documents to_ask"] == 1
        assert found["questions to_ask"] - after["questions to_ask"] == again


def test_the_plan_names_the_rules_and_errors_that_the_funnel_names(planned):
    folder, before, after, _ = planned
    funnel = ledger.funnel(ledger.read_outcomes(str(folder / "out")))
    assert f"\nfailed     missing {funnel.failed['missing']}\n" in text(before)
    stages = {stage.name: stage for stage in funnel.stages}
    for name, count in {**stages["filter_text"].dropped, **stages["take_excerpt"].dropped}.items():
        assert after[f"dropped {name}"] == count
    for name, count in stages["read"].failed.items():
        assert before[f"unreadable {name}"] == count
    for end in ("dropped", "failed", "unreadable"):
        assert sum(n for name, n in after.items() if name.startswith(f"{end} ")) == after[f"documents {end}"] > 0


def test_an_output_folder_is_not_taken_for_a_work_folder(planned):
    folder = planned[0]
    with pytest.raises(UserError, match="out is the --output folder of a build: give its --work folder"):
        plan(str(folder / "0.yaml"), [CORPUS], str(folder / "out"))


def test_stricter_thresholds_leave_nothing_to_score_or_ask(planned):
    folder, _, after, _ = planned
    strict = config(folder, ratings={"lowest_at_least": 5.0}, coherence={"mean_at_least": 0.2})
    with server() as llm:
        found = plan(strict, [CORPUS], str(folder / "work"), llm_url=llm.url)
    assert 0 < found["documents done"] < after["documents done"]
    assert found["questions to_ask"] == after["questions to_ask"]


def test_images_on_the_web_are_weighed_by_those_that_were_fetched(planned, tmp_path):
    """What is stored of them is scaled down; what is fetched of the others is not."""
    document = json.loads((ROOT / "examples/corpus/docs.jsonl").read_text().splitlines()[0])
    images = [segment for segment in document["segments"] if "image" in segment]
    files = {f"/{image['image']}": (ROOT / "examples/corpus/images" / image["image"]).read_bytes() for image in images}
    with server() as llm, web.Server({path: web.answer(data) for path, data in files.items()}) as pages:
        for image in images:
            image["image"] = pages.url(f"/{image['image']}")
        (tmp_path / "docs.jsonl").write_text(json.dumps(document))
        given = config(tmp_path, images={"allow_private_hosts": True, "max_side": 256})
        corpus, work = [f"native:{tmp_path}/docs.jsonl"], f"{tmp_path}/work"
        before = plan(given, corpus, work, llm_url=llm.url)
        assert (before["images to_fetch"], before["images there"], pages.asked) == (len(files), 0, [])
        store = image_store(measured(configured(given, corpus, None), work))
        for image in images:
            store.store(Image(image["image"]))
        after = plan(given, corpus, work, llm_url=llm.url)
    assert len(pages.asked) == len(files)
    assert (after["images to_fetch"], after["images web_there"]) == (0, len(files))
    assert after["images web_bytes"] == pytest.approx(sum(map(len, files.values())), rel=0.5)


COUNTS = Counter({"read records": 1000, "images to_fetch": 3000, "scores images": 5000, "questions to_ask": 2000,
                  "questions characters": 7_600_000})  # fmt: skip


def test_the_table_states_amounts_and_money():
    counts = COUNTS + Counter({"images web_there": 10, "images web_bytes": 2_000_000})
    words = text(counts, Prices(fetched=1.0, scored=0.1, asked=0.5, answered=10.0))
    assert "at most 3,000 to fetch (about 0.60 GB)" in words
    assert "about 2,000 thousand tokens to read and 44 thousand to write" in words
    assert words.endswith("at most about 2.54 (fetching 0.60, scoring 0.50, asking 1.44)")
    assert "money" not in text(counts)


def test_the_table_says_that_a_sum_lacks_images_of_unknown_size():
    words = text(COUNTS, Prices(fetched=1.0, scored=0.1))
    assert "3,000 to fetch (of unknown size)" in words
    assert words.endswith("scoring 0.50, asking 0.00), and fetching images of unknown size")
    assert "and fetching images" not in text(COUNTS, Prices(scored=0.1))


def test_the_table_does_not_say_that_nothing_is_there_where_nobody_looked():
    looked, blind = text(COUNTS), text(COUNTS + Counter({"scores not_looked_for": 1}))
    assert looked.count("; 0 there") == 3 and "not looked for" not in looked
    assert blind.count("; 0 there") == 1 and blind.count("what is there is not looked for (`content` rules)") == 2


def test_few_of_anything_are_in_its_own_words():
    words = text(Counter({"read records": 1, "questions to_ask": 2, "questions characters": 1000}))
    assert "read       1 record of" in words and "about 263 tokens to read and 44 to write" in words


@pytest.mark.parametrize("price", ["-5", "nan", "inf", "dear"])
def test_a_price_is_a_number_from_0(price, capsys):
    with pytest.raises(SystemExit):
        main(["plan", "--config", "demo", "--work", "w", "--price-asked", price])
    assert f"--price-asked: a price is a number from 0, not {price}" in capsys.readouterr().err


def test_the_command_plans_a_part_of_a_corpus(planned, capsys):
    folder = planned[0]
    with server() as llm:
        where = ["--corpus", CORPUS, "--work", f"{folder}/work", "--llm-url", llm.url]
        assert main(["plan", "--config", f"{folder}/0.yaml", *where, "--limit", "6", "--price-asked", "1"]) == 0
    out = capsys.readouterr().out
    assert "read       6 records" in out and "money      at most about" in out
