"""Gradients stay right under checkpointing, compilation, DDP and FSDP2."""

import peft
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from tests.moss.adapters.little import KINDS, adapted, config, decoder, sequence, text_only
from tests.moss.processes import leave

every_kind = pytest.mark.parametrize("kind", KINDS)


def gradients(model) -> dict[str, torch.Tensor]:
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def loss_of(model, ids):
    return torch.nn.functional.cross_entropy(model(ids).logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def assert_same(found, expected):
    assert found.keys() == expected.keys() and found
    assert all(torch.equal(found[n], expected[n]) for n in found)


@every_kind
@torch.no_grad()
def test_dropout_drops_inputs_of_the_adapters_in_training_alone(kind):
    model, ids = adapted(kind, dropout=0.5), sequence()
    assert torch.equal(model(ids).logits, adapted(kind)(ids).logits)
    model.train()
    assert not torch.equal(model(ids).logits, model(ids).logits)


@every_kind
def test_every_matrix_at_the_input_begins_as_that_of_a_lora(kind):
    """Uniform up to 1 / sqrt(inputs), each tap by itself: of all taps as one, the numbers would be smaller."""
    model = peft.get_peft_model(decoder(), config(**KINDS[kind]))
    found = [p for name, p in model.named_parameters() if "_A." in name]
    assert found
    for matrix in found:
        bound = matrix.shape[-1] ** -0.5
        largest = matrix.detach().abs().amax((-2, -1))
        assert (largest > 0.9 * bound).all() and (largest <= bound).all()


@every_kind
def test_checkpointing_changes_no_bit(kind):
    model, ids = adapted(kind).train(), sequence()
    loss_of(model, ids).backward()
    expected = gradients(model)
    assert all(g.abs().sum() > 0 for g in expected.values())
    model.gradient_checkpointing_enable()
    model.enable_input_require_grads()
    loss_of(model, ids).backward()
    assert_same(gradients(model), expected)


@every_kind
def test_two_forwards_before_one_backward(kind):
    """As in DPO: equal shapes, other images; the second forward must not lend the first one its plan."""
    model, first = adapted(kind).train(), sequence(seed=1)
    second = first.roll(3, dims=1)
    second[:, :3] = 7
    (loss_of(model, first) - 2 * loss_of(model, second)).backward()
    expected = gradients(model)
    model.gradient_checkpointing_enable()
    model.enable_input_require_grads()
    (loss_of(model, first) - 2 * loss_of(model, second)).backward()
    assert_same(gradients(model), expected)


@pytest.mark.parametrize("kind", ["feature", "rank"])
def test_compiles_without_a_graph_break(kind):
    model = adapted(kind).train()
    decoder = model.get_base_model().model
    decoder.layers = decoder.layers[:1]  # the graph of another is the same, and takes as long
    torch._dynamo.reset()
    compiled = torch.compile(model.get_base_model(), backend="aot_eager", fullgraph=True)
    counter = torch._dynamo.utils.counters
    counter.clear()
    for seed in (0, 1):
        ids = sequence(seed=seed)
        loss_of(model, ids).backward()
        expected = gradients(model)
        loss_of(compiled, ids).backward()
        found = gradients(model)
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=1e-4)
    assert counter["stats"]["unique_graphs"] == 1  # another batch of the same length is not compiled again


def _train_on_one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    for wrap in ("ddp", "fsdp2"):
        model = adapted("feature").train()
        if wrap == "ddp":
            wrapped = DistributedDataParallel(model)
        else:
            for layer in model.get_base_model().model.layers:
                fully_shard(layer)
            wrapped = fully_shard(model)
        _train(wrapped, lambda: loss_of(wrapped, (sequence(), text_only(52))[rank]))  # rank 1 has no image at all
        state = {
            n: (p.full_tensor() if wrap == "fsdp2" else p).detach().clone()
            for n, p in model.named_parameters()
            if p.requires_grad
        }
        if rank == 0:
            torch.save(state, f"{folder}/{wrap}.pt")
    leave()


def _train(model, loss) -> None:
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        loss().backward()
        optimiser.step()
        optimiser.zero_grad()


def test_two_processes_one_without_images(tmp_path):
    mp.spawn(_train_on_one_of_two, (str(tmp_path),), nprocs=2)
    model = adapted("feature").train()
    _train(model, lambda: (loss_of(model, sequence()) + loss_of(model, text_only(52))) / 2)
    expected = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    for wrap in ("ddp", "fsdp2"):
        found = torch.load(tmp_path / f"{wrap}.pt")
        assert found.keys() == expected.keys()
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], atol=2e-6, rtol=1e-4)
