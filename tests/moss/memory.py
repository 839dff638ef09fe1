"""python -m tests.moss.memory FOLDER DTYPE ...: the MiB that building a run's model adds to this process alone, for each type.

Pages of the checkpoint's file are not counted: all processes of a machine share them.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import sys

from accelerate import Accelerator

from moss import train
from moss.settings import Backbone
from moss.training import fingerprints, sharded
from tests.moss import small


def own() -> int:
    found = re.search(r"Anonymous:\s+(\d+) kB", pathlib.Path("/proc/self/smaps_rollup").read_text())
    return int(found[1]) // 1024


if __name__ == "__main__":
    small.bare()  # what transformers imports for a model is not the model's
    accelerator, kept = Accelerator(cpu=True), []
    for dtype in sys.argv[2:]:
        settings = small.settings("none", "none")
        settings = dataclasses.replace(settings, backbone=Backbone("continuous", sys.argv[1], dtype))
        before = own()
        kept.append(sharded.to_device(accelerator, train.build(settings)))
        fingerprints.backbone(kept[-1])
        print(own() - before)
