#!/usr/bin/env python
"""The pipeline, as a script: `python beam_pipeline.py --config configs/demo.yaml --output DIR [any Beam flag]`.

`leafinstruct build` is the same thing. The graph is in `pipeline/dag.py`.
"""

import sys

from pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main(["build", *sys.argv[1:]]))
