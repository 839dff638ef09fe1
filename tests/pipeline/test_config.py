"""Configuration files: what is read, and how mistakes are answered."""

import dataclasses
import pathlib

import pytest
import yaml

from pipeline import config as configuration
from schemas.codec import config_hash
from schemas.errors import UserError

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
DEMO = yaml.safe_load((CONFIGS / "demo.yaml").read_text())


def load(tmp_path, tree) -> configuration.Config:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return configuration.load(str(path))


@pytest.mark.parametrize("name", ["demo.yaml", "leafinstruct.yaml"])
def test_shipped_configs_load(name):
    config = configuration.load(str(CONFIGS / name))
    assert len(config.domains) >= 12
    assert config.preset == "leafinstruct"


def test_a_preset_that_bars_english_is_refused(tmp_path):
    rule = "{rule: filters.language.probability, allowed: [de], at_least: 0.5}"
    (tmp_path / "own.yaml").write_text(f"extends: leafinstruct\ndocument: [{rule}]\n")
    config = load(tmp_path, DEMO | {"preset": str(tmp_path / "own.yaml")})
    with pytest.raises(UserError, match="checked in English"):
        configuration.preset(config)


def test_production_config_explains_every_key():
    """configs/leafinstruct.yaml is where keys are explained, so it must name them all."""
    tree = yaml.safe_load((CONFIGS / "leafinstruct.yaml").read_text())
    assert set(tree) == {f.name for f in dataclasses.fields(configuration.Config)}
    for name, value in tree.items():
        kind = configuration.Config.__dataclass_fields__[name].type
        if isinstance(value, dict) and value:
            assert set(value) == {f.name for f in dataclasses.fields(getattr(configuration, kind))}


@pytest.mark.parametrize(
    "change, words",
    [
        ({"shard": {"size": 3}}, ["unknown key shard", "did you mean shards"]),
        ({"shards": {"sise": 3}}, ["unknown key shards.sise", "did you mean shards.size"]),
        ({"shards": {"size": "many"}}, ["shards.size", "a whole number", "many"]),
        ({"shards": {"size": True}}, ["shards.size", "a whole number"]),
        ({"shards": {"size": 0}}, ["shards.size", "at least 1"]),
        ({"shards": {"salt": ""}}, ["shards.salt", "1 to 64"]),
        ({"word_lists": ["a"]}, ["word_lists must map names to strings"]),
        ({"shards": [1]}, ["shards must be a mapping of keys to values"]),
        ({"domains": ["one", "two"]}, ["domains", "at least 12"]),
        ({"domains": "cooking"}, ["domains must be a list"]),
        ({"domains": [*DEMO["domains"], DEMO["domains"][0]]}, [f"domains names '{DEMO['domains'][0]}' more than once"]),
        ({"domains": [*DEMO["domains"], " "]}, ["domains has a blank name"]),
        ({"corpora": []}, ["corpora is empty"]),
        ({"corpora": {"format": "native", "path": "x"}}, ["corpora must be a list, such as [{format: native, path: "]),
        ({"corpora": ["native:x"]}, ["corpora must be a list, such as [{format: native, path: examples/corpus}]"]),
        ({"corpora": [{"format": "native"}]}, ["corpora[0].path is missing"]),
        ({"limits": {"failed_at_most": 0}}, ["limits.failed_at_most", "above 0 and up to 1"]),
        ({"split": {"context_free": 2}}, ["split.context_free", "from 0 to 1"]),
        ({"coherence": {"matched_at_least": 0.1}}, ["coherence.mean_at_least is missing"]),
        ({"excerpt": {"max_words": 0}}, ["excerpt.max_words must be at least 1, not 0"]),
        ({"excerpt": {"max_words": 240, "min_words": 500}}, ["excerpt.min_words, which is 500, is above", "240"]),
        ({"excerpt": {"min_words": -1}}, ["excerpt.min_words must be at least 0, not -1"]),
        ({"images": {"max_bytes": 0}}, ["images.max_bytes must be at least 1, not 0"]),
        ({"images": {"max_pixels": -1}}, ["images.max_pixels must be at least 1, not -1"]),
        ({"images": {"timeout": 0}}, ["images.timeout must be above 0, not 0"]),
        ({"llm": DEMO["llm"] | {"timeout": -3}}, ["llm.timeout must be above 0, not -3"]),
        ({"llm": DEMO["llm"] | {"deadline": 1}}, ["llm.timeout, which is ", "is above llm.deadline, which is 1"]),
        ({"llm": DEMO["llm"] | {"max_model_len": 0}}, ["llm.max_model_len must be at least 1, not 0"]),
        ({"ratings": DEMO["ratings"] | {"mean_at_least": 45}}, ["ratings.mean_at_least must be from 0 to 5, not 45"]),
        ({"coherence": DEMO["coherence"] | {"mean_at_least": 20}}, ["coherence.mean_at_least", "from -1 to 1"]),
        ({"coherence": DEMO["coherence"] | {"margin_at_least": -3}}, ["coherence.margin_at_least", "from -2 to 2"]),
        ({"coherence": DEMO["coherence"] | {"similarity_at_most": 95}}, ["similarity_at_most", "from -1 to 1"]),
        ({"instructions": {"candidates": 9}}, ["instructions.candidates must be from 1 to 8, not 9"]),
        ({"ocr": DEMO["ocr"] | {"boxes": 0}}, ["ocr.boxes must be at least 1"]),
        ({"limit": 0}, ["limit must be at least 1"]),
    ],
)
def test_mistakes_are_named(tmp_path, change, words):
    with pytest.raises(UserError) as error:
        load(tmp_path, DEMO | change)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"excerpt": {"max_words": 40, "min_words": 40}},
        {"excerpt": {"min_words": 0}},
        {"images": {"max_bytes": 1, "max_pixels": 1, "timeout": 0.1}},
        {"llm": DEMO["llm"] | {"timeout": 600, "deadline": 600}},
        {"ratings": {"lowest_at_least": 0, "mean_at_least": 5}},
        {"coherence": dict.fromkeys(DEMO["coherence"], -1) | {"margin_at_least": -2, "similarity_at_most": 1}},
        {"ocr": None, "limit": None},
    ],
)
def test_numbers_at_the_ends_of_their_ranges_are_taken(tmp_path, change):
    load(tmp_path, DEMO | change)


def test_a_missing_file_and_bad_yaml_are_named(tmp_path):
    with pytest.raises(UserError, match="cannot read .*nowhere.yaml.*give an existing file to --config"):
        configuration.load(str(tmp_path / "nowhere.yaml"))
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(UserError, match="is not YAML"):
        configuration.load(str(tmp_path / "bad.yaml"))


def test_whole_numbers_are_numbers(tmp_path):
    config = load(tmp_path, DEMO | {"ratings": {"lowest_at_least": 2, "mean_at_least": 3}})
    assert config.ratings.lowest_at_least == 2.0 and isinstance(config.ratings.lowest_at_least, float)


def test_the_hash_is_about_results_not_about_the_run(tmp_path):
    config = load(tmp_path, DEMO)

    def hash_with(section, **changes):
        changed = dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **changes)})
        return config_hash(configuration.as_dict(changed))

    same = config_hash(configuration.as_dict(config))
    assert hash_with("llm", url="http://127.0.0.1:1/v1", concurrency=3) == same
    assert hash_with("images", workers=1) == same
    assert hash_with("shards", size=7) != same
    assert hash_with("images", max_side=7) != same


def test_the_hash_is_about_the_contents_of_the_preset_and_its_word_lists(tmp_path):
    preset, words = tmp_path / "mine.yaml", tmp_path / "flagged.txt"
    config = load(tmp_path, DEMO | {"preset": str(preset), "word_lists": {"flagged_words": str(words)}})

    def hash_with(at_least=50, comment="", flagged="boo\nbah\n"):
        preset.write_text(f"""{comment}
document:
  - {{rule: text.word_count, at_least: {at_least}}}
  - {{rule: text.flagged_words, at_most: 0.1, word_list: flagged_words}}
word_lists: {{flagged_words: words nobody wants}}
""")
        words.write_text(flagged)
        return config_hash(configuration.as_dict(config))

    same = hash_with()
    assert hash_with(comment="# a comment", flagged="bah\n\nBoo\n") == same
    assert hash_with(at_least=51) != same
    assert hash_with(flagged="boo\n") != same


def test_the_rules_stand_in_the_config_of_the_manifest(tmp_path):
    rules = configuration.as_dict(load(tmp_path, DEMO))["rules"]
    assert {"rule": "image.shorter_side", "at_least": 80} in rules["image"]
    assert {"rule": "text.image_count", "at_least": 1, "at_most": 60} in rules["after_images"]
    assert rules["document"][0] == {"rule": "text.word_count", "at_least": 80, "at_most": 20000}


def test_the_published_config_can_be_given_again(tmp_path):
    config = load(tmp_path, DEMO)
    again = load(tmp_path, configuration.settings(config))
    assert configuration.as_dict(again) == configuration.as_dict(config)


def test_corpus_argument():
    assert configuration.parse_corpus("mmc4:a/b:c.jsonl") == configuration.Corpus("mmc4", "a/b:c.jsonl")
    with pytest.raises(UserError, match="FORMAT:PATH"):
        configuration.parse_corpus("a/b.jsonl")
