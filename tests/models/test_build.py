from __future__ import annotations

import pathlib

import pytest

from models import build, packages
from models.packages import Package
from schemas.errors import UserError

PACKAGE = Package("parts", "1.0", {"parts/a.bin": "0" * 64})


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty build folder, a recipe, and a shelf of packages that needs no pip."""
    monkeypatch.chdir(tmp_path)
    build.MODELS.mkdir(parents=True)
    pathlib.Path("recipe.py").write_text("1")

    def fetch(package, out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
        (out_dir / "a.bin").write_text(package.version)

    monkeypatch.setattr(packages, "fetch", fetch)
    return build.MODELS / "small"


def make(package=PACKAGE, fail=False) -> list[pathlib.Path]:
    """Make the model `small`; the places that its builder was told of."""
    told = []

    def builder(files, out, final):
        told.append(final)
        out.mkdir()
        (out / "weights").write_text((files / "a.bin").read_text())
        if fail:
            raise UserError("the disk is full")

    build.make("small", [pathlib.Path("recipe.py")], [package], builder)
    return told


def test_a_model_that_stands_is_left(place, capsys):
    assert make() == [place]
    assert (place / "weights").read_text() == "1.0"
    assert make() == []
    assert "small is up to date" in capsys.readouterr().out
    assert sorted(path.name for path in build.MODELS.iterdir()) == ["small", "small.recipe"]


def test_another_recipe_another_package_or_a_lost_folder_make_it_again(place):
    make()
    pathlib.Path("recipe.py").write_text("2")
    assert make() == [place]
    assert make(Package("parts", "2.0", PACKAGE.files)) == [place]
    assert (place / "weights").read_text() == "2.0"
    (place / "weights").unlink()
    place.rmdir()
    assert make() == [place]


def test_a_model_at_another_place_is_another_one(tmp_path):
    recipe = tmp_path / "recipe.py"
    recipe.write_text("1")
    assert build.recipe_hash([recipe], [PACKAGE], tmp_path / "a") != build.recipe_hash(
        [recipe], [PACKAGE], tmp_path / "b"
    )


def test_a_build_that_fails_leaves_what_stood(place):
    make()
    pathlib.Path("recipe.py").write_text("2")
    with pytest.raises(UserError, match="the disk is full"):
        make(fail=True)
    assert (place / "weights").read_text() == "1.0"
    assert make() == [place]  # the failed one is not taken for made
