"""How many arenas malloc has, counted by malloc itself in new processes."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys

import pytest

from pipeline.launch import arenas

COUNT = """
import ctypes, subprocess, sys, threading
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.fopen.restype = ctypes.c_void_p, ctypes.c_void_p
all_of_them = threading.Barrier(9)
def use():
    libc.malloc(600)
    all_of_them.wait()
threads = [threading.Thread(target=use) for _ in range(8)]
[one.start() for one in threads]
all_of_them.wait()
file = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"a"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


def counted(before: str = "", **environment: str) -> int:
    """The arenas of a process with nine threads that all allocate."""
    clean = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    said = subprocess.run(
        [sys.executable, "-c", before + COUNT], env=clean | environment, capture_output=True, text=True, check=True
    )
    return len(re.findall("<heap nr=", said.stdout))


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library has no malloc_info")
def test_a_process_and_its_children_have_few_arenas_unless_the_user_says_otherwise():
    limited = "from pipeline.launch import arenas; block = arenas.limited(); block.__enter__()\n"
    child = f"import os, subprocess, sys; os.execv(sys.executable, [sys.executable, '-c', {COUNT!r}])\n"
    assert counted() > arenas.ARENAS
    assert counted(limited) == arenas.ARENAS
    assert counted(limited + child) == arenas.ARENAS
    assert counted(limited, MALLOC_ARENA_MAX="5") == 5


def test_the_variable_is_that_of_the_caller_afterwards(monkeypatch):
    monkeypatch.delenv(arenas.VARIABLE, raising=False)
    with arenas.limited():
        assert os.environ[arenas.VARIABLE] == str(arenas.ARENAS)
    assert arenas.VARIABLE not in os.environ
