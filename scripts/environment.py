"""Make the project's environments by uv: `python scripts/environment.py .venv .venv-vllm`, one or both.

An environment that stands, made by this Python from the same requirements, is left as it is. The exit code is 0, or 2
where an environment cannot be made. `--server` prints the language model server that this platform has: vllm or
llama.cpp. Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import machine

PROJECT = Path(__file__).resolve().parent.parent
UV_VERSION = "0.13.9"
TORCH_INDEX = os.environ.get("TORCH_INDEX", "")
WANTED = {
    ".venv": ["-e", ".[dev]", "-c", "requirements/constraints.txt"],
    ".venv-vllm": ["-r", "requirements/vllm.txt", "--override", "requirements/vllm-overrides.txt"],
}
FILES = {
    ".venv": ["pyproject.toml", "requirements/constraints.txt"],
    ".venv-vllm": ["requirements/vllm.txt", "requirements/vllm-overrides.txt"],
}
# uv reads neither pip's configuration nor PIP_*: these of pip's settings say where packages come from.
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}


def main(environments: list[str]) -> int:
    """Make what does not stand yet of these environments; the exit code."""
    missing = [name for name in environments if not stands(name)]
    if not missing:
        return 0
    uv = find_uv()
    problem = machine.problem(missing, PROJECT, torch_in_cache(uv))
    if problem:
        print(problem)
        return 2
    uv = uv or install_uv()
    return 2 if uv is None or not all(make(name, uv) for name in missing) else 0


def stands(name: str) -> bool:
    """Is the environment there, made from what is asked for now? Without TORCH_INDEX any build of torch will do."""
    stamp = PROJECT / name / ".complete"
    made, _, index = stamp.read_text().partition(" ") if stamp.exists() else ("", "", "")
    return made == recipe(name) and TORCH_INDEX in ("", index)


def recipe(name: str) -> str:
    """A hash of all that decides what is in the environment."""
    parts = [repr(WANTED[name]), sys.version]
    parts += [(PROJECT / file).read_text() for file in FILES[name]]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def make(name: str, uv: str) -> bool:
    """Make one environment, whole or without its stamp; False if uv, which says why, could not."""
    print(f"Making {name} (once; a minute, and as long as the network takes)", flush=True)
    settings = uv_settings()
    for arguments in (
        ["venv", "--quiet", "--clear", "--python", sys.executable, name],
        ["pip", "install", "--python", name, *WANTED[name]],
    ):
        if subprocess.run([uv, *arguments], cwd=PROJECT, env=settings).returncode:
            print(
                f"{name} could not be made: `uv {arguments[0]}` failed, see above. Run the same command again when "
                "what it names is set right; what it has downloaded is kept."
            )
            return False
    (PROJECT / name / ".complete").write_text(f"{recipe(name)} {TORCH_INDEX}")
    return True


def find_uv() -> str | None:
    """The user's uv, or ours."""
    return shutil.which("uv") or shutil.which("uv", path=str(PROJECT / ".venv-uv/bin"))


def install_uv() -> str | None:
    """Install uv by pip into an environment of its own; None if that did not work."""
    print("Installing uv into .venv-uv", flush=True)
    own = PROJECT / ".venv-uv"
    for arguments in (
        ["-m", "venv", "--clear", str(own)],
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"uv=={UV_VERSION}"],
    ):
        python = sys.executable if arguments[1] == "venv" else str(own / "bin/python")
        if subprocess.run([python, *arguments]).returncode:
            print(
                "uv could not be installed, see above. Python's venv and pip are needed (on Debian the package "
                "python3-venv), or install uv yourself so that it is on the PATH."
            )
            return None
    return find_uv()


def uv_settings() -> dict[str, str]:
    """uv's environment: the user's, with pip's settings where uv has none, and TORCH_INDEX as one more index.

    Of the same version from several indexes the best is taken, as pip does it, and 2.13.0+cpu is better than 2.13.0: so
    a CPU build of torch is taken wherever the user's indexes have one. The cache is on the project's disk, so that both
    environments are hard links into it.
    """
    given = dict(os.environ)
    for name, value in pip_settings().items():
        words = value.split()
        given.setdefault(UV_NAMES[name], ",".join(words) if name == "find-links" else " ".join(words))
    if TORCH_INDEX:
        given["UV_INDEX"] = " ".join(filter(None, [given.get("UV_INDEX"), TORCH_INDEX]))
    given.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    given.setdefault("UV_SYSTEM_CERTS", "true")
    given.setdefault("UV_PYTHON_DOWNLOADS", "never")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if not cache.is_dir() or cache.stat().st_dev != PROJECT.stat().st_dev:
        given.setdefault("UV_CACHE_DIR", str(PROJECT / ".venv-cache"))
    return given


def pip_settings() -> dict[str, str]:
    """Pip's settings that uv has too, by pip's name, from its configuration files and PIP_*."""
    own = PROJECT / ".venv-uv/bin/python"
    listed = subprocess.run(
        [str(own) if own.exists() else sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True
    ).stdout
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):  # pip takes the last of these
        for name, value in re.findall(rf"^{section}\.([a-z-]+)=(.+)$", listed, re.MULTILINE):
            if name in UV_NAMES:
                found[name] = ast.literal_eval(value)
    return found


def torch_in_cache(uv: str | None) -> bool:
    """Has uv unpacked our version of torch before? Then it costs no more disk."""
    if uv is None:
        return False
    cache = subprocess.run([uv, "cache", "dir"], env=uv_settings(), capture_output=True, text=True).stdout.strip()
    return any(Path(cache).glob("archive-v0/*/torch-2.13.0*.dist-info"))


if __name__ == "__main__":
    if sys.argv[1:] == ["--server"]:
        print("vllm" if machine.has_vllm() else "llama.cpp")
    elif sys.argv[1:] and set(sys.argv[1:]) <= set(WANTED):
        sys.exit(main(sys.argv[1:]))
    else:
        sys.exit(f"usage: environment.py {' '.join(WANTED)}, or --server")
