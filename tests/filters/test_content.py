import pytest

from filters import content, presets
from pipeline.config import load
from schemas.errors import UserError
from schemas.records import Drop
from tests.pipeline.runs import ROOT

RULES = "extends: leafinstruct\ncontent:\n"


def preset(tmp_path, *lines: str):
    path = tmp_path / "own.yaml"
    path.write_text(RULES + "".join(f"  - {line}\n" for line in lines))
    return presets.load(str(path))


@pytest.mark.parametrize("rule", content.RULES, ids=lambda rule: rule.__name__)
def test_a_rule_drops_what_is_above_its_limit_and_has_its_own_name(rule):
    assert rule(0.5, at_most=0.5) is None
    assert rule(0.6, at_most=0.5) == Drop(rule.__name__, 0.6, 0.5)


def test_a_preset_turns_the_rules_on_and_the_configuration_names_them(tmp_path):
    made = preset(tmp_path, "{rule: content.watermark, at_most: 0.02}", "{rule: content.faces, at_most: 0}")
    assert presets.as_dict(made)["content"] == [
        {"rule": "content.watermark", "at_most": 0.02},
        {"rule": "content.faces", "at_most": 0},
    ]


def test_no_preset_of_the_package_turns_one_on():
    for name in presets.names():
        found = presets.load(name, accept_missing=_lacking(name))
        assert found.content_rules == () and "content" not in presets.as_dict(found)
    assert load(str(ROOT / "configs/demo.yaml")).preset in presets.names()


def _lacking(name: str) -> list[str]:
    content = presets._extended(presets._path(name))
    return [*content["missing"], *content["word_lists"]]


@pytest.mark.parametrize(
    "line, message",
    [
        ("{rule: content.nothing, at_most: 1}", "no rule"),
        ("{rule: image.shorter_side, at_least: 1}", "functions of filters.content"),
        ("{rule: filters.content.faces, at_most: 0}", "each of them has its own measure"),
        ("{rule: content.faces}", "needs the argument 'at_most'"),
    ],
)
def test_only_rules_with_a_measure_are_taken(tmp_path, line, message):
    with pytest.raises(UserError, match=message):
        preset(tmp_path, line)
