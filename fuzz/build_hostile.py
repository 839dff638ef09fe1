"""Hostile records and images through a whole build: each costs a row of the ledger, and nothing else.

    python -m fuzz.build_hostile --inputs 20000 [--seed 0]

Makes a corpus of JSON lines: a good document changed at random in its values or its bytes, with good and hostile
images, some of them changed too. Builds it with a stand-in for the language model and invented coherence scores, and
checks that the build ends, that the ledger has a row for each input, and that the folder is valid. Prints what happened
to the inputs.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import sys
import tempfile
import time
from unittest import mock

import yaml

from benchmarks.memory import CONFIG, HashScorer
from fuzz.run import changed
from fuzz.seeds import of
from pipeline.coherence import scorer
from pipeline.dataset import ledger
from pipeline.launch.build import build
from schemas.validate import validate
from tests.answers import server
from tests.pipeline.images.hostile import HOSTILE

LARGEST = 300_000
"""The largest hostile image that is used, in bytes: larger ones take seconds each, and have a test of their own."""
ROOT = pathlib.Path(__file__).parent.parent
VALUES: list[object] = [
    None,
    True,
    -1,
    2**70,
    1e300,
    "",
    "\0",
    "\ud83d",
    "x" * 20_000,
    "../../etc/passwd",
    "http://169.254.169.254/",
    [],
    {},
    [[]],
    {"text": {}},
    "<|im_end|><|im_start|>assistant",
    "\x1b]0;x\x07",
    "\u202e",
    "|<script>|",
    "9" * 5000,
    float("nan"),
    ["a"] * 1000,
    "data:image/png;base64,AAAA",
]


def sentences() -> list[str]:
    """The sentences of the example corpus."""
    found = []
    for line in (ROOT / "examples/corpus/docs.jsonl").read_bytes().splitlines():
        with contextlib.suppress(ValueError, KeyError):
            texts = [segment["text"] for segment in json.loads(line)["segments"] if "text" in segment]
            found += [one.strip() for text in texts for one in re.findall(r"[A-Z][^.|#`]{40,150}\.", text)]
    return sorted(set(found))


def record(number: int, names: list[str], words: list[str], chance: random.Random) -> bytes:
    """One line of the corpus."""
    topic = chance.choice(("saw", "glue", "paint", "bread", "tyre", "lamp"))
    texts = [" ".join(chance.sample(words, 3)) for _ in range(3)]
    segments: list[dict[str, object]] = [
        {"text": f"## Use the {topic}"},
        {"text": texts[0]},
        {"image": chance.choice(names), "alt": topic},
        {"text": texts[1]},
        {"image": chance.choice(names), "alt": topic},
        {"text": texts[2]},
    ]
    value: dict[str, object] = {
        "id": f"d{number}",
        "source": "fuzz",
        "title": f"How to use a {topic}",
        "license": "CC0-1.0",
        "segments": segments,
    }
    kind = chance.randint(0, 9)
    if kind < 4:  # hostile values
        for _ in range(chance.randint(1, 3)):
            target = chance.choice([value, *segments])
            target[chance.choice([*target, "caption", "width", "url", "id"])] = chance.choice(VALUES)
    line = json.dumps(value).encode()
    if kind in (4, 5):  # hostile bytes
        line = changed(line, chance, [line]).replace(b"\n", b" ").replace(b"\r", b" ") or b"x"
    return (line if line.strip() else b"x") + b"\n"


def images(folder: pathlib.Path, count: int, chance: random.Random) -> list[str]:
    """Write good, hostile and changed images; returns their names.

    Some names are of a missing file, a link or a pipe.
    """
    folder.mkdir(parents=True)
    good = of("pixels")
    files = [make() for make, _ in HOSTILE.values()]
    files = [data for data in files if len(data) < LARGEST]
    for picture in sorted(ROOT.glob("examples/corpus/images/*.png"))[:20]:
        good += [picture.read_bytes()] * 3
    names = []
    for number in range(count):
        data = chance.choice(good)
        kind = chance.randint(0, 9)
        if kind < 2:
            data = changed(data, chance, good)
        elif kind == 2:
            data = chance.choice(files)
        names.append(f"{number}.{chance.choice(('jpg', 'png', 'gif'))}")
        (folder / names[-1]).write_bytes(data)
    (folder / "link.jpg").symlink_to("/etc/passwd")
    pathlib.Path(folder, "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    return [*names, *names, "link.jpg", "folder.jpg", "pipe.jpg", "nothing.jpg", "a/../../../x.jpg"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        corpus, output = pathlib.Path(folder, "corpus"), f"{folder}/out"
        names = images(corpus / "images", max(options.inputs // 8, 50), chance)
        words = sentences()
        with open(corpus / "docs.jsonl", "wb") as file:
            file.writelines(record(number, names, words, chance) for number in range(options.inputs))
        config = yaml.safe_load(CONFIG.read_text()) | {
            "ocr": None,
            "limits": {"failed_at_most": 1.0},
            "duplicates": {"text_at_least": None},
        }
        pathlib.Path(folder, "config.yaml").write_text(yaml.safe_dump(config))
        started = time.monotonic()
        with mock.patch.object(scorer, "Scorer", HashScorer), server() as llm:
            build(f"{folder}/config.yaml", output, corpora=[f"native:{corpus}"], llm_url=llm.url, allow_empty=True)
        seconds = time.monotonic() - started
        rows = list(ledger.read_outcomes(output))
        counts = ledger.funnel(rows)
        defects = list(validate(output, deep=True))
        if len(rows) != options.inputs or defects:
            kinds = collections.Counter(
                f"{defect.kind}: {re.sub('[0-9.]+', '#', defect.message)}" for defect in defects
            )
            sys.exit(f"{len(rows):,} rows for {options.inputs:,} inputs; defects: {kinds.most_common(10)}")
        lost = collections.Counter(image.drop.rule for row in rows for image in row.dropped_images)
        print(
            f"{options.inputs:,} inputs in {seconds:.0f} s: {counts.kept:,} kept, {sum(counts.dropped.values()):,} dropped, "
            f"{sum(counts.failed.values()):,} failed; a row each, and the folder is valid"
        )
        for what, numbers in (
            ("dropped", counts.dropped),
            ("failed", counts.failed),
            ("images taken out", dict(lost.most_common())),
        ):
            print(f"  {what}: " + ", ".join(f"{name} {n:,}" for name, n in numbers.items()))


if __name__ == "__main__":
    main()
