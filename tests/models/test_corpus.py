"""The development corpus from a small repository of git."""

from __future__ import annotations

import json
import subprocess

import PIL.Image
import pytest

from models import corpus
from pipeline import corpora
from pipeline.storage.uris import read_bytes
from schemas.errors import ServiceError, UserError
from schemas.records import Document
from tests.pipeline.corpora.test_howto import TAR


def git(folder, *arguments):
    return subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=T", "-c", "user.email=t@example.org", *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository with a page of three images (one an icon), one of one image, and a later commit."""
    folder = tmp_path / "origin"
    (folder / "docs").mkdir(parents=True)
    for name, size in (("a.png", (800, 400)), ("b.jpg", (100, 90)), ("icon.png", (16, 16))):
        PIL.Image.effect_noise(size, 60).convert("RGB").save(folder / "docs" / name)
    (folder / "docs" / "saw.md").write_text(
        "# Saws\n\nCut.\n\n![a](a.png)\n\n![i](icon.png)\n\nSaw.\n\n![b](b.jpg 'B')\n"
    )
    (folder / "docs" / "one.md").write_text("# One\n\n![a](a.png)\n")
    git(folder.parent, "init", "-q", str(folder))
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    commit = git(folder, "rev-parse", "HEAD")
    (folder / "docs" / "saw.md").write_text("# Changed\n")
    git(folder, "commit", "-qam", "second")
    return folder, commit


def recipe(repository, **changes):
    folder, commit = repository
    source = corpus.Source(
        **{"name": "saws", "repository": str(folder), "commit": commit, "license": "MIT", "format": "markdown"}
        | changes
    )
    return corpus.Recipe(corpus.Rules((2, 30), 64, 320), (source,))


def test_a_clone_at_its_commit_becomes_a_corpus(repository, tmp_path):
    output = tmp_path / "out" / "howto.tar"
    assert corpus.build(recipe(repository), tmp_path / "checkouts", output) == {"saws": 1}
    [document] = [d for part in corpora.parts("native", str(output)) for d in corpora.read(part)]
    assert isinstance(document, Document)
    assert (document.source, document.license, document.title) == ("saws", "MIT", "Saws")
    assert document.texts == ("# Saws", "Cut.", "Saw.")
    assert [(i.alt, i.caption, i.width) for i in document.images] == [("a", "", 800), ("b", "B", 100)]
    again = tmp_path / "again.tar"
    corpus.build(recipe(repository), tmp_path / "checkouts", again)  # the checkout that is there
    assert again.read_bytes() == output.read_bytes()


def test_a_checkout_of_another_commit_is_refused(repository, tmp_path):
    git(tmp_path, "clone", "-q", str(repository[0]), str(tmp_path / "checkouts" / "saws"))
    with pytest.raises(UserError, match="is at commit .*, and saws wants"):
        corpus.build(recipe(repository), tmp_path / "checkouts", tmp_path / "x.tar")


def test_what_git_cannot_fetch_is_said(repository, tmp_path):
    with pytest.raises(ServiceError, match="git fetch failed for .*delete"):
        corpus.build(recipe(repository, commit="0" * 40), tmp_path / "checkouts", tmp_path / "x.tar")


def test_the_recipe_of_the_project_names_every_source():
    found = corpus.load(corpus.RECIPE)
    assert len({source.name for source in found.sources}) == 14
    assert all(
        len(source.commit) == 40 and source.license and source.format in corpora.FORMATS for source in found.sources
    )


def test_ids_are_those_of_the_corpus_that_the_models_were_trained_on():
    if not TAR.exists():
        pytest.skip(f"{TAR} is not here")
    for line in read_bytes(f"{TAR}!/howto/docs.jsonl").splitlines():
        record = json.loads(line)
        assert corpus.record_id(record["source"], record["path"]) == record["id"]
