"""What the pages name is there: files, commands and their options, make targets."""

from __future__ import annotations

import importlib.util
import pathlib
import re

import pytest
import yaml

from pipeline.cli import COMMANDS

ROOT = pathlib.Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md"]
PAGES += sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))
FOLDERS = "configs docs examples filters fuzz models moss pipeline prompts requirements schemas scripts tests".split()
PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w./-]*\w/?")


def code(page: str) -> list[str]:
    """The code on a page: what stands between backticks, and the lines of its blocks, continued lines joined."""
    text = (ROOT / page).read_text().replace("\\\n", " ")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    inline = re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    return [line for block in blocks for line in block.splitlines()] + [" ".join(one.split()) for one in inline]


def sources(module: str) -> str:
    """The text of a module that is run, and of those that give it options: `__main__` and what it imports of ours."""
    found = importlib.util.find_spec(module)
    assert found and found.origin, f"there is no module {module}"
    path = pathlib.Path(found.origin)
    if path.name == "__init__.py":
        path = path.with_name("__main__.py")
    return path.read_text() + (ROOT / "moss/settings.py").read_text() * module.startswith("moss.")


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_are_there(page):
    named = {path for text in code(page) for path in PATH.findall(text)}
    missing = {path for path in named if not (ROOT / path).exists() and not list(ROOT.glob(f"{path}*"))}
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_that_a_page_names_are_there(page):
    options = (ROOT / "pipeline/arguments.py").read_text()
    for text in code(page):
        for command, rest in re.findall(r"\bleafinstruct ([a-z]+)((?: [^#|]*)?)", text):
            assert command in {function.__name__.rstrip("_") for function in COMMANDS}, text
            for option in re.findall(r"(?<!\S)(--[a-z][\w-]*)", rest):
                assert f'"{option}"' in options or "--runner" in rest or option.startswith("--direct_"), text
        for module, rest in re.findall(r"\bpython -m ([\w.]+)((?: [^#|]*)?)", text):
            if module.split(".")[0] in (*FOLDERS, "benchmarks"):
                known = sources(module)
                for option in re.findall(r"(?<!\S)\[?(--[a-z][\w-]*)", rest):
                    assert option in known or option[2:].replace("-", "_") in known, text


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_that_a_page_names_are_there(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {name for text in code(page) for name in re.findall(r"(?:^|[ (])make ([a-z][a-z-]*)", text)}
    assert named <= targets


@pytest.mark.parametrize("page", PAGES)
def test_blocks_of_code_are_whole(page):
    text = (ROOT / page).read_text()
    assert not re.findall(r"^ *```\w*[^\w\n].*", text, re.M)  # text behind a fence: a block that was wrapped like prose
    for block in re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S):
        list(yaml.safe_load_all(block))
