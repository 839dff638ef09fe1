"""A `Run` for tests: the demo's configuration in a folder of the test's own."""

import dataclasses
import os
import pathlib
from typing import Any

import yaml

import prompts
from pipeline import config as configuration
from pipeline.run import Run
from schemas.records import Provenance
from tests.answers import MODEL

ROOT = pathlib.Path(__file__).parents[2]
COHERENCE = ROOT / "build/models/coherence"
ALL_FAULTS = os.environ.get("LEAFINSTRUCT_FAULTS") == "all"
"""Whether `make faults` asks for every fault, and not for some."""


def demo_tree() -> dict[str, Any]:
    """The demo's configuration as plain types, but that no text is read in images: tests of their own do that.

    The thresholds are those of CLIP alone.
    """
    clip = {
        "matched_at_least": 0.0573,
        "mean_at_least": 0.1404,
        "margin_at_least": -0.0459,
        "similarity_at_most": 0.9465,
    }
    return yaml.safe_load((ROOT / "configs/demo.yaml").read_text()) | {"ocr": None, "coherence": clip}


def demo_config(folder, llm=None, **changes) -> str:
    """A file in `folder`: the demo's configuration with absolute paths, and the stand-in for a language model. `llm`
    replaces keys of that section, `changes` those of the whole."""
    tree = demo_tree()
    tree["llm"] |= {"name": MODEL} | (llm or {})
    tree["clip"]["model"] = f"local-dir:{COHERENCE}"
    tree["corpora"] = [{"format": "native", "path": str(ROOT / "examples/corpus")}]
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump(tree | changes))
    return str(path)


def with_llm(run: Run, **changes) -> Run:
    """The run with other keys of the section `llm`."""
    return dataclasses.replace(
        run, config=dataclasses.replace(run.config, llm=dataclasses.replace(run.config.llm, **changes))
    )


def a_run(folder, llm_url: str = "http://127.0.0.1:9/v1", **changes) -> Run:
    """`changes` replace keys of the demo's configuration, in which no text is read in images."""
    config = dataclasses.replace(configuration.load(str(ROOT / "configs/demo.yaml")), **{"ocr": None} | changes)
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
