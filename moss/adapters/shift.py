"""Computes the hidden values of both branches by one product, and the causal convolution by shifts along the sequence.

In raster order, the neighbour `up` rows above and `left` columns to the left is up * stride + left tokens earlier.
So sum_t A_t x[p - offset_t] is one product with all A_t stacked, then a sum of shifted slices: no unfolding, no
gathering, static shapes. The text branch's A is stacked with them, so that x is read once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


class Mix(torch.autograd.Function):
    """hidden (B, history + L, r + K * r_image) -> (B, L, r + r_image): the input of the matrices B of both branches.

    The first r columns are the text branch's and are kept where `is_text` (B, L, 1); then come the K taps:
    image[b, p] = sum over taps t of valid[b, p, t] * taps[b, p + history - offsets[t], t], with `valid` (B, L, K).
    Only the two masks are saved for the backward. `valid` must exclude a neighbour before the start.
    """

    @staticmethod
    def forward(hidden: Tensor, is_text: Tensor, valid: Tensor, r: int, offsets: tuple[int, ...]) -> Tensor:
        length = valid.shape[1]
        history = hidden.shape[1] - length
        taps = hidden[..., r:].view(*hidden.shape[:2], len(offsets), -1)
        mask = valid.to(hidden.dtype)
        image = taps[:, history:, 0] * mask[..., :1]
        for t, offset in enumerate(offsets[1:], start=1):
            first, start = _first(offset, history)
            if first < length:
                image[:, first:].addcmul_(taps[:, start : start + length - first, t], mask[:, first:, t, None])
        return torch.cat([hidden[:, history:, :r] * is_text, image], dim=-1)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Any, ...], output: Any) -> None:
        hidden, is_text, valid, r, offsets = inputs
        ctx.save_for_backward(is_text, valid)
        ctx.shape, ctx.r, ctx.offsets = hidden.shape, r, offsets  # type: ignore[attr-defined]  # torch's own way

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        is_text, valid = ctx.saved_tensors
        length, r = valid.shape[1], ctx.r
        history = ctx.shape[1] - length
        found = grad.new_zeros(ctx.shape)
        found[:, history:, :r] = grad[..., :r] * is_text
        taps, image = found[..., r:].view(*ctx.shape[:2], len(ctx.offsets), -1), grad[..., r:]
        mask = valid.to(grad.dtype)
        for t, offset in enumerate(ctx.offsets):
            first, start = _first(offset, history)
            if first < length:
                taps[:, start : start + length - first, t] = image[:, first:] * mask[:, first:, t, None]
        return found, None, None, None, None


def mix(hidden: Tensor, is_text: Tensor, valid: Tensor, r: int, offsets: tuple[int, ...]) -> Tensor:
    """Compute `Mix`, without its autograd bookkeeping if no gradient is needed."""
    if torch.is_grad_enabled() and hidden.requires_grad:
        return Mix.apply(hidden, is_text, valid, r, offsets)  # type: ignore[no-any-return, no-untyped-call]  # torch does not type it
    return Mix.forward(hidden, is_text, valid, r, offsets)


def _first(offset: int, history: int) -> tuple[int, int]:
    """The first position whose neighbour is in the input, and the index of that neighbour."""
    first = max(0, offset - history)
    return first, first + history - offset
