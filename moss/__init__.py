"""MoSS adapters: a linear LoRA for text tokens and a causal convolutional LoRA for image tokens, as a PEFT method.

Importing this package registers the method with PEFT; do so before `PeftModel.from_pretrained`.
"""

import torch_compat  # noqa: F401 - before transformers, which imports torchvision

# isort: split
from moss.adapters import MossConfig, MossModel

__all__ = ["MossConfig", "MossModel"]
