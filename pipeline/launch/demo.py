"""`leafinstruct demo`: the main job on the project's own corpus with the embedded models, wherever it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources, util
from pathlib import Path

import configs
from pipeline.launch.build import Built, build
from schemas.errors import UserError

NEEDED = ("accelerate", "gguf", "pip")      # by models.build, which runs as a program of its own: models is above us


def demo(output: str, llm_url: str | None = None) -> Built:
    """Put the embedded models together in the user's cache folder, and build `output`.

    The working directory becomes that folder (see `home`), below which the configuration's paths to its models lead.
    Raises UserError as `build` does, and where a package that the models are made with, or one of their parts, is
    missing.
    """
    if missing := [name for name in NEEDED if not util.find_spec(name)]:
        raise UserError(f"the demo needs {', '.join(missing)} as well: pip install 'leafinstruct[demo]'")
    output = os.path.abspath(output)
    home().mkdir(parents=True, exist_ok=True)
    os.chdir(home())
    if subprocess.run([sys.executable, "-m", "models.build"]).returncode:
        raise UserError(f"the embedded models could not be put together in {home()}; what is missing is said above")
    corpus = resources.files("examples") / "corpus"
    return build(configs.find("demo"), output, corpora=[f"native:{corpus}"], llm_url=llm_url)


def home() -> Path:
    """Where the embedded models live when there is no checkout: `$XDG_CACHE_HOME/leafinstruct`, or in `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leafinstruct"
