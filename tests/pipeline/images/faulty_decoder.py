"""In place of the decoder: does what the last byte of the image says."""

from __future__ import annotations

import errno
import os
import signal

from pipeline.storage import child
from schemas.errors import ServiceError


def answer(request, data, reply):
    with child.limits(request["memory"], 1):
        match data[-1:]:
            case b"S" | b"K":
                os.kill(os.getpid(), {b"S": signal.SIGSEGV, b"K": signal.SIGKILL}[data[-1:]])
            case b"L":
                while True:
                    pass
            case b"X":
                os._exit(3)
            case b"B":
                raise KeyError("x")
            case b"D":
                raise OSError(errno.EIO, "Input/output error", "a file")
            case b"V":
                raise ServiceError("the store is away")
            case b"M":
                try:
                    bytes(request["memory"] + (64 << 20))
                except MemoryError:
                    reply({"fault": ["too_much_memory", ""]})
                    return
            case b"E":
                reply({"width": 1, "height": 1}, "\n".join(os.environ).encode())
                return
    reply({"width": 3, "height": 2}, b"fine")


if __name__ == "__main__":
    child.serve(answer)
