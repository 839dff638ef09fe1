"""Peak memory of the pipeline process for ten times the documents.

    python -m benchmarks.memory --corpus native:../shared/corpora/howto.tar --documents 150

Runs the whole pipeline twice, each time in a new process, on N and on 10 N documents, and compares the peak resident
memory. No model is loaded, because its memory would make the ratio look better: coherence scores are computed from
hashes, no text is read in images, and the language model is a small server in a thread of that process, which keeps
every question that it got.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import yaml

from schemas.records import Coherence, StoredDocument

CONFIG = Path(__file__).parent.parent / "configs" / "demo.yaml"


class HashScorer:
    """Replaces `pipeline.coherence.scorer.Scorer`: every cosine with a text is from 0.5 to 0.6, made of the image's hash."""

    def __init__(self, *_: object, **__: object):
        pass

    def score(self, documents: Iterable[StoredDocument], open_image: object) -> list[Coherence]:
        """As the real one; no image is opened."""

        def one(document: StoredDocument) -> Coherence:
            own = tuple(
                round(0.5 + int(hashlib.md5(i.sha256.encode()).hexdigest()[:3], 16) / 40960, 4) for i in document.images
            )
            names = [image.sha256 for image in document.images]
            alike = tuple(1.0 if name in names[:at] else -1.0 for at, name in enumerate(names))
            return Coherence(own, (0.0,) * len(own), alike, 0.5, 1.0, "hash")

        return list(map(one, documents))


def run(corpus: str, limit: int, output: str) -> None:
    """In the child process: build, and print the peak in bytes."""
    from pipeline.coherence import scorer as clip
    from pipeline.launch.build import build
    from tests.answers import server

    config = Path(f"{output}.yaml")
    config.write_text(yaml.safe_dump(yaml.safe_load(CONFIG.read_text()) | {"ocr": None}))
    with mock.patch.object(clip, "Scorer", HashScorer), server() as llm:
        build(str(config), output, corpora=[corpus], limit=limit, llm_url=llm.url)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def measure(corpus: str, limit: int) -> int:
    """The peak resident memory, in bytes, of a new process that builds from `limit` documents."""
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.run(
            [
                sys.executable,
                "-m",
                "benchmarks.memory",
                "--corpus",
                corpus,
                "--child",
                str(limit),
                "--output",
                f"{folder}/out",
            ],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return int(child.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", required=True, metavar="FORMAT:PATH")
    parser.add_argument("--documents", type=int, default=150)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--output", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return run(options.corpus, options.child, options.output)
    few, many = (measure(options.corpus, n) for n in (options.documents, 10 * options.documents))
    result = {
        "documents": options.documents,
        "peak_bytes": few,
        "peak_bytes_of_10_times": many,
        "ratio": round(many / few, 3),
        "target": "at most 1.3",
    }
    print(
        json.dumps(result)
        if options.json
        else f"{options.documents} documents: {few / 2**20:.0f} MiB; {10 * options.documents}: {many / 2**20:.0f} MiB; "
        f"ratio {result['ratio']} (target: {result['target']})"
    )
    return None


if __name__ == "__main__":
    main()
