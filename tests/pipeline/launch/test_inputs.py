"""Fingerprints of input files: the same for the same files, another for anything that a build would read otherwise."""

import json
import os
import pathlib
import tarfile

import pytest

from pipeline.launch.inputs import fingerprints
from pipeline.sources import Corpus
from schemas.errors import UserError
from tests.pipeline import disk  # noqa: F401

RECORD = {"id": "a", "texts": ["one", "two"], "images": ["a.png"]}


@pytest.fixture
def corpus(tmp_path) -> pathlib.Path:
    folder = tmp_path / "corpus"
    (folder / "images/more").mkdir(parents=True)
    (folder / "docs.jsonl").write_text(json.dumps(RECORD) + "\n")
    (folder / "more.jsonl").write_text(json.dumps(RECORD | {"id": "b"}) + "\n")
    (folder / "images/a.png").write_bytes(b"one")
    (folder / "images/more/b.png").write_bytes(b"other")
    (folder / "notes.txt").write_text("of no corpus")
    return folder


def taken(path, ours=()) -> dict:
    (found,) = fingerprints([Corpus("native", str(path))], [str(folder) for folder in ours])
    return found


def test_the_same_files_have_the_same_fingerprint_wherever_they_lie_and_however_old_they_are(corpus, tmp_path):
    before = taken(corpus)
    assert (before["corpus"], before["files"]) == (f"native:{corpus}", 4)
    assert before["bytes"] == sum(p.stat().st_size for p in corpus.rglob("*") if p.is_file()) - len("of no corpus")
    os.utime(corpus / "docs.jsonl", (0, 0))
    assert taken(corpus) == before
    corpus.rename(tmp_path / "moved")
    assert taken(tmp_path / "moved")["sha256"] == before["sha256"]


def test_files_without_records_and_what_lies_beside_a_tar_are_no_input(corpus, tmp_path):
    before = taken(corpus)
    (corpus / "empty.jsonl").touch()
    assert taken(corpus) == before
    (tmp_path / "tars/images").mkdir(parents=True)
    (tmp_path / "tars/images/big.png").write_bytes(b"of no corpus")
    with tarfile.open(tmp_path / "tars/c.tar", "w") as tar:
        tar.add(corpus / "docs.jsonl", "docs.jsonl")
    assert taken(tmp_path / "tars")["files"] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda c: (c / "docs.jsonl").write_text((c / "docs.jsonl").read_text().replace("one", "eno")),
        lambda c: (c / "images/a.png").write_bytes(b"two"),
        lambda c: (c / "images/more/b.png").unlink(),
        lambda c: (c / "images/c.png").write_bytes(b""),
        lambda c: (c / "more.jsonl").rename(c / "less.jsonl"),
    ],
    ids=["a word", "an image", "an image less", "an image more", "a file's name"],
)
def test_a_change_of_any_file_that_is_read_changes_it(corpus, change):
    before = taken(corpus)
    change(corpus)
    assert taken(corpus)["sha256"] != before["sha256"]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: (c / "notes.txt").write_text("other words"),
        lambda c: (c / "images/.thumbnails").mkdir(),
        lambda c: os.mkfifo(c / "images/pipe"),
        lambda c: (c / "images/link.png").symlink_to("/etc/hostname"),
    ],
    ids=["another file", "hidden", "a pipe", "a link out of the corpus"],
)
def test_what_is_never_read_is_no_input(corpus, change):
    before = taken(corpus)
    change(corpus)
    assert taken(corpus) == before


def test_what_a_run_writes_into_its_own_corpus_is_no_input(corpus):
    before = taken(corpus)
    (corpus / "images/out").mkdir()
    (corpus / "images/out/manifest.json").write_text("{}")
    assert taken(corpus) != before
    assert taken(corpus, [corpus / "images/out"]) == before


def test_what_a_run_writes_into_its_own_corpus_in_a_bucket_is_no_input(corpus):
    before = taken(f"disk:/{corpus}")
    (corpus / "images/out").mkdir()
    (corpus / "images/out/.lease").write_text("{}")
    assert taken(f"disk:/{corpus}") != before
    assert taken(f"disk:/{corpus}", [f"disk:/{corpus}/images/out/"]) == before


def test_a_corpus_whose_documents_a_run_has_written_is_refused(tmp_path):
    (tmp_path / "site/out").mkdir(parents=True)
    (tmp_path / "site/out/README.md").write_text("# The card of a dataset")
    corpus = Corpus("markdown", f"{tmp_path}/site")
    with pytest.raises(
        UserError, match="site has .*README.md, which a run has written: choose an --output and a --work"
    ):
        fingerprints([corpus], [f"{tmp_path}/site/out"])


def test_a_corpus_in_an_object_store_is_told_by_checksums_and_sizes(corpus):
    before = taken(f"disk:/{corpus}")
    assert before["files"] == 4
    (corpus / "images/a.png").write_bytes(b"longer")
    assert taken(f"disk:/{corpus}")["sha256"] != before["sha256"]
