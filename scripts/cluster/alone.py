"""A network of its own for this program: Beam's servers listen to every network, and this one reaches nobody else.

The kernel ends what is left in it when the program ends, however that comes.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys
from typing import NoReturn

_UNSHARE = ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # from Linux's <sockios.h> and <if.h>


def is_possible() -> bool:
    """Does this machine have Linux's `unshare`, and allow it?"""
    try:
        return subprocess.run([*_UNSHARE, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def run(*command: str) -> NoReturn:
    """Become this command of Python's, in a network that has only a loopback interface (see `begin`)."""
    os.execvp(_UNSHARE[0], [*_UNSHARE, sys.executable, *command])


def begin() -> None:
    """Turn the loopback interface on: a new network has it, but off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name = b"lo".ljust(16, b"\0")
        reply = fcntl.ioctl(any_socket, _GET_FLAGS, name.ljust(40, b"\0"))
        (flags,) = struct.unpack_from("h", reply, 16)
        fcntl.ioctl(any_socket, _SET_FLAGS, (name + struct.pack("h", flags | _UP)).ljust(40, b"\0"))
