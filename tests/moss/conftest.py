"""Warnings of other libraries about each other, which nothing here could avoid; all others are errors."""

import pytest

OTHERS = (
    # PEFT 0.21 asks transformers 5.23 for a property that is going to be renamed
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",
    # the new name is not in all versions of transformers that are allowed
    "ignore:`gradient_checkpointing_(enable|disable)` is deprecated:FutureWarning",
    # torch 2.13's own dynamo makes an instance while it traces an autograd function
    "ignore:.*should not be instantiated:DeprecationWarning",
)


def pytest_configure(config: pytest.Config) -> None:
    for line in OTHERS:
        config.addinivalue_line("filterwarnings", line)
