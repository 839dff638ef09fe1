"""How the processes of a test that train together end."""

from __future__ import annotations

import os
import sys

import torch


def leave() -> None:
    """End this process, which has done its work, without the interpreter's own end.

    Gloo's threads outlive their group and may still hold its last tensors. To free these takes the interpreter's lock,
    and a thread that asks for it while the interpreter ends aborts the process ("terminate called without an active
    exception"; pytorch/pytorch#179291 was closed without a mend).
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
