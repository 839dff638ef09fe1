"""The demo on a processor with bfloat16 and on one without: seconds, and the memory of all processes together.

    python -m benchmarks.demo_cpu [--server llama.cpp | --dtype float32] [--limit-gib 8] [--json]

Runs the demo in new folders, first as it is and then as on a processor with only AVX2 (`--only fast` or `slow` for
one of them), and prints the ratio of their times. For the slow run oneDNN, MKL and ATen are told to use AVX2 only, and
`torch.cpu` to say that there is no more, which vLLM's choice of kernels follows. The peak is that of the sum of all
processes' proportional shares (PSS), looked at every second. With `--limit-gib` each run is in a memory control group of
that size (Linux, as root), and the peak is the kernel's own, page cache included; a run that needs more is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import number_format
from benchmarks.peak import Peak

ROOT = Path(__file__).parent.parent
GROUPS = Path("/sys/fs/cgroup")
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
HIDE = '''
import importlib.machinery, sys, types

class Hide:
    """Imports torch.cpu so that it knows of nothing beyond AVX2."""
    @staticmethod
    def find_spec(name, path, target=None):
        if name != "torch.cpu":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            found = {k: v for k, v in module.get_capabilities().items() if not k.startswith(("avx512", "amx", "avx10"))}
            module.get_capabilities = lambda: types.MappingProxyType(found)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Hide)
'''


def run(slow: bool, server: str, dtype: str, limit: int, documents: int | None) -> dict[str, Any]:
    """One demo in a new folder: its seconds, peak in bytes, and what it chose. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as name, _group(limit) as group:
        folder = Path(name)
        (folder / "sitecustomize.py").write_text(HIDE)
        config = yaml.safe_load((ROOT / "configs/demo.yaml").read_text())
        config["llm"] |= {"server": server, "dtype": dtype}
        (folder / "demo.yaml").write_text(yaml.safe_dump(config))
        command = [
            sys.executable,
            "beam_pipeline.py",
            "--config",
            str(folder / "demo.yaml"),
            "--output",
            f"{folder}/out",
            *(["--limit", str(documents)] if documents else []),
        ]
        environment = os.environ | ({**AVX2, "PYTHONPATH": str(folder)} if slow else {})
        started = time.monotonic()
        with open(folder / "said", "w+") as said:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=said,
                preexec_fn=functools.partial(_join, group) if group else None,
            )
            peak = Peak(process.pid)
            code = process.wait()
            seconds = time.monotonic() - started
            said.seek(0)
            lines = said.read()
        if code:
            raise subprocess.CalledProcessError(code, command, stderr=lines)
        counts = json.loads((folder / "out/manifest.json").read_text())["counts"]
        return {
            "seconds": round(seconds, 1),
            "peak_pss_bytes": peak.bytes(),
            "peak_group_bytes": group and _peak_of(group),
            "chose": [line for line in lines.splitlines() if "model: " in line],
            "instances": counts["instances"],
        }


@contextlib.contextmanager
def _group(limit: int) -> Iterator[Path | None]:
    """A memory control group of `limit` bytes; None if it is 0."""
    if not limit:
        yield None
        return
    first = (GROUPS / "memory").is_dir()
    group = (GROUPS / "memory" if first else GROUPS) / f"leafinstruct-{os.getpid()}"
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(limit))
        yield group
    finally:
        for _ in range(100):  # until the last of its processes has ended
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.1)


def _join(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


def _peak_of(group: Path) -> int:
    return int(
        next(p for name in ("memory.peak", "memory.max_usage_in_bytes") if (p := group / name).exists()).read_text()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=("fast", "slow"))
    parser.add_argument("--server", choices=("vllm", "llama.cpp"), default="vllm")
    parser.add_argument("--dtype", choices=number_format.FORMATS, default="auto", help="the language model's (vLLM)")
    parser.add_argument("--limit-gib", type=float, default=0.0, help="run in a memory control group of this size")
    parser.add_argument("--documents", type=int, help="read at most so many")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {}
    for name in [options.only] if options.only else ["fast", "slow"]:
        try:
            found[name] = run(
                name == "slow", options.server, options.dtype, int(options.limit_gib * 2**30), options.documents
            )
        except subprocess.CalledProcessError as error:
            sys.exit(f"{name}: the demo ended with {error.returncode}:\n{error.stderr[-2000:]}")
        if not options.json:
            one = found[name]
            print(
                f"{name}: {one['seconds']} s, peak {one['peak_pss_bytes'] / 2**30:.2f} GiB"
                + (f" ({one['peak_group_bytes'] / 2**30:.2f} GiB with page cache)" if options.limit_gib else "")
                + f", {one['instances']} instances; {'; '.join(one['chose'])}",
                flush=True,
            )
    result = {"server": options.server, **found}
    if len(found) == 2:
        result["ratio"] = round(found["slow"]["seconds"] / found["fast"]["seconds"], 2)
    print(json.dumps(result) if options.json else f"ratio {result.get('ratio', '-')} (target: at most 2)")


if __name__ == "__main__":
    main()
