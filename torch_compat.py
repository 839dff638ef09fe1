"""Lets torchvision import beside a CPU build of torch. Import this module before open_clip, timm or transformers.

The registry's torchvision for Linux is a CUDA build. Beside a CPU build of torch its operator library cannot load, and
`import torchvision` dies with "operator torchvision::nms does not exist". Declaring the two missing schemas is enough
to import it; nothing here calls the operators. Where torchvision fits torch, this module does nothing.
"""

from __future__ import annotations

import contextlib
import os
import pathlib

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: torch.library.Library | None = None  # the schemas live only as long as this object


def cache_beside_torchs_own() -> None:
    """Send torch's compiler cache to the folder of torch's other caches, if that is writable.

    torchvision imports the compiler, which would otherwise create its cache folder in the temporary directory.
    """
    if "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
        with contextlib.suppress(OSError, RuntimeError):  # no home, or one that cannot be written to
            folder = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "torch/inductor"
            folder.mkdir(parents=True, exist_ok=True)
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)


def ready_torchvision() -> bool:
    """Make `import torchvision` work; True if the missing operators had to be declared."""
    global _declared
    try:
        import torchvision
    except ImportError:
        return False  # there is no torchvision, so nothing to fix
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        _declared = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            _declared.define(name + _SCHEMA)
        import torchvision  # noqa: F401
    return _declared is not None


cache_beside_torchs_own()
ready_torchvision()
