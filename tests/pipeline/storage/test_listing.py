"""Globs mean what they mean to `glob`, but for links, and what cannot be listed is an error."""

from __future__ import annotations

import errno
import glob
import os

import pytest

from pipeline.storage.listing import globbed, tree
from pipeline.storage.uris import find

FILES = ("a.jsonl", "b/c.jsonl", "b/d/e.jsonl", "b/d/e.txt", ".hidden/f.jsonl", "b/.g.jsonl", "[x]/h.jsonl", "a/b/c/d")
PATTERNS = (
    "*",
    "**",
    "*/*",
    "**/*",
    "**/*.jsonl",
    "b/**/*.jsonl",
    "**/d/*",
    "*/d/e.*",
    "**/**/e.txt",
    "b/*/e.jsonl",
    "[[]x]/*",
    "[ab]*",
    ".*/*",
    "b/.*",
    "a.jsonl/*",
    "missing/*",
    "missing/**/*",
    "a.jsonl/**",
    "*/c.jsonl/x",
    "b//*.jsonl",
    "./b/*",
)


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_glob_means_the_files_that_it_means_to_glob(folder, pattern, absolute, monkeypatch):
    monkeypatch.chdir(folder)
    pattern = f"{folder}/{pattern}" if absolute else pattern

    def files(paths):
        return {os.path.normpath(path) for path in paths if os.path.isfile(path)}

    assert files(globbed(pattern)) == files(glob.glob(pattern, recursive=True))


def test_a_link_is_followed_where_it_is_named_and_not_at_any_depth(folder):
    (folder / "b/back").symlink_to(folder)  # glob would go round and round: b/back/b/back/...
    assert find(f"{folder}/**/a.jsonl", (".jsonl",)) == [f"{folder}/a.jsonl"]
    assert find(f"{folder}/b/*/a.jsonl", (".jsonl",)) == [f"{folder}/b/back/a.jsonl"]


@pytest.mark.parametrize(
    "listed",
    [
        lambda folder: list(tree(folder)),
        lambda folder: find(folder, (".jsonl",)),
        lambda folder: find(f"{folder}/*.jsonl", (".jsonl",)),
        lambda folder: find(f"{folder}/**/*.jsonl", (".jsonl",)),
        lambda folder: find(f"{folder}/[b]/c.jsonl", (".jsonl",)),
    ],
)
def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(folder, monkeypatch, listed):
    assert listed(str(folder))

    def broken(path):
        raise OSError(errno.EIO, "Input/output error", path)

    monkeypatch.setattr(os, "scandir", broken)
    monkeypatch.setattr(os, "listdir", broken)
    with pytest.raises(OSError, match="Input/output error"):
        listed(str(folder))
