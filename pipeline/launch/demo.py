"""`leafinstruct demo`: the pipeline on the example corpus with the embedded models, also without a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources, util
from pathlib import Path

import configs
from pipeline.launch.build import Built, build
from schemas.errors import UserError

NEEDED = (
    "accelerate",
    "gguf",
    "pip",
)  # packages of models.build, which runs as a separate program, because pipeline must not import models


def demo(output: str, llm_url: str | None = None) -> Built | None:
    """Build the embedded models in the user's cache folder, and then the dataset in `output`.

    The working directory becomes the cache folder (see `home`), to which the model paths of the configuration are
    relative. Raises UserError as `build` does, and if a package for building the models, or a part of them, is missing.
    """
    if missing := [name for name in NEEDED if not util.find_spec(name)]:
        raise UserError(f"the demo needs {', '.join(missing)} as well: pip install 'leafinstruct[demo]'")
    output = os.path.abspath(output)
    home().mkdir(parents=True, exist_ok=True)
    os.chdir(home())
    if subprocess.run([sys.executable, "-m", "models.build"]).returncode:
        raise UserError(f"the embedded models could not be built in {home()}; see the messages above")
    corpus = resources.files("examples") / "corpus"
    return build(configs.find("demo"), output, corpora=[f"native:{corpus}"], llm_url=llm_url)


def home() -> Path:
    """The folder of the embedded models without a checkout: `$XDG_CACHE_HOME/leafinstruct`, or in `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leafinstruct"
