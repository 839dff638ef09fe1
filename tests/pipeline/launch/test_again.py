"""A build with results of earlier ones in its work folder: what is there is not read, scored or asked again."""

from __future__ import annotations

import contextlib
import json
import shutil

import pytest

from benchmarks.memory import HashScorer
from pipeline.cli import main
from pipeline.coherence import scorer
from pipeline.images import store as images
from pipeline.launch import build as launching
from pipeline.launch import publish
from pipeline.launch.attach import attach
from pipeline.launch.build import build
from pipeline.storage import packs
from pipeline.storage.uris import read_bytes
from schemas.errors import ServiceError, UserError
from schemas.stage_names import UNTIL, stage_title
from tests.answers import server
from tests.pipeline import disk  # noqa: F401  (disk://)
from tests.pipeline.runs import COHERENCE, ROOT, demo_config, demo_tree

pytestmark = pytest.mark.skipif(not COHERENCE.is_dir(), reason="build/models is not there: run `make models`")
EXAMPLES = ROOT / "examples/corpus"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> tuple[str, str]:
    """Two corpora of ten and six documents."""
    lines = (EXAMPLES / "docs.jsonl").read_text().splitlines(keepends=True)
    found = []
    for name, some in (("one", lines[:10]), ("two", lines[10:16])):
        folder = tmp_path_factory.mktemp(name)
        (folder / "docs.jsonl").write_text("".join(some))
        shutil.copytree(EXAMPLES / "images", folder / "images")
        found.append(f"native:{folder}")
    return tuple(found)


@pytest.fixture(params=["local", "bucket"])
def folder(request, tmp_path, monkeypatch) -> str:
    """Where runs work, each as a process of its own would: it knows nothing of those before."""
    monkeypatch.setattr(scorer, "Scorer", HashScorer)
    return str(tmp_path) if request.param == "local" else f"disk:/{tmp_path}"


def run(folder: str, name: str, config: str, corpora: tuple[str, ...]) -> tuple[dict, list[str]]:
    """The metrics of a build, and the texts that were asked about."""
    packs._all.cache_clear()
    with server() as llm:
        build(
            config, f"{folder}/{name}", corpora=list(corpora), llm_url=llm.url, work=f"{folder}/work", allow_empty=True
        )
    asked = [json.dumps(body["messages"]) for body in llm.requests[1:]]  # the first is the probe
    return json.loads(read_bytes(f"{folder}/{name}/metrics.json")), asked


def test_other_thresholds_score_nothing_again_and_ask_only_what_is_new(folder, corpora, tmp_path):
    tree = demo_tree()
    strict = demo_config(_made(tmp_path / "of strict"), coherence=tree["coherence"] | {"mean_at_least": 0.565})
    loose = demo_config(_made(tmp_path / "of loose"), ratings={"lowest_at_least": 1.0, "mean_at_least": 1.0})
    first, asked_first = run(folder, "strict", strict, corpora)
    again, asked_again = run(folder, "loose", loose, corpora)
    assert first["score_coherence"]["scored"] > 0 and 0 < first["filter_coherence"]["passed"]
    assert "scored" not in again["score_coherence"]
    assert again["score_coherence"]["from_cache"] == first["score_coherence"]["scored"]
    assert again["filter_coherence"]["passed"] > first["filter_coherence"]["passed"]
    assert again["rate_text"]["from_cache"] == first["rate_text"]["questions"]
    assert asked_again and not set(asked_first) & set(asked_again)
    _, asked_third = run(folder, "loose again", loose, corpora)
    assert asked_third == []
    assert _manifest(folder, "loose") == _manifest(folder, "loose again")


def test_runs_that_end_after_images_and_after_scores_leave_only_the_questions_to_the_last(
    folder, corpora, tmp_path, capsys
):
    config, out = demo_config(_made(tmp_path / "config")), f"{folder}/in three"
    for until in UNTIL:
        packs._all.cache_clear()
        ended = build(config, out, corpora=list(corpora), work=f"{folder}/work", until=until)
        assert ended and not ended.funnel and not ended.bugs and stage_title(until) in ended.metrics
        assert f"ended after {stage_title(until)!r}" in capsys.readouterr().err
        assert publish._names_in(out) == {"config.yaml"}
        with pytest.raises(UserError, match=f"was to end after '{stage_title(until)}', so there is nothing to publish"):
            attach(f"{folder}/work")
    last, _ = run(folder, "in three", config, corpora)
    assert "images_normalised" not in last["store_images"] and last["store_images"]["images_known"] > 0
    assert "scored" not in last["score_coherence"] and last["score_coherence"]["from_cache"] > 0
    run(f"{folder}/apart", "in one", config, corpora)
    assert _manifest(folder, "in three") == _manifest(f"{folder}/apart", "in one")


def test_a_bug_is_told_by_a_run_that_ends_before_it_publishes(corpora, tmp_path, monkeypatch, capsys):
    config = demo_config(_made(tmp_path / "config"))
    monkeypatch.setattr(images, "read_header", lambda data: data.no_such_thing)
    given = ["--output", f"{tmp_path}/out", "--corpus", corpora[0], "--until", "store_images", "--keep-going"]
    assert main(["build", "--config", config, *given]) == 3
    said = capsys.readouterr()
    assert "documents failed because of a bug; tracebacks are in" in said.err and "Filter headers" in said.out


def test_a_run_that_lost_its_folders_leaves_those_of_the_other_run(corpora, tmp_path, monkeypatch):
    config, out = demo_config(_made(tmp_path / "config")), tmp_path / "out"

    @contextlib.contextmanager
    def lost(*folders, run):
        def alone():
            if (out / ".staging" / run).is_dir() or (out / "config.yaml").exists():
                (out / ".staging/other").mkdir(parents=True, exist_ok=True)
                calls.append(run)
            if len(calls) > 1:
                raise ServiceError("taken over")

        calls = []
        yield alone

    monkeypatch.setattr(launching, "exclusive_lock", lost)
    with pytest.raises(ServiceError, match="taken over"):
        for _ in range(2):
            build(config, str(out), corpora=list(corpora[:1]), until="store_images")
    assert (out / ".staging/other").is_dir()


def test_a_corpus_that_comes_later_is_all_that_is_fetched_scored_and_asked(folder, corpora, tmp_path):
    config = demo_config(_made(tmp_path / "config"))
    first, asked_first = run(folder, "one", config, corpora[:1])
    both, asked_both = run(folder, "both", config, corpora)
    assert both["score_coherence"]["from_cache"] == first["score_coherence"]["passed"]
    assert 0 < both["score_coherence"]["scored"] <= 6
    assert both["store_images"]["images_known"] >= first["store_images"]["images_normalised"]
    assert asked_both and not set(asked_first) & set(asked_both)
    _, asked_apart = run(f"{folder}/apart", "both", config, corpora)
    assert _manifest(folder, "both") == _manifest(f"{folder}/apart", "both")
    assert sorted(asked_apart) == sorted(asked_first + asked_both)


def _manifest(folder: str, name: str) -> bytes:
    return read_bytes(f"{folder}/{name}/manifest.json")


def _made(folder):
    folder.mkdir()
    return folder
