"""The process that is measured: one build, with the stand-ins for models and store; a program of its own.

It writes what only it knows to a file: the seconds of each transform by Beam's own counters, and the operations of the
store.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from benchmarks.rehearsal import bucket
from benchmarks.rehearsal.scores import score_coherence
from pipeline.graph import stages
from pipeline.images import store as images
from pipeline.launch import metrics
from pipeline.launch.build import build
from pipeline.storage.recent import Recent

CONFIG = Path(__file__).parent.parent.parent / "configs" / "leafinstruct.yaml"
MSECS = "process_bundle_msecs"
REAL = 800
"""How many times as large as those of a rehearsal real pictures are, about."""


def configuration(folder: Path, corpus: str) -> str:
    """The path of a new configuration: the production one, for this corpus, with the folder of a model without weights."""
    model = folder / "model"
    model.mkdir()
    (model / "open_clip_config.json").write_text('{"model_cfg": {"text_cfg": {}}}')
    settings = yaml.safe_load(CONFIG.read_text())
    settings["corpora"] = [{"format": "native", "path": corpus}]
    settings["clip"] |= {"model": f"local-dir:{model}", "pretrained": None, "dtype": "float32"}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def seconds(result: Any) -> dict[str, float]:
    """The seconds that each transform of the graph took by Beam's sampling, the longest first.

    Of a transform with parts it is the sum. Waiting is included, so a stage that asks a server counts its answers' time.
    """
    found: collections.Counter[str] = collections.Counter()
    for info in result.monitoring_infos():
        if MSECS in info.urn and "PTRANSFORM" in info.labels:
            from apache_beam.metrics import monitoring_infos

            found[_top(info.labels["PTRANSFORM"])] += monitoring_infos.extract_counter_value(info)
    return {name: round(count / 1000, 2) for name, count in found.most_common() if count >= 10}


def _top(label: str) -> str:
    """The name of the transform on the page `pipeline/dag.py`."""
    return re.split(r"[/()]", label.replace("ref_AppliedPTransform_", ""))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="with the corpus; output, work and figures are written there")
    parser.add_argument("--url", required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--bucket", action="store_true")
    options = parser.parse_args()
    store = bucket.opened(options.folder) if options.bucket else None
    root = f"{bucket.SCHEME}://bucket" if store else str(options.folder)
    several = [f"--direct_num_workers={options.workers}", "--direct_running_mode=multi_processing"]
    results: list[Any] = []
    collect = metrics.collect

    def kept(result: Any) -> metrics.Metrics:
        results.append(result)
        return collect(result)

    with (
        mock.patch.object(stages, "score_coherence", score_coherence),
        mock.patch.object(metrics, "collect", kept),
        mock.patch.object(images, "_recent", Recent((256 << 20) // REAL)),  # it keeps as many as it would of real ones
    ):
        build(
            configuration(options.folder, f"{root}/corpus"),
            f"{root}/out",
            work=f"{root}/work",
            llm_url=options.url,
            beam_flags=several if options.workers > 1 else (),
        )
    figures = {"stages": seconds(results[0]), "store": dict(store.counts) if store else {}}
    (options.folder / "figures.json").write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
