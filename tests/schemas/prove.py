"""Is a planted damage found, exactly, and told in a way that every format can print?"""

from __future__ import annotations

import json
import pathlib

from schemas.validate import validate
from tests.schemas.damage import places


def prove(folder: pathlib.Path, damage, expected: list[tuple[str, str, str, str, str]], deep: bool) -> None:
    """Do the damage; the validator finds it at these places, each once, and at no others. What the cheap mode finds,
    the deep mode finds too. An empty list would prove nothing."""
    damage(folder)
    found = validate(folder, deep=deep)
    assert expected and places(found) == set(expected)
    assert len({str(defect) for defect in found}) == len(found)
    if not deep:
        assert set(expected) <= places(validate(folder, deep=True))
    json.dumps([vars(defect) for defect in found]).encode()
    assert all(str(defect).isprintable() for defect in found)
