"""What gets through: 200 real documents, most of them with planted damage, in one run of the whole pipeline.

    python -m benchmarks.planted [--documents 200] [--seed TEXT] [--work DIR] [--llm-url URL] [--json]

Draws documents that pass the rules about texts and headers, by a hash of seed and id, those of sources that no model
was trained on (`models.HELD_OUT`) first. About three of ten are planted as they are; the others are copies with damage, about as
many of each kind (`kinds.py`). One build runs the whole pipeline on them, with the configuration and what is off in it:
repeats of texts and images are looked for as in configs/leafinstruct.yaml, and personal data are replaced. A table says
what became of each kind, by the ledger. The same seed gives the same corpus, byte for byte.

Of several corpora, the documents of the first come first. Without --llm-url the build starts a model server.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml

from benchmarks.planted import corpus, figures
from benchmarks.planted.kinds import KINDS, counts
from benchmarks.steps import a_run
from filters.personal_data import KINDS as PERSONAL
from models import HELD_OUT
from pipeline.dataset import ledger
from pipeline.launch.build import build, configured
from pipeline.run import image_store
from pipeline.storage import packs

PRODUCTION = Path(__file__).parents[2] / "configs/leafinstruct.yaml"
CORPORA = ["native:../shared/corpora/howto-large.tar", "native:../shared/corpora/howto.tar"]


def configuration(path: str, folder: Path) -> str:
    """The path of a new configuration: that one, with the stages and rules that are off in it."""
    settings = yaml.safe_load(Path(path).read_text())
    preset = {"extends": settings.get("preset", "leafinstruct"), "personal_data": list(PERSONAL)}
    (folder / "preset.yaml").write_text(yaml.safe_dump(preset))
    settings["preset"] = str(folder / "preset.yaml")
    settings["duplicates"] = yaml.safe_load(PRODUCTION.read_text())["duplicates"]
    (folder / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return str(folder / "config.yaml")


def drawn(config: str, given: list[str], count: int, seed: str) -> list[corpus.Planted]:
    """The planted documents. Raises ValueError for too few of them, UserError if a corpus cannot be read."""
    counts(count)  # before anything is read
    settings = configured(config, given, None)
    with packs.temporary() as work:
        documents = corpus.originals(a_run(work, settings), settings.corpora, seed)
        return corpus.plant(list(documents), count)


def told(planted: Iterable[corpus.Planted], count: int) -> str:
    """What the corpus is made of, and what it lacks."""
    found = collections.Counter(one.kind for one in planted)
    held_out = sum(one.original.source in HELD_OUT for one in planted)
    said = f"{found.total()} documents, {held_out} of them of sources that no model was trained on"
    missing = {kind: wanted - found[kind] for kind, wanted in counts(count).items() if wanted > found[kind]}
    if missing:
        lacks = ", ".join(f"{number} {KINDS[kind].about}" for kind, number in missing.items())
        said += f"; the corpora have too few documents for others: {lacks}"
    return said


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--corpus", nargs="+", default=CORPORA, help="FORMAT:PATH (default: howto-large.tar, howto.tar)"
    )
    parser.add_argument("--config", default="configs/howto.yaml", help="(default: %(default)s)")
    parser.add_argument("--documents", type=int, default=200, help="(default: %(default)s)")
    parser.add_argument("--seed", default="", help="any text")
    parser.add_argument("--work", help="a folder for corpus, work and output (default: a temporary one)")
    parser.add_argument("--llm-url", help="a model server that is already running")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with packs.temporary() as temporary:
        folder = Path(options.work or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            planted = drawn(options.config, options.corpus, options.documents, options.seed)
        except ValueError as error:
            parser.error(str(error))
        images = corpus.write(folder / "planted", planted)
        print(about := told(planted, options.documents), file=sys.stderr)
        config, given = configuration(options.config, folder), [f"native:{folder}/planted"]
        output, work = f"{folder}/out", f"{folder}/work"
        build(config, output, corpora=given, llm_url=options.llm_url, work=work, replace=True)
        store = image_store(a_run(work, configured(config, given, None)))
        rows = figures.counted(ledger.read_outcomes(output))
        left = figures.left(output, corpus.stored_hashes(store, images))
    if options.json:
        print(json.dumps({"corpus": about, "seed": options.seed, **figures.as_json(rows, left)}, indent=1))
    else:
        print(f"{figures.table(rows, left)}\nThe corpus: {about}.")


if __name__ == "__main__":
    main()
