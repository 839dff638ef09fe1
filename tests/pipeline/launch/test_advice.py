"""What a run says of images that may be had now, and of documents of which none was kept."""

import json

import pytest

from pipeline.cli import main
from pipeline.dataset import ledger
from pipeline.graph.failed_share import FIRST, FailedShare
from pipeline.launch import advice, finished
from pipeline.launch.build import built
from schemas.errors import ServiceError
from schemas.outcome import DROPPED, FAILED, KEPT, Outcome
from schemas.records import Drop, ImageDrop
from schemas.stage_names import ASSEMBLE, RATE_TEXT, STORE_IMAGES
from tests.answers import server
from tests.pipeline import web
from tests.pipeline.runs import ROOT, demo_config


def failed(stage, error):
    return Outcome("tea", "manuals", "docs.jsonl:1", FAILED, stage, error=error, detail="no answer in 20 s")


def kept(*lost):
    drops = tuple(ImageDrop(0, "a.jpg", STORE_IMAGES, Drop(kind, 0.0, 1.0)) for kind in lost)
    return Outcome("pot", "manuals", "docs.jsonl:2", KEPT, ASSEMBLE, dropped_images=drops)


@pytest.mark.parametrize(
    "outcome, said",
    [
        (failed(STORE_IMAGES, "timeout"), "timeout 1"),
        (kept("rules_unreachable", "not_found", "server_error"), "rules_unreachable 1, server_error 1"),
        (failed(STORE_IMAGES, "not_found"), ""),
        (kept("min_side"), ""),
        (failed(RATE_TEXT, "timeout"), ""),  # of the model server
    ],
)
def test_only_images_that_may_be_had_now_are_to_be_asked_for_again(outcome, said, capsys):
    counts = ledger.funnel([outcome])
    assert (f"may have passed: {said}; --retry-failed asks for those images again" in advice.retry(counts)) == bool(
        said
    )
    finished.of_build("out", built(counts, {}, "log"))
    assert ("--retry-failed" in capsys.readouterr().err) == bool(said)
    assert ("--retry-failed" in advice.nothing_kept(counts, [outcome])) == bool(said)


def test_a_model_server_that_is_away_is_not_mended_by_asking_for_images():
    for stage in (RATE_TEXT, STORE_IMAGES):
        share = FailedShare(stage, 0.5)
        with pytest.raises(ServiceError) as error:
            for _ in range(FIRST):
                share.failed(failed(stage, "timeout"))
        assert ("--retry-failed" in str(error.value)) == (stage == STORE_IMAGES)


def test_each_rule_and_error_that_ended_documents_has_one_example():
    dropped = [
        Outcome(f"d{n}", "m", f"docs.jsonl:{n}", DROPPED, "filter_text", rule, 9.0, 80.0)
        for n, rule in enumerate(["word_count", "word_count", "stop_words"])
    ]
    rows = [*dropped, failed(RATE_TEXT, "bug:KeyError")]
    said = advice.nothing_kept(ledger.funnel(rows), rows)
    assert "  d0: Dropped at “Filter text”: word_count is 9, below the threshold 80.\n  d2: Dropped" in said
    assert "d1" not in said and "  tea: Failed at “Rate text”: bug:KeyError (no answer in 20 s)." in said


def test_a_run_without_its_images_says_how_to_ask_for_them_again_and_that_helps(tmp_path, capsys):
    document = json.loads((ROOT / "examples/corpus/docs.jsonl").read_text().splitlines()[0])
    image = next(segment for segment in document["segments"] if "image" in segment)
    data = (ROOT / "examples/corpus/images" / image["image"]).read_bytes()
    answers = {"/a.jpg": web.answer(status=503)}
    with server() as llm, web.Server(answers) as pages:
        document["segments"] = [s for s in document["segments"] if "text" in s] + [
            image | {"image": pages.url("/a.jpg")}
        ]
        (tmp_path / "docs.jsonl").write_text(json.dumps(document))
        config = demo_config(tmp_path, images={"allow_private_hosts": True, "timeout": 2})
        where = ["--corpus", f"native:{tmp_path}/docs.jsonl", "--output", f"{tmp_path}/out", "--llm-url", llm.url]
        command = ["build", "--config", config, *where, "--until", "store_images"]
        assert main(["build", "--config", config, *where]) == 2
        said = capsys.readouterr().err
        assert (
            "server_error 1; --retry-failed asks for those images again" in said and f"{document['id']}: Failed" in said
        )
        answers["/a.jpg"] = web.answer(data)
        asked = len(pages.asked)
        assert main(command) == 0 and len(pages.asked) == asked
        assert main([*command, "--retry-failed"]) == 0 and len(pages.asked) == asked + 1
