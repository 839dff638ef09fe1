import shutil

import pytest

from tests.schemas import example


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """The example set; not to be changed."""
    folder = tmp_path_factory.mktemp("good")
    example.write(folder)
    return folder


@pytest.fixture
def folder(good, tmp_path):
    """A copy of the example set, to be damaged."""
    return shutil.copytree(good, tmp_path / "set")
