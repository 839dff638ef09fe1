"""A published folder in an object store is checked like a local one."""

from __future__ import annotations

import json

import pytest

from pipeline.cli import main
from pipeline.storage.folder import opened
from schemas.errors import UserError
from schemas.validate import Options, examine, validate
from tests.pipeline import disk  # noqa: F401
from tests.schemas import example
from tests.schemas.damage import CARD, L1, REPORT, S0, S1, I, places

DEEP = Options(deep=True)


@pytest.fixture
def folder(tmp_path):
    example.write(tmp_path / "set")
    return tmp_path / "set"


def url(folder) -> str:
    return f"disk:/{folder}"


def test_a_sound_folder_is_valid(folder):
    (folder / ".work/images").mkdir(parents=True)
    (folder / ".work/images/a.jpg").write_bytes(b"")
    assert examine(opened(url(folder)), DEEP) == examine(opened(str(folder)), DEEP)
    assert not examine(opened(url(folder)), DEEP).defects


def _changed(name):
    def damage(folder):
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        *map(_changed, (S0, I, L1, CARD, REPORT)),
        lambda f: (f / S1).unlink(),
        lambda f: (f / "manifest.json").unlink(),
        lambda f: (f / "shards/more.tar").write_bytes(b"."),
        lambda f: (f / "notes.txt").write_bytes(b"."),
        lambda f: (f / S1).write_bytes((f / S1).read_bytes()[:1000]),
    ],
)
def test_the_same_damage_is_found_at_the_same_places(folder, damage):
    damage(folder)
    found = examine(opened(url(folder)), DEEP).defects
    assert found and places(found) == places(validate(folder, deep=True))


def test_the_command_takes_its_address(folder, capsys):
    assert main(["validate", url(folder), "--deep", "--workers", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]
    (folder / S1).unlink()
    assert main(["validate", url(folder), "--shards", "0", "--workers", "1"]) == 1
    assert "shards/leafinstruct-00001.tar: is listed but not there [file-missing]" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["nothing", "disk://tmp/there-is-no-such-folder-here"])
def test_no_folder_is_the_users_mistake(name):
    with pytest.raises(UserError, match="is not a folder, or an empty one"):
        opened(name)
