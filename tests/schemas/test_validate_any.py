"""Any damage at all: whatever is cut or changed, the validator answers and never raises. (Inputs made to hurt it:
test_hostile.py.)"""

from __future__ import annotations

import contextlib
import pathlib
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.validate import validate
from tests.schemas.damage import CARD, CONFIG, L0, L1, METRICS, REPORT, RUN, S0, S1, S2, I, M, sign

FILES = (M, I, CARD, CONFIG, L0, L1, S0, S1, S2, RUN, REPORT, METRICS)
changes = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=4)
anything = settings(deadline=None, derandomize=True, max_examples=10, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def copy(good, tmp_path_factory) -> pathlib.Path:
    """A copy that each example changes and puts right again."""
    return shutil.copytree(good, tmp_path_factory.mktemp("any") / "set")


@contextlib.contextmanager
def holding(folder: pathlib.Path, name: str, data: bytes):
    """The folder with other bytes in one file, for as long as the block lasts."""
    before = {name_: (folder / name_).read_bytes() for name_ in (name, M, RUN)}
    (folder / name).write_bytes(data)
    try:
        yield before[name]
    finally:
        for name_, whole in before.items():
            (folder / name_).write_bytes(whole)


def changed(data: bytes, where: list[tuple[int, int]]) -> bytes:
    found = bytearray(data)
    for place, mask in where:
        found[place % len(found)] ^= mask
    return bytes(found)


@pytest.mark.parametrize("name", FILES[1:])
@anything
@given(where=changes)
def test_a_changed_byte_of_a_signed_file_is_found(copy, name, where):
    data = changed((copy / name).read_bytes(), where)
    with holding(copy, name, data) as whole:
        assert validate(copy, deep=True) or data == whole


@pytest.mark.parametrize("name", FILES)
@anything
@given(where=changes, cut=st.none() | st.integers(0, 1 << 20))
def test_any_bytes_with_new_checksums_are_answered(copy, name, where, cut):
    data = changed((copy / name).read_bytes(), where)
    with holding(copy, name, data if cut is None else data[: cut % len(data)]):
        if name not in (M, RUN):
            sign(copy)
        validate(copy, deep=True)


@pytest.mark.parametrize("name", FILES)
@anything
@given(data=st.binary(min_size=1, max_size=200) | st.text(min_size=1, max_size=100).map(str.encode))
def test_other_bytes_altogether_are_answered(copy, name, data):
    with holding(copy, name, data):
        if name not in (M, RUN):
            sign(copy)
        assert validate(copy, deep=True) or name in (REPORT, METRICS)  # they may say anything, once it is signed
