"""Finds image tokens, and which neighbours on the image grid each of them has."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from moss.adapters.config import MossConfig


class Plan(NamedTuple):
    """The masks of one forward pass, shared by all layers; K is the number of taps.

    is_text: bool (B, L, 1). valid: bool (B, L, K): this image token has that neighbour (itself first). inside: int64
    (B,): the number of tokens of an unfinished image at the end of the row, from which the next chunk continues.
    """

    is_text: Tensor
    valid: Tensor
    inside: Tensor


def make_plan(ids: Tensor, config: MossConfig, inside: Tensor | None = None) -> Plan:
    """The plan for token ids (B, L); `inside` (B,) is that of an earlier chunk's plan.

    A token's place on the grid is its distance from the last token that belongs to no image, so two images need at
    least one token between them. Raises RuntimeError (on a GPU: asynchronously) if an image is longer than the grid, or
    of another width: a row end is not at the end of a row or, without row ends, an image ends among the ids before it has
    filled the grid.
    """
    low, high = config.image_ids
    rows, columns = config.image_grid
    is_image = (ids >= low) & (ids < high)
    in_block = is_image if config.row_end_id is None else is_image | (ids == config.row_end_id)
    index = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    if inside is None:
        inside = ids.new_zeros(ids.shape[0])
    last_outside = torch.where(in_block, -1 - inside[:, None], index).cummax(dim=1).values
    place = index - last_outside - 1
    torch._assert_async(
        (place < rows * config.row_stride).all(),
        f"an image is longer than its grid of {rows} x {columns} tokens, or two images follow each "
        "other without a token between them",
    )
    row, column = place // config.row_stride, place % config.row_stride
    if config.row_end_id is None and config.kernel_size > 1:
        ends = in_block[:, :-1] & ~in_block[:, 1:]  # decoding token by token never looks back at the last one
        torch._assert_async(
            (~ends | (place[:, :-1] == rows * columns - 1)).all(),
            f"an image ends before it has {rows} x {columns} tokens, so its width, and who is whose neighbour, is not "
            "known: give the adapter whole images of its grid",
        )
    if config.row_end_id is not None:
        torch._assert_async(
            (~in_block | ((column == columns) != is_image)).all(),
            f"a row of an image does not end after {columns} tokens: the adapter's grid is {rows} x "
            f"{columns}, so give it images of that width",
        )
    valid = torch.stack([is_image & (row >= up) & (column >= left) for up, left in config.taps], dim=-1)
    return Plan(~is_image[..., None], valid, torch.where(in_block[:, -1], place[:, -1] + 1, 0))
