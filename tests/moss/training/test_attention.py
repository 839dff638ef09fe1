"""Samples that share a row do not see each other, whatever computes attention; what could not keep them apart is refused."""

# ruff: noqa: F811 - fixtures of another module are imported by their names

from __future__ import annotations

import dataclasses

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from transformers import modeling_flash_attention_utils as flash
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask

from moss import backbones
from moss.backbones.generalist import sample_lengths
from moss.settings import Backbone
from moss.training import attention
from schemas.errors import UserError
from tests.moss import hands, small
from tests.moss.test_train import result, run, shards  # noqa: F401

CPU = torch.device("cpu")


@pytest.fixture
def little(monkeypatch):
    """Runs train a small backbone, each as a process of its own would."""
    monkeypatch.setattr(backbones, "load", lambda name, path, dtype, **_: small.bare(dtype))
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def wanted(name, dtype="bfloat16", **training):
    made = small.settings("none", "none", attention=name, **training)
    return dataclasses.replace(made, backbone=Backbone("chameleon", "tiny", dtype))


@pytest.fixture
def calls(monkeypatch):
    """flash_attn's functions for a CPU, by its own documentation; gives the bounds that they were called with."""
    seen = []

    def varlen(
        q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, dropout_p=0.0, softmax_scale=None, causal=False
    ):
        assert causal and cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
        bounds = cu_seqlens_q.tolist()
        assert cu_seqlens_k.tolist() == bounds and bounds[0] == 0 and bounds[-1] == len(q)
        lengths = cu_seqlens_q.diff().tolist()
        assert max_seqlen_q == max_seqlen_k == max(lengths) and min(lengths) > 0
        seen.append(bounds)
        parts = [[one.transpose(0, 1) for one in part.split(lengths)] for part in (q, k, v)]
        done = [
            torch.nn.functional.scaled_dot_product_attention(
                *one, is_causal=True, scale=softmax_scale, enable_gqa=True
            ).transpose(0, 1)
            for one in zip(*parts, strict=True)
        ]
        return torch.cat(done)

    def whole(*args, **more):
        raise AssertionError("flash_attn was called without the samples' lengths: they see each other")

    for name, value in {
        "_loaded_implementation": "flash_attention_2",
        "_flash_fn": whole,
        "_flash_varlen_fn": varlen,
        "_process_flash_kwargs_fn": flash._lazy_define_process_function(varlen),
        "_process_with_kvcache_kwargs_fn": dict,
        "_flash_with_kvcache_fn": None,
        "_pad_fn": None,
        "_unpad_fn": None,
    }.items():
        monkeypatch.setattr(flash, name, value, raising=False)
    return seen


def made(name, implementation):
    """A tiny backbone; flash attention is not installed where this runs, and `choose` would refuse it."""
    generalist = backbones.load(name, "tiny").eval()
    generalist.core.get_decoder().config._attn_implementation_internal = implementation
    return generalist


@torch.no_grad()
def logits(generalist, *rows):
    """Those of each sample in turn."""
    given = hands.batch(generalist, *rows)
    hidden = generalist.hidden(given.ids, given.positions, given.vectors)
    found = []
    for states, row in zip(hidden, rows, strict=True):
        lengths = [len(sample.ids) for sample in row]
        padding = len(states) - sum(lengths)
        found += [generalist.text_logits(one) for one in states.split([*lengths, padding])[:-1]]
    return found


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch warns of its own parts, for flex_attention
@pytest.mark.parametrize("implementation", ["sdpa", "eager", "flash_attention_2", "flex_attention"])
@pytest.mark.parametrize("name", backbones.NAMES)
def test_packed_samples_have_the_logits_that_they_have_alone(name, implementation, calls):
    """In several rows: transformers itself tells flash attention of samples in a single row only."""
    generalist = made(name, implementation)
    a, b = hands.samples(generalist)
    c = hands.sample(generalist, "c", "Red.", "A short one.")
    with torch.compiler.set_stance("force_eager"):  # flex_attention by its definition; compiling it takes a minute
        packed = logits(generalist, [a, b], [b, c, a])
        alone = [logits(generalist, [one])[0] for one in (a, b, b, c, a)]
    for one, other in zip(packed, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3 * other.abs().max().item())
    if implementation == "flash_attention_2":
        length, ends = len(a.ids) + len(b.ids) + len(c.ids) + 3, [0, len(a.ids), len(a.ids) + len(b.ids)]
        more = [length, length + len(b.ids), length + len(b.ids) + len(c.ids), 2 * length - 3]
        assert calls[0] == [*ends, *more, 2 * length]
    assert bool(calls) == (implementation == "flash_attention_2")


def test_the_bounds_are_where_positions_begin_again():
    given = sample_lengths(torch.tensor([[0, 1, 2, 0, 0, 1], [0, 1, 2, 3, 4, 5]]))
    assert given["cu_seq_lens_q"].tolist() == given["cu_seq_lens_k"].tolist() == [0, 3, 4, 6, 12]
    assert given["max_length_q"] == given["max_length_k"] == 6


@pytest.mark.parametrize("name", ["sdpa", "eager"])
def test_the_choice_is_the_decoders_alone(name):
    generalist = backbones.load("emu3", "tiny")
    before = generalist.core.vqmodel.config._attn_implementation
    generalist.core.get_decoder().config._attn_implementation_internal = "eager" if name == "sdpa" else "sdpa"
    attention.choose(generalist, wanted(name), CPU)
    assert generalist.core.get_decoder().config._attn_implementation == name
    assert generalist.core.vqmodel.config._attn_implementation == before


def test_what_cannot_be_used_is_refused_before_training():
    generalist = small.bare()
    with pytest.raises(UserError, match=r"flash_attention_2 cannot be used here: .*installed"):
        attention.choose(generalist, wanted("flash_attention_2"), CPU)
    with pytest.raises(UserError, match="flash_attention_2 does not compute in float32; set backbone.dtype"):
        attention.choose(generalist, wanted("flash_attention_2", "float32"), CPU)
    with pytest.raises(UserError, match="no backward pass of flex_attention for CPUs; choose sdpa or eager"):
        attention.choose(generalist, wanted("flex_attention"), CPU)
    generalist.plain_model.model._supports_flex_attn = False
    with pytest.raises(UserError, match="flex_attention cannot be used here: "):
        attention.choose(generalist, wanted("flex_attention"), torch.device("cuda"))


def test_a_decoder_that_leaves_its_attention_as_it_is_is_refused(monkeypatch):
    generalist = small.bare()
    monkeypatch.setattr(type(generalist.core), "_can_set_attn_implementation", classmethod(lambda cls: False))
    with pytest.raises(UserError, match="LlamaModel does not let eager be chosen; it has sdpa"):
        attention.choose(generalist, wanted("eager"), CPU)


def test_sdpa_and_eager_train_the_same_adapter(little, shards, tmp_path, monkeypatch):
    used, choose = [], attention.choose

    def noted(generalist, *given):
        choose(generalist, *given)
        used.append(generalist.core.config._attn_implementation)

    monkeypatch.setattr(attention, "choose", noted)
    for name in ("sdpa", "eager"):
        run(small.settings(shards, tmp_path / name, steps=2, warmup=0, attention=name, save_every=2))
    assert used == ["sdpa", "eager"]
    one, other = (result(tmp_path / name, 2) for name in ("sdpa", "eager"))
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_run_whose_samples_see_each_other_does_not_begin(little, shards, tmp_path, monkeypatch, rows):
    """With a causal mask that does not end at a sample's start."""
    monkeypatch.setitem(
        ALL_MASK_ATTENTION_FUNCTIONS._global_mapping,
        "sdpa",
        lambda **given: sdpa_mask(**{key: value for key, value in given.items() if key != "mask_function"}),
    )
    with pytest.raises(
        UserError, match="samples that share a row see each other in LlamaForCausalLM with sdpa; choose"
    ):
        run(small.settings(shards, tmp_path, rows=rows))
    assert not list(tmp_path.rglob("checkpoint-*"))


def test_the_proof_compiles_nothing():
    AcceleratorState._reset_state(reset_partial_state=True)
    generalist, compiled = small.adapted(), []
    generalist.core.compile(backend=lambda graph, _: compiled.append(graph) or graph.forward)
    accelerator = Accelerator(cpu=True)
    attention.check_isolated(accelerator, generalist, generalist, 2)
    assert not compiled and generalist.training
    AcceleratorState._reset_state(reset_partial_state=True)
