"""A `Run` for tests: the demo's configuration in a folder of the test's own."""

import dataclasses
import pathlib

import prompts
from pipeline import config as configuration
from pipeline.run import Run
from schemas.records import Provenance

ROOT = pathlib.Path(__file__).parents[2]


def a_run(folder, llm_url: str = "http://127.0.0.1:9/v1", **changes) -> Run:
    """`changes` replace keys of the configuration."""
    config = dataclasses.replace(configuration.load(str(ROOT / "configs/demo.yaml")), **changes)
    return Run(
        config,
        configuration.preset(config),
        prompts.load(config.prompts),
        f"{folder}/out",
        f"{folder}/work",
        llm_url,
        "fake",
        "",
        Provenance("0", "config", "clip", "fake", "rate", "write"),
    )
