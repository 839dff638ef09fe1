"""The causal convolution as shifts along the sequence.

In raster order the neighbour `up` rows above and `left` columns to the left stands up * stride + left tokens earlier.
So sum_t A_t x[p - offset_t] is one product with all A_t stacked, then a sum of shifted slices: no unfolding, no
gathering, static shapes.
"""

from __future__ import annotations

import torch
from torch import Tensor


class ShiftAdd(torch.autograd.Function):
    """out[b, p] = sum over taps t of valid[b, p, t] * taps[b, p + history - offsets[t], t].

    taps: (B, history + L, K, r), valid: bool (B, L, K) -> (B, L, r). Only `valid` is saved for the backward.
    A neighbour before the start is one that `valid` must exclude.
    """

    @staticmethod
    def forward(taps: Tensor, valid: Tensor, offsets: tuple[int, ...]) -> Tensor:
        length = valid.shape[1]
        history = taps.shape[1] - length
        out = taps[:, history:, 0] * valid[..., :1]
        for t, offset in enumerate(offsets[1:], start=1):
            first = max(0, offset - history)        # the first position whose neighbour is in `taps`
            if first < length:
                start = first + history - offset
                out[:, first:] += taps[:, start:start + length - first, t] * valid[:, first:, t, None]
        return out

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        taps, valid, ctx.offsets = inputs
        ctx.save_for_backward(valid)
        ctx.shape = taps.shape

    @staticmethod
    def backward(ctx, grad: Tensor):
        (valid,) = ctx.saved_tensors
        length = valid.shape[1]
        history = ctx.shape[1] - length
        taps = grad.new_zeros(ctx.shape)
        for t, offset in enumerate(ctx.offsets):
            first = max(0, offset - history)
            if first < length:
                start = first + history - offset
                taps[:, start:start + length - first, t] = grad[:, first:] * valid[:, first:, t, None]
        return taps, None, None


def shift_add(taps: Tensor, valid: Tensor, offsets: tuple[int, ...]) -> Tensor:
    """See `ShiftAdd`, whose bookkeeping is left out where nothing is differentiated: decoding is many small calls."""
    if torch.is_grad_enabled() and taps.requires_grad:
        return ShiftAdd.apply(taps, valid, offsets)
    return ShiftAdd.forward(taps, valid, offsets)
