"""Any damage at all: whatever is cut or changed, the validator answers, and never raises."""

from __future__ import annotations

import pytest

from schemas.validate import validate
from tests.schemas.test_validate import CARD, L0, S0, I, M

PLACES = 10


@pytest.mark.parametrize("name", [S0, I, L0, M, CARD])
def test_cut_or_changed_anywhere(name, folder):
    path = folder / name
    whole = path.read_bytes()
    for place in range(0, len(whole), len(whole) // PLACES):
        path.write_bytes(whole[:place])
        assert validate(folder, deep=True) or name == CARD  # the card's words may be cut
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        assert validate(folder, deep=True) or name in (M, CARD)  # a name may be changed
