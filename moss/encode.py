"""Encodes the images of a dataset folder before training, and measures the lengths of its instances.

    python -m moss.encode --config configs/moss_anole.yaml [--set shards=DIR ...]
    torchrun --nproc_per_node 8 -m moss.encode --config configs/moss_anole.yaml
    python -m moss.encode --config configs/moss_anole.yaml --share 3/16      # one of 16 jobs, from 0 on

`moss.train` does the same at its start if it was not done. Each process has images decoded by `data.workers` others, as
far as there are cores. The processes share the shards and communicate only through files, so none waits for another in
a collective that could time out. All processes must have access to the same folder.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence

from moss import data, settings
from moss.training import runs
from schemas.errors import UserError
from schemas.printable import printable


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m moss.encode", description="Encode images ahead of training.")
    settings.add_arguments(parser)
    parser.add_argument("--share", help="I/N: the I-th of N processes, from 0 on (default: torchrun's RANK/WORLD_SIZE)")
    options = parser.parse_args(arguments)
    try:
        rank, ranks = runs.share(options.share)
        config = settings.load(options.config, options.overrides)
        generalist = runs.load_backbone(config.backbone)
        paths = data.prepare(
            pathlib.Path(config.shards), generalist, rank=rank, ranks=ranks, workers=config.data.workers
        )
    except UserError as error:
        print(printable(f"moss.encode: {error}"), file=sys.stderr)
        return 2
    print(f"{len(paths)} of this process's shards are encoded, in {paths[0].parent if paths else config.shards}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
