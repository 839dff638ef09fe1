"""Runs one target: with atheris, which searches for new paths through the code, or else with seeds changed at random.

    python -m fuzz.run pixels --seconds 300
    python -m fuzz.run pixels --seconds 1800 --executions 1000000       # whichever comes first

A failure is written to `fuzz-TARGET-HASH.bin` in the working folder; `python -m fuzz.run TARGET --once FILE` repeats it.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import pathlib
import random
import sys
import tempfile
from collections.abc import Callable, Sequence

WORDS = [
    b"\0",
    b"\xff",
    b"\xff\xff\xff\x7f",
    b"\xff" * 8,
    b"\r\n",
    b'"',
    b"{",
    b"[",
    b"NaN",
    b"1e999",
    b"-1",
    b"<|im_end|>",
    b"\xff\xda",
    b"\xe2\x80\xae",
    b"\x1b[",
    b"../",
    b"9" * 50,
]


def changed(seed: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """The seed with one to eight changes: bits, words, cuts, copies, and pieces of other seeds."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 8)):
        at = chance.randint(0, len(data))
        length = chance.randint(0, min(64, len(data)))
        match chance.randint(0, 5):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randint(0, 7)
            case 1:
                data[at : at + chance.choice((0, 4))] = chance.choice(WORDS)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length] * chance.randint(1, 20)
            case 4:
                other = chance.choice(others)
                start = chance.randint(0, len(other))
                data[at : at + length] = other[start : start + length]
            case _:
                data[at : at + 4] = chance.randbytes(4)
    return bytes(data)


def at_random(
    name: str, target: Callable[[bytes], None], seeds: Sequence[bytes], seconds: float, executions: int, start: int
) -> int:
    """Run the target on seeds changed at random, `executions` times or for `seconds` of processor time.

    Returns the number of executions.
    """
    chance, end, count = random.Random(start), processor_seconds() + seconds, 0
    while count < executions and processor_seconds() < end:
        data = changed(chance.choice(seeds), chance, seeds)
        count += 1
        try:
            target(data)
        except BaseException:
            path = pathlib.Path(f"fuzz-{name}-{hashlib.sha256(data).hexdigest()[:12]}.bin")
            path.write_bytes(data)
            print(f"{name}: failed after {count:,} executions; the input is {path}", file=sys.stderr)
            raise
    return count


def processor_seconds() -> float:
    """The processor time of this process and of its ended children.

    Unlike wall time, it does not depend on other programs on the machine.
    """
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def with_atheris(target: Callable[[bytes], None], seeds: Sequence[bytes], seconds: float, executions: int) -> None:
    """Run the target with atheris. Does not return: libFuzzer ends the process, and prints the number of executions."""
    import atheris  # type: ignore[import-untyped, unused-ignore]

    folder = tempfile.mkdtemp(prefix="fuzz-corpus-")
    for seed in seeds:
        pathlib.Path(folder, hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    atheris.Setup(
        [
            sys.argv[0],
            folder,
            f"-max_total_time={int(seconds)}",
            f"-runs={executions}",
            "-print_final_stats=1",
            "-rss_limit_mb=4096",
            "-verbosity=0",
            "-timeout=60",
            f"-artifact_prefix={os.getcwd()}/fuzz-",
        ],
        target,
    )
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("target")
    parser.add_argument("--seconds", type=float, default=300.0, help="of processor time (with atheris, of the clock)")
    parser.add_argument("--executions", type=int, default=10**9, help="at most so many")
    parser.add_argument("--seed", type=int, default=0, help="of the changes at random")
    parser.add_argument("--at-random", action="store_true", help="also where atheris is installed")
    parser.add_argument("--once", help="a file: run the target on it, and nothing else")
    options = parser.parse_args()
    guided = importlib.util.find_spec("atheris") is not None and not options.at_random and not options.once
    if guided:
        import atheris

        with atheris.instrument_imports(include=["pipeline", "schemas", "prompts", "filters"]):
            from fuzz.targets import TARGETS
    else:
        from fuzz.targets import TARGETS
    from fuzz import seeds

    if options.target not in TARGETS:
        parser.error(f"the targets are {', '.join(TARGETS)}")
    target = TARGETS[options.target]
    if options.once:
        target(pathlib.Path(options.once).read_bytes())
        return
    found = seeds.of(options.target)
    for seed in found:
        target(seed)
    if guided:
        with_atheris(target, found, options.seconds, options.executions)
    started = processor_seconds()
    count = at_random(options.target, target, found, options.seconds, options.executions, options.seed)
    spent = processor_seconds() - started
    print(f"{options.target}: {count:,} executions in {spent:,.0f} s of processor time, none failed")


if __name__ == "__main__":
    main()
