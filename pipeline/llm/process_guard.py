"""Run a command, and end it with everything that it started as soon as this program's standard input closes.

`python process_guard.py FOLDER COMMAND...` in a new session, with a pipe as standard input. The pipe closes when the
process that holds its other end closes it or dies, however it dies, `kill -9` included: so nothing is left behind. The
command shares the guard's process group, and the whole group ends together; FOLDER, where it had its temporary files, is
deleted. Standard library only, and no part of a package.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

GRACE = 5.0         # seconds for the command to end in peace
REST = 1.0          # seconds for what it leaves behind; vLLM's tracker removes shared memory in that time


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)              # `main` sends it to the group, itself included
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_watch, args=(child,), daemon=True).start()
    code = child.wait()
    print(f"\nguard: the command ended with code {code}", flush=True)
    os.killpg(0, signal.SIGTERM)
    time.sleep(REST)
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)                                # this guard too


def _watch(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):
        pass
    child.terminate()                                           # at its end `main` does the rest
    time.sleep(GRACE)
    child.kill()


if __name__ == "__main__":
    main()
