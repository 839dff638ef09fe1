"""Compares runs on instances that none of them was trained on, in one table with a row for each method.

    python -m moss.evaluate --shards out/howto --runs base=out/lora lora=out/lora moe_lora=out/moe moss=out/moss \
        --output out/comparison [--sources wikihow] [--generate 50]

The name `base` stands for its run's backbone without the trained weights. All runs must have the same backbone, so that
they read the same tokens. Intervals are 95 % bootstrap intervals over instances (see `moss.evaluation.bootstrap`);
differences are to the run named `lora`, paired by instance. Writes table.md, results.json and instances.npz (the sums
from which the table is computed) together: they replace those of an earlier run, and nothing else.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import pathlib
import sys
from collections.abc import Sequence

import numpy as np

from moss import data
from moss.answers import folder
from moss.evaluation import measure, table
from moss.generation.decoding import has_slots
from moss.generation.sampling import Sampling
from moss.training import runs
from moss.training.runs import Run
from schemas.errors import UserError
from schemas.printable import printable

FILES = ("table.md", "results.json", "instances.npz")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        found = {name: runs.find_run(place) for name, place in _named(options.runs).items()}
        _same_backbone(found)
        evaluate(options, found)
        return 0
    except UserError as error:
        print(printable(f"moss.evaluate: {error}"), file=sys.stderr)
        return 2


def evaluate(options: argparse.Namespace, found: dict[str, Run]) -> None:
    for name, least in (("rows", 1), ("seed", 0), ("generate", 0)):
        if getattr(options, name) < least:
            raise UserError(f"--{name} must be at least {least}")
    output = pathlib.Path(options.output)
    if output.exists() and not (output.is_dir() and {path.name for path in output.iterdir()} <= set(FILES)):
        raise UserError(f"{output} holds something else than a comparison; name another --output")
    first = next(iter(found.values())).settings
    sources = options.sources or first.data.held_out_sources or None
    if sources is None:
        print(
            "moss.evaluate: no source was held out and none is given: this measures what was trained on",
            file=sys.stderr,
        )
    methods, slots = [], False
    for name, run in found.items():
        print(f"{name}: {run.checkpoint}", file=sys.stderr)
        generalist = runs.load_run(run.checkpoint, adapters=name != "base")
        slots = has_slots(generalist.layout)
        dataset = data.open_samples(
            options.shards, generalist, max_length=first.data.length, max_images=first.data.max_images, sources=sources
        )
        print(f"data: {dataset.report}", file=sys.stderr)
        sums = measure.predictions(generalist, dataset, rows=options.rows, length=first.data.length)
        sampling = Sampling(seed=options.seed, max_tokens=options.max_tokens)
        writing = measure.writing(generalist, dataset, options.generate, sampling) if options.generate else None
        methods.append(table.Method(name, 0 if name == "base" else run.trained_parameters, sums, writing))
    results = table.results(methods, slots=slots, seed=options.seed)
    text = table.markdown(results)
    about = {
        "shards": str(options.shards),
        "sources": sources and list(sources),
        "seed": options.seed,
        "instances": len(methods[0].sums.keys),
        "runs": {name: str(run.checkpoint) for name, run in found.items()},
    }
    sums_file = io.BytesIO()
    np.savez_compressed(
        sums_file,
        keys=np.array(methods[0].sums.keys),
        **{
            f"{method.name}.{part}": getattr(method.sums, part)
            for method in methods
            for part in ("text", "boundary", "image")
        },
    )
    figures = json.dumps({**about, "methods": results}, indent=2) + "\n"
    folder.publish(output, zip(FILES, (text.encode(), figures.encode(), sums_file.getvalue()), strict=True))
    print(printable(text))


def _named(arguments: Sequence[str]) -> dict[str, str]:
    named = {}
    for argument in arguments:
        name, equals, place = argument.partition("=")
        if not (name and equals and place) or name in named:
            raise UserError(f"--runs wants NAME=FOLDER, each name once, such as moss=out/moss; not {argument!r}")
        named[name] = place
    return named


def _same_backbone(found: dict[str, Run]) -> None:
    (first, run), *others = found.items()
    for name, other in others:
        for part in ("backbone", "data"):
            one, two = (dataclasses.asdict(getattr(r.settings, part)) for r in (run, other))
            for key in one.keys() - {"workers", "train_boundaries"}:
                if one[key] != two[key]:
                    raise UserError(
                        f"{first} and {name} cannot be compared: {part}.{key} is {one[key]!r} and "
                        f"{two[key]!r}; give runs that differ in their adapters or training only"
                    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m moss.evaluate", description="Compare runs on held-out instances.")
    parser.add_argument("--shards", required=True, type=pathlib.Path, help="the output folder of `leafinstruct build`")
    parser.add_argument(
        "--runs",
        required=True,
        nargs="+",
        metavar="NAME=FOLDER",
        help="outputs of moss.train; the name base leaves out what was trained",
    )
    parser.add_argument("--output", required=True, help="a folder for the table and the figures it is made of")
    parser.add_argument("--sources", nargs="*", help="instances of these sources (default: those the runs held out)")
    parser.add_argument("--rows", type=int, default=4, help="rows measured at a time (default 4)")
    parser.add_argument("--generate", type=int, default=0, metavar="N", help="also answer the first N instances")
    parser.add_argument(
        "--max-tokens", type=int, help="with --generate: new tokens an answer (default 2,048 and eight images' blocks)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap's draws and of the answers (default 0)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
