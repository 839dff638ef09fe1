import pytest
import torch
from torch.nn.functional import conv2d, pad

from moss.adapters.plan import make_plan
from moss.adapters.router import Call
from moss.adapters.shift import Mix, mix
from tests.moss.adapters.little import GRID, KINDS, adapted, config, sequence

CONVOLUTIONS = [kind for kind in KINDS if kind not in ("lora", "moe_lora")]


@pytest.mark.parametrize("row_end", [False, True])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_the_image_branch_is_conv2d_with_causal_padding(kind, row_end):
    """The definition, on one image: zeros above and to the left, none below or right."""
    model = adapted(kind, row_end=row_end)
    layer = model.get_base_model().model.layers[0].self_attn.q_proj
    ids = sequence(row_end=row_end, rows=1)
    x = torch.randn(1, ids.shape[1], 32, generator=torch.Generator().manual_seed(1))
    layer.router.call = Call(ids, None)
    with torch.no_grad():
        found = layer(x) - layer.base_layer(x)
    stride, k = GRID[1] + row_end, layer.configs["default"].kernel_size
    start = 5
    square = x[0, start : start + GRID[0] * stride].view(GRID[0], stride, 32)[:, : GRID[1]].permute(2, 0, 1)[None]
    expected = _reference(layer, square, k)[0].permute(1, 2, 0)  # (rows, columns, out)
    got = found[0, start : start + GRID[0] * stride].view(GRID[0], stride, -1)[:, : GRID[1]]
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-5)
    text = layer.get_delta_weight("default")
    torch.testing.assert_close(found[0, :start], x[0, :start] @ text.T, atol=2e-5, rtol=1e-5)


def _reference(layer, square, k):
    """(1, in, rows, columns) -> (1, out, rows, columns). Tap (up, left) is the kernel's entry (k-1-up, k-1-left)."""

    def kernel(taps):  # (K, ...) in the order of the taps -> (..., k, k) as conv2d wants it
        return taps.view(k, k, *taps.shape[1:]).flip(0, 1).permute(*range(2, taps.ndim + 1), 0, 1).contiguous()

    causal = (k - 1, 0, k - 1, 0)
    down, up = layer.moss_image_A["default"].detach(), layer.moss_image_B["default"].detach()
    if layer.configs["default"].conv_space == "feature":
        hidden = conv2d(pad(square, causal), kernel(down))
    elif layer.configs["default"].conv_space == "feature_depthwise":
        filters = kernel(layer.moss_image_filter["default"].detach())[:, None]
        hidden = conv2d(conv2d(pad(square, causal), filters, groups=square.shape[1]), down[..., None, None])
    else:
        hidden = conv2d(square, down[..., None, None])
        hidden = conv2d(pad(hidden, causal), kernel(layer.moss_image_C["default"].detach()))
    return conv2d(hidden, up[..., None, None]) * layer.configs["default"].scale_image


@pytest.mark.parametrize("history", [0, 3, 20])
def test_gradients(history):
    settings = config(kernel_size=3)
    plan = make_plan(sequence(rows=1), settings)
    is_text, valid = (mask[:, 20:] if history else mask for mask in (plan.is_text, plan.valid))
    length = valid.shape[1]
    if history < settings.offsets[-1] and history:  # fewer than the kernel reaches: such neighbours do not exist
        valid = valid & (torch.arange(length)[:, None] + history >= torch.tensor(settings.offsets))
    hidden = torch.randn(1, history + length, 3 + 9 * 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda h: Mix.apply(h, is_text, valid, 3, settings.offsets), (hidden,))


def test_only_the_masks_are_kept_for_the_backward():
    settings = config(kernel_size=2)
    plan = make_plan(sequence(), settings)
    hidden = torch.randn(*plan.valid.shape[:2], 6 + 4 * 4, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        mix(hidden, plan.is_text, plan.valid, 6, settings.offsets)
    assert [t.dtype for t in kept] == [torch.bool, torch.bool]
