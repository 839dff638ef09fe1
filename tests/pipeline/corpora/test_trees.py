"""Trees of pages: which files are taken, where their images are, where they come from."""

from __future__ import annotations

import io
import os
import tarfile
import time
from pathlib import Path

import pytest

from pipeline import corpora
from pipeline.storage import uris
from schemas.records import Fault

PAGE = "# Tea\n\nBoil the water.\n"


def names(root, found):
    return [d.location.removeprefix(f"{root}/").rsplit(":", 1)[0] for d in found]


def test_files_at_any_depth_but_no_hidden_ones_one_part_each(tree, read_all):
    root = tree(**{"b/c/d.md": PAGE, "a.markdown": PAGE, ".git/x.md": PAGE, "b/.hidden.md": PAGE, "b/x.txt": PAGE})
    assert len(list(corpora.parts("markdown", root))) == 2
    assert names(root, read_all("markdown", root)) == ["a.markdown", "b/c/d.md"]
    assert names(root, read_all("markdown", f"{root}/b/c/d.md")) == ["b/c/d.md"]
    assert names(root, read_all("markdown", f"{root}/b/**/*.md")) == ["b/c/d.md"]


def test_pages_of_the_current_folder(tree, read_all, monkeypatch):
    monkeypatch.chdir(tree(**{"a.md": "![x](a.png)"}))
    monkeypatch.setattr(uris, "_real", os.path.realpath)  # a process has one current folder, but that of the tests
    for path in ("*.md", "**/*.md", "./*.md", "a.md", "."):
        [document] = read_all("markdown", path)
        assert (document.location, document.images[0].uri) == ("./a.md:1", "./a.png")


@pytest.mark.parametrize(
    "target, uri",
    [
        ("../img/a%20b.png", "/img/a b.png"),
        ("/static/x.png?v=2", "/static/x.png"),
        ("./x.png", "/docs/x.png"),
        ("https://example.org/a.png", "https://example.org/a.png"),
        ("//example.org/a.png", "https://example.org/a.png"),
        ("../../etc/passwd", "/..%2F..%2Fetc%2Fpasswd"),
        ("data:image/png;base64,AA", "/data%3Aimage%2Fpng%3Bbase64%2CAA"),
    ],
)
def test_links_stay_in_the_tree(tree, read_all, target, uri):
    root = tree(**{"docs/page.md": f"![x](<{target}>)"})
    [document] = read_all("markdown", root)
    assert document.images[0].uri == (uri if uri.startswith("http") else f"{root}{uri}")


def test_an_id_is_the_same_wherever_the_tree_lies(tree, read_all, tmp_path):
    for place in ("one", "two"):
        tree(**{f"{place}/docs/page.md": PAGE})
    [first], [second] = read_all("markdown", tmp_path / "one"), read_all("markdown", tmp_path / "two")
    assert first.id == second.id and first.id.startswith("docs/page.md:1-")


def test_a_checkout_gives_addresses_on_github(tree, read_all):
    commit = "0123456789" * 4
    config = '[remote "origin"]\n\turl = git@github.com:owner/the-book.git\n\tfetch = x\n'
    tree(
        **{
            "a/.git/HEAD": f"{commit}\n",
            "a/.git/config": config,
            "a/docs/tea time.md": PAGE,
            "b/.git/HEAD": "ref: refs/heads/main\n",
            "b/.git/packed-refs": f"# pack\n{commit} refs/heads/main\n",
            "b/.git/config": config,
            "b/x.md": PAGE,
            "c/.git/HEAD": "ref: refs/heads/gone",
            "c/x.md": PAGE,
        }
    )
    root = tree()
    urls = [read_all("markdown", f"{root}/{name}")[0].url for name in "abc"]
    assert urls == [
        f"https://github.com/owner/the-book/blob/{commit}/docs/tea%20time.md",
        f"https://github.com/owner/the-book/blob/{commit}/x.md",
        "",
    ]


def test_a_tar_is_read_in_place_and_its_damage_is_a_fault(tree, read_all, tmp_path):
    root = tree(**{"tree/docs/page.md": f"{PAGE}\n![x](../a.png)"})
    path = f"{tmp_path}/pages.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(f"{root}/tree", "book")
    [document] = read_all("markdown", path)
    assert (document.location, document.images[0].uri) == (f"{path}!/book/docs/page.md:1", f"{path}!/book/a.png")
    data = Path(path).read_bytes()
    with open(path, "wb") as file:
        file.write(data[:2048] + b"damage" * 1000)
    assert [f.error for f in read_all("markdown", path) if isinstance(f, Fault)][-1] == "unreadable"


def test_pages_that_are_not_utf8_or_too_long_are_faults(tree, read_all, monkeypatch):
    monkeypatch.setattr("pipeline.corpora.trees.MAX_LINE", 100)
    found = read_all("markdown", tree(**{"a.md": b"\xff\xfe", "b.md": "x" * 101, "c.md": PAGE}))
    assert [f.error for f in found if isinstance(f, Fault)] == ["bad_utf8", "too_long"]


def test_a_member_with_a_very_long_name_is_a_fault_at_once(tmp_path, read_all):
    page = b"Boil. ![x](/x.png)\n"
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        for name in ("a/" * 30_000 + "x.md", "a/" * 100 + "x.md"):
            info = tarfile.TarInfo(name)
            info.size = len(page)
            tar.addfile(info, io.BytesIO(page))
    started = time.process_time()
    long, good = read_all("markdown", tmp_path / "a.tar")
    assert good.images[0].uri == f"{tmp_path}/a.tar!/x.png" and long.error == "too_long"
    assert time.process_time() - started < 2


def test_a_git_configuration_of_empty_lines_takes_no_time(tree, read_all):
    url = "[remote]\n\turl = https://github.com/a/b.git\r\n"
    root = tree(**{".git/config": "\n" * 200_000 + url, ".git/HEAD": "a" * 40, "x.md": PAGE})
    started = time.process_time()
    [document] = read_all("markdown", root)
    assert document.url.startswith("https://github.com/a/b/blob/") and time.process_time() - started < 2
