"""Deleting folders, also such as somebody else still writes to."""

import errno
import os
import shutil

import pytest

from pipeline.storage import removal
from pipeline.storage.removal import remove


def test_a_link_goes_and_what_it_points_to_stays(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/file").touch()
    for name, target in (("link", "disk"), ("broken", "nowhere")):
        (tmp_path / name).symlink_to(target)
        remove(str(tmp_path / name))
    remove(str(tmp_path / "never was there"))
    assert os.listdir(tmp_path) == ["disk"] and os.listdir(tmp_path / "disk") == ["file"]


@pytest.mark.parametrize("times", [1, removal.TRIES - 1, removal.TRIES])
def test_a_folder_to_which_somebody_still_writes(tmp_path, monkeypatch, times):
    folder, tries, really = tmp_path / "folder", [], shutil.rmtree

    def meanwhile(path):
        really(path)
        if len(tries) < times:
            tries.append(path)
            folder.mkdir()
            (folder / "new").touch()
            raise OSError(errno.ENOTEMPTY, "Directory not empty", path)

    folder.mkdir()
    monkeypatch.setattr(shutil, "rmtree", meanwhile)
    if times == removal.TRIES:
        with pytest.raises(OSError, match="not empty"):
            remove(str(folder))
    else:
        remove(str(folder))
        assert not folder.exists()


def test_what_may_not_be_deleted_is_told_at_once(tmp_path, monkeypatch):
    tries = []

    def refused(path):
        tries.append(path)
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(shutil, "rmtree", refused)
    with pytest.raises(PermissionError):
        remove(str(tmp_path))
    assert len(tries) == 1
