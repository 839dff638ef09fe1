import torch_compat  # noqa: F401 - before transformers, which imports torchvision
