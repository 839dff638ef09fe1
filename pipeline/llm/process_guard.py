"""Runs a command, and ends it with all its child processes as soon as this program's standard input closes.

`python process_guard.py FOLDER COMMAND...` runs in a new session, with a pipe as standard input. The pipe closes when
the process at its other end closes it or dies, also by `kill -9`, so no process is left. The command is in the guard's
process group, and the whole group ends together; FOLDER, which has its temporary files, is deleted. This file uses the
standard library only, and is not imported.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

GRACE = 5.0  # seconds for the command to end by itself
REST = 1.0  # seconds for the rest of the group; vLLM's tracker removes shared memory in that time


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)  # `main` sends it to the group, itself included
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_watch, args=(child,), daemon=True).start()
    code = child.wait()
    print(f"\nguard: the command ended with code {code}", flush=True)
    os.killpg(0, signal.SIGTERM)
    time.sleep(REST)
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)  # this guard too


def _watch(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):
        pass
    child.terminate()  # at its end `main` does the rest
    time.sleep(GRACE)
    child.kill()


if __name__ == "__main__":
    main()
