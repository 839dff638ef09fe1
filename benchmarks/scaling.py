"""What a run over 7 million documents needs, computed from what a rehearsal and a decoder measured, beside its budget.

    python -m benchmarks.rehearsal --documents 480 1920 --bucket --json > figures.json
    python -m benchmarks.scaling figures.json

Everything is linear: the difference of two rehearsals, divided by the difference of their documents, is what one more
document takes. Pictures of a real size are counted by themselves, because those of a rehearsal are tiny. GPU-hours are
an estimate from arithmetic, and not measured. docs/scaling.md explains the lines.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from filters.decontaminate import HASH_SIDE, image_hash
from pipeline.images.decode import normalise
from schemas.images import open_published

HOUR = 3600.0
SENTENCES, SENTENCE_TOKENS = 7.2, 25
"""Sentences that are scored for a picture (howto.tar: 7,087 for 988), and tokens of a sentence (an assumption)."""
VIT_L = {"image": 304e6 * 257, "token": 85e6}
"""Weights times tokens of CLIP ViT-L/14: the image tower for a picture (256 patches and one token more), and the text
tower for one token (12 layers of width 768)."""
L4, H100 = 121e12, 989e12
"""Operations a second of the GPUs in bfloat16, dense, by NVIDIA's data sheets (L4; H100 SXM)."""
USED = 0.35
"""The share of them that is reached: an assumption."""
QUESTION, ANSWER, CANDIDATES = 800, 22, 4
"""Tokens of a question by the prompts `instruct` and of an answer, and candidates of an instruction."""
WRITTEN_A_SECOND = 10_000
"""Tokens that a model of 8 billion parameters writes on an H100 in a second, for many questions at once: an assumption."""
MODEL = 8e9
DEAR, CHEAP = 5e-6, 4e-7
"""Dollars for an operation that writes or lists, and for one that reads: list prices of Google's (regional, standard)
and Amazon's (standard, us-east-1) stores; deletions are free."""


SIDE, TIMES = 1024, 30
"""The longer side of stored pictures in configs/leafinstruct.yaml, and how often each step is measured."""
REQUEST = 1.6e-3
"""Seconds of processor time that a request takes a store's client: 1.3 to 1.9 ms were measured with one shared client on
emulators without TLS. With TLS it is more."""


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The run in mind. decoded: pictures of documents that pass the rules before them. rated, written: questions."""

    documents: float = 7e6
    pictures: float = 35e6
    picture_bytes: float = 286e3
    text_bytes: float = 6e3
    decoded: float = 20e6
    rated: float = 1.65e6
    written: float = 0.29e6

    @property
    def bytes(self) -> float:
        return self.pictures * self.picture_bytes + self.documents * self.text_bytes


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the bill; `budget` only where a line is a sum that has one."""

    name: str
    amount: float
    unit: str
    budget: float | None = None


def picture_seconds() -> tuple[float, float]:
    """Processor time of decoding and normalising a picture of 1200 x 800, and of the perceptual hash of the result."""
    draw = np.random.default_rng(0)
    coarse = PIL.Image.fromarray(draw.integers(0, 256, (80, 120, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((1200, 800), PIL.Image.Resampling.BICUBIC)).astype(int)
    noisy = np.clip(smooth + draw.integers(-12, 12, smooth.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(noisy).save(file, "JPEG", quality=85)  # 276 kB
    stored = normalise(file.getvalue(), max_side=SIDE, max_pixels=SIDE**2).data
    return (
        _seconds(lambda: normalise(file.getvalue(), max_side=SIDE, max_pixels=SIDE**2)),
        _seconds(lambda: image_hash(open_published(stored, SIDE**2, HASH_SIDE))),
    )


def _seconds(step: Callable[[], object]) -> float:
    step()  # imports
    started = time.process_time()
    for _ in range(TIMES):
        step()
    return (time.process_time() - started) / TIMES


def bill(few: dict[str, Any], many: dict[str, Any], decode: float, hashing: float) -> list[Line]:
    """The lines, from two runs of a rehearsal in a counted store and the two figures of `picture_seconds`."""
    corpus = Corpus()
    extra: int = many["documents"] - few["documents"]

    def each(of: str, name: str) -> float:
        """What one more document takes."""
        more: float = many[of].get(name, 0.0) - few[of].get(name, 0.0)
        return more / extra

    cpu = (many["cpu_seconds"] - few["cpu_seconds"]) / extra
    sampled = {name: max(each("stages", name), 0.0) for name in many["stages"]}
    stages = [
        Line(name, corpus.documents * cpu * part / sum(sampled.values()) / HOUR, "CPU-hours")
        for name, part in sorted(sampled.items(), key=lambda item: -item[1])
        if part >= 0.02 * sum(sampled.values())
    ]
    again = many["store"]["read corpus png"] / many["pictures"]  # in the few, the second reading finds them in memory

    def operations(*names: str) -> float:
        """Those that one more document takes.

        Without those for pictures, and for examples of dropped documents, whose number grows with the logarithm of the
        documents.
        """
        kinds = [kind for kind in many["store"] if kind.split()[0] in names and not kind.endswith(("png", "dropped"))]
        return sum(each("store", kind) for kind in kinds)

    cheap = again * corpus.decoded + operations("read", "size") * corpus.documents
    dear = operations("write", "list", "copy") * corpus.documents
    hours = {
        "documents, all transforms": corpus.documents * cpu / HOUR,
        "decoding pictures": corpus.decoded * decode / HOUR,
        "perceptual hashes": corpus.decoded * hashing / HOUR,
        "the store's client": (cheap + dear) * REQUEST / HOUR,
    }
    picture = 2 * (VIT_L["image"] + SENTENCES * SENTENCE_TOKENS * VIT_L["token"])
    read = corpus.rated * QUESTION + corpus.written * QUESTION
    wrote = (corpus.rated + CANDIDATES * corpus.written) * ANSWER
    gpu = {
        "CLIP ViT-L/14, L4 (estimate)": corpus.decoded * picture / (L4 * USED) / HOUR,
        "language model of 8 billion, H100 (estimate)": (2 * MODEL * read / (H100 * USED) + wrote / WRITTEN_A_SECOND)
        / HOUR,
    }
    texts = each("store", "bytes corpus jsonl") / (many["corpus_bytes"]["texts"] / many["documents"])
    moved = again * corpus.decoded * corpus.picture_bytes + texts * corpus.documents * corpus.text_bytes
    return [
        *(Line(f"  {line.name}", line.amount, line.unit) for line in stages),
        *(Line(name, amount, "CPU-hours") for name, amount in hours.items()),
        Line("CPU", sum(hours.values()), "CPU-hours", 250),
        *(Line(name, amount, "GPU-hours") for name, amount in gpu.items()),
        Line("GPU", sum(gpu.values()), "GPU-hours", 60),
        Line("operations that read", cheap / 1e6, "million"),
        Line("operations that write or list", dear / 1e6, "million"),
        Line("store", cheap * CHEAP + dear * DEAR, "dollars", 30),
        Line("how often a needed picture is read", again, "times"),
        Line("how often a text is read", texts, "times"),
        Line("bytes read", moved / corpus.bytes, "times the corpus", 1.1),
    ]


def table(lines: list[Line]) -> str:
    """The lines as a Markdown table."""
    rows = ["| what | amount | budget | holds |", "|---|---|---|---|"]
    for line in lines:
        budget = "" if line.budget is None else f"{line.budget:g} {line.unit}"
        holds = "" if line.budget is None else "yes" if line.amount <= line.budget else "**no**"
        rows.append(f"| {line.name} | {line.amount:,.2f} {line.unit} | {budget} | {holds} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("figures", type=Path, help="what benchmarks.rehearsal printed, with --bucket and two sizes")
    options = parser.parse_args()
    runs = json.loads(options.figures.read_text())["runs"]
    decode, hashing = picture_seconds()
    print(f"a picture of 1200 x 800: {1000 * decode:.1f} ms to decode and normalise, {1000 * hashing:.1f} ms to hash\n")
    print(table(bill(runs[0], runs[-1], decode, hashing)))


if __name__ == "__main__":
    main()
