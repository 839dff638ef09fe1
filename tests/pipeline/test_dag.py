"""The graph has the stages that its configuration asks for, under the names of the ledger and the funnel."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import fn_runner

from pipeline import dag
from pipeline.config import Ocr, settings
from pipeline.sources import Duplicates
from schemas.stage_names import STAGES, stage_title, stages_of
from tests.pipeline.runs import a_run

EVERYTHING = {"duplicates": Duplicates(image_distance=4), "decontaminate": "index.parquet", "ocr": Ocr(0.6, 0.1, 0.4)}


@pytest.mark.parametrize(
    "changes, off",
    [
        ({}, {"compare_images", "decontaminate", "read_images"}),
        ({"duplicates": Duplicates(text_at_least=0.7)}, {"compare_images", "decontaminate", "read_images"}),
        ({"duplicates": Duplicates(images_in_at_most=10)}, {"decontaminate", "read_images"}),
        ({"decontaminate": "index.parquet"}, {"compare_images", "read_images"}),
        ({"ocr": Ocr(0.6, 0.1, 0.4)}, {"compare_images", "decontaminate"}),
        (EVERYTHING, set()),
    ],
)
def test_the_graph_has_the_stages_that_are_said_to_be_in_it(tmp_path, changes, off):
    run = a_run(tmp_path, **changes)
    pipeline = beam.Pipeline()
    dag.build(pipeline, run)
    stages = [stage for stage in STAGES if stage_title(stage) in pipeline.applied_labels]
    assert stages == list(stages_of(settings(run.config)))
    assert set(STAGES) - set(stages) == off


def test_documents_are_in_one_fused_stage_and_never_in_the_runners_memory(tmp_path, monkeypatch):
    """From where they are read to where they end: between two fused stages the runner keeps everything."""

    class Seen(Exception):
        pass

    fused: list[set[str]] = []

    def look(self, context, stages):
        fused.extend({transform.unique_name.split("/")[0] for transform in stage.transforms} for stage in stages)
        raise Seen

    monkeypatch.setattr(fn_runner.FnApiRunner, "run_stages", look)
    run = a_run(tmp_path, **EVERYTHING)
    pipeline = beam.Pipeline(runner="FnApiRunner")
    dag.build(pipeline, run)
    with pytest.raises(Seen):
        pipeline.run()
    wanted = {stage_title(stage) for stage in STAGES}
    assert [names & wanted for names in fused if names & wanted] == [wanted]
