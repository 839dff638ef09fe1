"""Token ids for routing if a model is called with images and placeholders, as in transformers.

`pixel_values` replace the embeddings of placeholder tokens inside the model's forward, after the adapters were shown
`input_ids`. A placeholder's id is not among those of image tokens, so it would be routed as text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from moss.adapters.config import MossConfig


def routing_ids(
    core: PreTrainedModel, ids: Tensor, kwargs: dict[str, Any], active: Callable[[], Sequence[MossConfig]]
) -> Tensor:
    """The ids (B, L) with image tokens (and row ends) in place of the images' placeholders.

    `ids` itself without images.

    The images are encoded here, once: `mm_encoder_outputs` replaces `pixel_values` in kwargs. `active` gives the
    settings of the active adapters that tell images from text; without any, `ids` are returned. Raises ValueError for
    active adapters with different images, for images whose grid is not the adapters', and for an encoder that does not
    return the tokens of its images.
    """
    outputs = (kwargs.get("mm_encoder_outputs") or {}).get("image")
    if outputs is None and kwargs.get("pixel_values") is None:
        return ids
    configs = active()
    if not configs:
        return ids
    config = configs[0]
    if len({(other.image_grid, other.row_end_id, other.image_ids) for other in configs}) > 1:
        raise ValueError(
            "the active adapters have different grids, row ends or image_token_ids, so the tokens of an image given as "
            "pixel_values differ too: activate one of them, or give the image tokens as ids"
        )
    placeholder, (low, high) = _placeholder(core), config.image_ids
    if placeholder is not None and low <= placeholder < high:
        return ids  # the adapters were made for placeholders
    if placeholder is None or not hasattr(
        core, "get_image_tokens"
    ):  # Janus reads through SigLIP, whose features are no image tokens
        raise ValueError(
            f"{type(core).__name__} reads pixel_values through an encoder whose features are not the "
            "image tokens that the adapters are for. Give the image tokens as ids, with inputs_embeds and "
            "moss_ids, or set image_token_ids to the placeholder's id"
        )
    if outputs is None:
        given = {name: kwargs.pop(name) for name in ("pixel_values", "image_sizes") if kwargs.get(name) is not None}
        outputs = core.get_image_features(**given, return_dict=True)  # type: ignore[operator]  # a method of its class
        kwargs["mm_encoder_outputs"] = {**(kwargs.get("mm_encoder_outputs") or {}), "image": outputs}
    rows, columns = config.image_grid
    for grid in _grids(outputs, rows * columns):
        if grid != (rows, columns):
            raise ValueError(
                f"a picture of {grid[0]} x {grid[1]} image tokens; the adapter's grid is {rows} x "
                f"{columns}: resize the picture"
            )
    block = ids.new_full((rows, config.row_stride), low)
    if config.row_end_id is not None:
        block[:, columns] = config.row_end_id
    at = ids == placeholder
    return ids.masked_scatter(at, block.flatten().repeat(len(_grids(outputs, rows * columns))))


def _placeholder(core: PreTrainedModel) -> int | None:
    mapping = getattr(core, "vocabulary_mapping", None)
    found = getattr(core.config, "image_token_id", None) if mapping is None else mapping.image_token_id
    return None if found is None else int(found)


def _grids(outputs: Any, tokens: int) -> list[tuple[int, int]]:
    """The (rows, columns) of each image. Chameleon returns codes (N, tokens) or (N, rows, columns), Emu3 a list."""
    codes = outputs.image_tokens
    if isinstance(codes, Tensor) and codes.ndim < 3:
        height, width = outputs.last_hidden_state.shape[-2:]
        return [(height, width)] * (codes.numel() // (height * width))
    return [(code.shape[-2], code.shape[-1]) for code in codes]
