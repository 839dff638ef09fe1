"""What a YAML file may say, and how it is answered where it says something else."""

from __future__ import annotations

import dataclasses

import pytest

from schemas import settings
from schemas.errors import UserError


@dataclasses.dataclass(frozen=True)
class Some:
    share: float = 0.5
    name: str = ""
    files: dict[str, str] = dataclasses.field(default_factory=dict)


def load(tmp_path, text):
    path = tmp_path / "some.yaml"
    path.write_text(text, encoding="utf-8")
    return settings.build(Some, settings.read(str(path), "other.yaml"), str(path))


@pytest.mark.parametrize(
    "text, said",
    [
        ("name: 2024-13-45", "has a value that cannot be read: month must be in 1..12; put it in quotes"),
        ("share: .inf", "share must be a finite number, not inf"),
        ("share: -.inf", "share must be a finite number, not -inf"),
        ("share: .nan", "share must be a finite number, not nan"),
        (f"share: 1{'0' * 400}", "share must be a finite number"),
        (f"share: 1{'0' * 5000}", "has a value that cannot be read"),
        ("share: true", "share must be a number, not True"),
        ("name: 2024-12-24", "name must be a string"),
        ("files: {2024-12-24: a.txt}", "files must map names to strings"),
        ("name: [", "is not YAML"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(tmp_path, text, said):
    with pytest.raises(UserError) as error:
        load(tmp_path, text)
    assert said in str(error.value) and str(tmp_path / "some.yaml") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_byte_order_mark_and_other_scripts_are_read(tmp_path):
    assert load(tmp_path, "\ufeffname: Blätter\nshare: 1") == Some(1.0, "Blätter")
