import dataclasses

import pytest
import torch

from moss.backbones.generalist import TokenScores
from moss.settings import Training
from moss.training import losses
from tests.moss import small

TRAINING = Training(steps=1, rows=4, text_weight=0.5, image_weight=2.0, z_loss=0.1)


def gradients(model, batches) -> dict[str, torch.Tensor]:
    model.zero_grad()
    counted = losses.counts(batches)
    for batch in batches:
        losses.total(losses.sums(model(batch), batch), counted, TRAINING).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}


def test_four_micro_batches_give_the_gradient_of_one_large_batch():
    model = small.adapted()
    whole, parts = gradients(model, small.batches(4)), gradients(model, small.batches(1))
    assert len(whole) == 32 and all(gradient.abs().max() > 0 for gradient in whole.values())
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-4, atol=1e-6)


def test_the_mean_of_the_micro_batches_means_would_be_another_gradient():
    """The test above can tell the difference: these rows hold different numbers of targets."""
    model = small.adapted()
    whole = gradients(model, small.batches(4))
    model.zero_grad()
    for batch in small.batches(1):
        (losses.total(losses.sums(model(batch), batch), losses.counts([batch]), TRAINING) / 4).backward()
    off = [
        float((p.grad - whole[name]).norm() / whole[name].norm())
        for name, p in model.named_parameters()
        if p.requires_grad
    ]
    assert min(off) > 0.05


def scores(text, image) -> TokenScores:
    text, image = torch.tensor(text), torch.tensor(image)
    return TokenScores(text, text, text / 10, image, image, image / 10)


def batch_of(text_of, image_of):
    one = small.batches(1)[0]
    return dataclasses.replace(one, text_of=torch.tensor(text_of), image_of=torch.tensor(image_of), keys=("x", "y"))


def test_the_total_is_what_its_docstring_says():
    batch = batch_of([0, 0, 1, -1], [1, -1])
    parts = losses.sums(scores([1.0, 2.0, 3.0, 100.0], [4.0, 100.0]), batch)
    assert losses.counts([batch, batch]).tolist() == [6, 2]
    assert [part.item() for part in parts] == pytest.approx([6.0, 4.0, 0.01 + 0.04 + 0.09 + 0.16])
    total = losses.total(parts, torch.tensor([3, 1]), TRAINING)
    assert total.item() == pytest.approx(0.5 * 2.0 + 2.0 * 4.0 + 0.1 * 0.3 / 4)


def test_surplus_targets_count_for_nothing_even_where_they_are_not_numbers():
    nan, inf = float("nan"), float("inf")
    batch = batch_of([0, -1], [-1, -1])
    parts = losses.sums(scores([1.0, nan], [inf, nan]), batch)
    assert parts.text.item() == 1.0 and parts.image.item() == 0.0
    assert losses.total(parts, losses.counts([batch]), TRAINING).item() == pytest.approx(0.5 + 0.1 * 0.01)


def test_losses_that_are_not_finite_name_their_samples():
    nan = float("nan")
    batch = batch_of([0, 0, -1], [1, -1])
    assert losses.not_finite(scores([1.0, 1.0, nan], [1.0, nan]), batch) == []
    assert losses.not_finite(scores([1.0, 1.0, nan], [nan, 1.0]), batch) == ["y"]
    assert losses.not_finite(scores([1.0, nan, 1.0], [nan, 1.0]), batch) == ["x", "y"]
