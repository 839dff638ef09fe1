"""The seeds of dropout, and the mode that a model is in when it is measured and after."""

from __future__ import annotations

import types

import torch

from moss.backbones.generalist import TokenScores
from moss.training.step import step_seed
from moss.training.validation import validate
from tests.moss import small


def test_every_step_of_every_process_drops_other_inputs_and_a_resumed_run_the_same():
    seeds = [step_seed(seed, step, rank) for seed in range(3) for step in range(3) for rank in range(3)]
    assert len(set(seeds)) == 27
    assert step_seed(1, 2, 3) == 3822189696


class Listening(torch.nn.Module):
    """Notes in which mode it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.modes: list[bool] = []

    def forward(self, batch) -> TokenScores:
        self.modes.append(self.training)
        text, image = torch.ones(len(batch.text_of)), torch.ones(len(batch.image_of))
        return TokenScores(text, text, text, image, image, image)


def test_a_model_is_measured_without_dropout_and_trained_with_it_again():
    model = Listening().train()
    accelerator = types.SimpleNamespace(device="cpu", reduce=lambda value: value)
    found = validate(accelerator, model, small.batches(1))
    assert set(model.modes) == {False} and model.training
    assert found == {"validation/text": 1.0, "validation/image": 1.0}
