from __future__ import annotations

import pytest

import configs


@pytest.mark.parametrize("name", ["demo", "demo.yaml", "configs/demo", "configs/demo.yaml"])
def test_a_name_stands_for_a_shipped_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configs.find(name) == str(configs.FOLDER / "demo.yaml")


def test_a_file_of_the_users_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    for name in ("demo.yaml", "configs/demo.yaml"):
        (tmp_path / name).write_text("")
        assert configs.find(name) == name


@pytest.mark.parametrize("name", ["", "other", "elsewhere/demo.yaml", "/demo.yaml", "../demo.yaml"])
def test_what_names_nothing_comes_back(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configs.find(name) == name
