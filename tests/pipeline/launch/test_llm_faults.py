"""A model server in all kinds of trouble, by a seed: what is published is valid or absent, every document has one
outcome, and a second run with a healthy server completes it to the same bytes.

`make test` takes a few seeds; `make faults` takes fifty.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.memory import HashScorer
from pipeline.coherence import scorer
from pipeline.dataset import ledger
from pipeline.launch.build import build
from schemas.errors import ServiceError, UserError
from schemas.validate import validate
from tests.answers import server
from tests.pipeline.runs import ALL_FAULTS, COHERENCE, demo_config

pytestmark = pytest.mark.skipif(not COHERENCE.is_dir(), reason="build/models is not there: run `make models`")
SEEDS = range(50 if ALL_FAULTS else 3)
DOCUMENTS = 12
TROUBLES = ("429", "500", "502", "503", "garbage", "wrong", "cut", "drop", "hang", "400")


def schedule(seed: int) -> Callable[[int], str]:
    """For each question a trouble or none: alone or in a burst, and from some question on perhaps nothing but one."""
    chance = random.Random(seed)
    share, dies_at = chance.choice((0.05, 0.2, 0.5)), chance.choice((None, None, chance.randint(3, 30)))
    burst: list[str] = []

    def trouble(number: int) -> str:
        if dies_at and number >= dies_at:
            return "503"
        if not burst and number > 1 and chance.random() < share:  # the first is the probe
            burst.extend([chance.choice(TROUBLES)] * chance.choice((1, 1, 2, 8)))
        return burst.pop() if burst else ""

    return trouble


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> str:
    return demo_config(tmp_path_factory.mktemp("config"), {"timeout": 0.5, "deadline": 3.0}, limit=DOCUMENTS)


def run(config: str, folder: Path, trouble: Callable[[int], str] | None) -> None:
    with pytest.MonkeyPatch.context() as patch, server(trouble=trouble, retry_after="1") as llm:
        patch.setattr(scorer, "Scorer", HashScorer)
        build(config, str(folder / "out"), llm_url=llm.url, work=str(folder / "work"), allow_empty=True)


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    run(config, folder, None)
    return (folder / "out/manifest.json").read_bytes()


@pytest.mark.parametrize("seed", SEEDS)
def test_trouble_costs_rows_or_the_run_and_never_a_wrong_dataset(config, whole, tmp_path, seed):
    published = tmp_path / "out/manifest.json"
    try:
        run(config, tmp_path, schedule(seed))
    except (ServiceError, UserError) as error:
        assert not published.exists() and "traceback" not in str(error).lower()
    else:
        assert validate(tmp_path / "out") == []
        assert len(list(ledger.read_outcomes(str(tmp_path / "out")))) == DOCUMENTS
    run(config, tmp_path, None)
    assert published.read_bytes() == whole and validate(tmp_path / "out") == []
