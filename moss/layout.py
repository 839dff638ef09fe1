"""The layout of an image in a backbone's token sequence."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class ImageLayout:
    """An image of `rows` x `columns` tokens in raster order: begin, header, the rows, footer, end.

    Ids low <= id < high are image tokens; code c has the id low + c. A continuous backbone has one such id, the slot of
    a vector. `row_end`, if there is one, ends every row (Emu3). `header` is between `begin` and the first row (Emu3's
    size), `footer` between the last row and `end`.

    >>> layout = ImageLayout(1, 2, low=10, high=14, begin=1, end=2)
    >>> layout.block(np.array([[0, 3]])).tolist()
    [1, 10, 13, 2]
    """

    rows: int
    columns: int
    low: int
    high: int
    begin: int
    end: int
    row_end: int | None = None
    header: tuple[int, ...] = ()
    footer: tuple[int, ...] = ()

    @property
    def stride(self) -> int:
        """The number of tokens from the start of a row to the start of the next."""
        return self.columns + (self.row_end is not None)

    @property
    def block_length(self) -> int:
        """The number of tokens of a complete image, boundary tokens included."""
        return 2 + len(self.header) + self.rows * self.stride + len(self.footer)

    def has(self, id: int) -> bool:
        """Whether an id is one of an image's block: an image token, a boundary or a part of header or footer."""
        return self.low <= id < self.high or id in (self.begin, *self.header, self.row_end, *self.footer, self.end)

    def block(self, codes: np.ndarray) -> np.ndarray:
        """The ids (block_length,) of an image of codes (rows, columns).

        Raises ValueError for another shape or a code out of range.
        """
        if codes.shape != (self.rows, self.columns):
            raise ValueError(
                f"an image of {codes.shape[0]} x {codes.shape[1]} codes; the grid is {self.rows} x {self.columns}"
            )
        if codes.size and not 0 <= codes.min() <= codes.max() < self.high - self.low:
            raise ValueError(f"codes from {codes.min()} to {codes.max()}; the codebook has {self.high - self.low}")
        body = codes.astype(np.int64) + self.low
        if self.row_end is not None:
            body = np.concatenate([body, np.full((self.rows, 1), self.row_end)], axis=1)
        return np.concatenate([[self.begin, *self.header], body.ravel(), [*self.footer, self.end]]).astype(np.int64)

    def codes(self, block: np.ndarray) -> np.ndarray:
        """The codes (rows, columns) of a block's ids. Raises ValueError if they are not a complete block."""
        start = 1 + len(self.header)
        body = np.asarray(block)[start : start + self.rows * self.stride]
        if len(block) == self.block_length and body.size:
            found = body.reshape(self.rows, self.stride)[:, : self.columns] - self.low
            if 0 <= found.min() <= found.max() < self.high - self.low and np.array_equal(self.block(found), block):
                return found
        raise ValueError(f"these {len(block)} ids are not a whole image of {self.rows} x {self.columns} tokens")
