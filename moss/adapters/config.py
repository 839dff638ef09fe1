"""The settings of an adapter, and PEFT's configuration of the method."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, Literal, Protocol

from peft import PeftConfig

from moss.layout import ImageLayout


class Backbone(Protocol):
    """The attributes of a backbone's model that `MossConfig.for_backbone` reads."""

    layout: ImageLayout
    target_modules: str


class _PeftTypeName(str):
    """A name with an attribute `value`, as the members of PEFT's enumeration have."""

    @property
    def value(self) -> str:
        return str(self)


MOSS = _PeftTypeName("MOSS")


@dataclasses.dataclass
class Adapter:
    """The settings of an adapter, except those that the backbone decides.

    The defaults are ours: the paper's are not known.

    kind: "moss" is a linear LoRA for text tokens and a convolutional one for image tokens; "moe_lora" a linear LoRA
    for each; "lora" one for both. The last two are the baselines of the paper's ablation.
    conv_space: where the convolution works, three readings of the paper. "feature": a dense k x k convolution of the
    layer's input, down to the rank. "feature_depthwise": one k x k filter for each input feature, then A. "rank":
    A, then a k x k convolution of the r numbers (the place that Conv-LoRA, arXiv 2401.17868, gives it).
    kernel_size: k; a token sees itself and its neighbours up to k - 1 rows up and k - 1 columns left.
    r, r_image: ranks of the text and of the image branch; r_image None is r // 2 for "moss", r for "moe_lora".
    alpha, alpha_image: a branch's output is multiplied by alpha / rank; None is twice the rank, 0 switches it off.
    dropout: the share of the adapters' inputs that is dropped in training, from 0 to below 1.
    target_modules: a regular expression of the linear layers to adapt; None leaves them to the backbone.
    modules_to_save: names of whole modules, such as lm_head, to train and save with the adapters, as in PEFT.
    """

    kind: Literal["lora", "moe_lora", "moss"] = "moss"
    conv_space: Literal["feature", "feature_depthwise", "rank"] = "feature"
    kernel_size: int = 2
    r: int = 64
    r_image: int | None = None
    alpha: float | None = None
    alpha_image: float | None = None
    dropout: float = 0.0
    target_modules: str | None = None
    modules_to_save: tuple[str, ...] | None = None


@dataclasses.dataclass
class MossConfig(Adapter, PeftConfig):
    """PEFT's configuration of the adapters of every targeted linear layer: `Adapter`, and the backbone's images.

    target_modules: also a list of names. grid: rows and columns of every image. row_end_id: the id that closes each
    row, for backbones that have one. image_token_ids: low <= id < high are image tokens. Everything else, boundary
    tokens too, is text: a token's own kind chooses its branch, so the begin token (text) predicts the first image
    token, the last one (image) the end. Raises ValueError for invalid settings.
    """

    target_modules: list[str] | str | None = None  # type: ignore[assignment]  # wider than a settings file's
    exclude_modules: list[str] | str | None = None
    modules_to_save: list[str] | None = None  # type: ignore[assignment]  # PEFT's type of it
    grid: tuple[int, int] | None = None
    row_end_id: int | None = None
    image_token_ids: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[no-untyped-call]  # PEFT does not type it
        self.modules_to_save = None if self.modules_to_save is None else list(self.modules_to_save)
        self.peft_type = MOSS
        for name, value, known in (
            (field, getattr(self, field), typing.get_args(typing.get_type_hints(Adapter)[field]))
            for field in ("kind", "conv_space")
        ):
            if value not in known:
                raise ValueError(f"{name} is {value!r}; it can be {', '.join(known)}")
        if self.kind == "moe_lora":
            self.kernel_size, self.conv_space = 1, "feature"  # a 1 x 1 convolution is a linear layer
        if self.r_image is None:
            self.r_image = max(1, self.r // 2) if self.kind == "moss" else self.r
        if min(self.r, self.r_image) < 1:
            raise ValueError(f"ranks are at least 1, not r={self.r} and r_image={self.r_image}")
        self.alpha = 2.0 * self.r if self.alpha is None else self.alpha
        self.alpha_image = 2.0 * self.r_image if self.alpha_image is None else self.alpha_image
        if self.kind != "lora":
            self._check_grid()

    def _check_grid(self) -> None:
        if self.grid is None or self.image_token_ids is None:
            raise ValueError(
                f"kind {self.kind!r} needs grid=(rows, columns) and image_token_ids=(low, high): without "
                "them no token is known to be an image's; MossConfig.for_backbone fills them in"
            )
        (rows, columns), (low, high) = self.grid, self.image_token_ids
        self.grid, self.image_token_ids = (rows, columns), (low, high)  # a saved configuration has lists
        if not 1 <= self.kernel_size <= min(self.grid):
            raise ValueError(
                f"kernel_size {self.kernel_size} does not fit into a grid of {self.grid[0]} x {self.grid[1]}"
            )

    @classmethod
    def for_backbone(cls, generalist: Backbone, **settings: Any) -> MossConfig:
        """The configuration for a `moss.backbones` model: its grid, ids and linear layers, and `settings`."""
        layout = generalist.layout
        known = {
            "target_modules": generalist.target_modules,
            "grid": (layout.rows, layout.columns),
            "row_end_id": layout.row_end,
            "image_token_ids": (layout.low, layout.high),
        }
        return cls(**{**known, **{name: value for name, value in settings.items() if value is not None}})

    @property
    def scale(self) -> float:
        """The factor of the text branch's output."""
        return self.alpha / self.r if self.alpha is not None else 2.0

    @property
    def scale_image(self) -> float:
        """The factor of the image branch's output."""
        return self.alpha_image / self.image_rank if self.alpha_image is not None else 2.0

    @property
    def image_rank(self) -> int:
        """The rank of the image branch: `r_image`, or its default."""
        return self.r if self.r_image is None else self.r_image

    @property
    def image_grid(self) -> tuple[int, int]:
        """The grid of a kind that has one. Raises ValueError for "lora"."""
        if self.grid is None:
            raise ValueError(f"kind {self.kind!r} has no image grid")
        return self.grid

    @property
    def image_ids(self) -> tuple[int, int]:
        """The image token ids of a kind that has them. Raises ValueError for "lora"."""
        if self.image_token_ids is None:
            raise ValueError(f"kind {self.kind!r} has no image token ids")
        return self.image_token_ids

    @property
    def row_stride(self) -> int:
        """The number of tokens from the start of a row to the start of the next."""
        return self.image_grid[1] + (self.row_end_id is not None)

    @property
    def taps(self) -> tuple[tuple[int, int], ...]:
        """The positions of the kernel as (rows up, columns left); the token itself comes first."""
        return tuple((up, left) for up in range(self.kernel_size) for left in range(self.kernel_size))

    @property
    def offsets(self) -> tuple[int, ...]:
        """For each tap, how many tokens it is before the current one."""
        return tuple(up * self.row_stride + left for up, left in self.taps)
