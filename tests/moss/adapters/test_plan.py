import pytest
import torch

from moss.adapters.plan import make_plan
from tests.moss.adapters.little import GRID, HIGH, LOW, ROW_END, config, sequence

ROWS, COLUMNS = GRID


@pytest.mark.parametrize("row_end", [False, True])
def test_the_neighbours_of_a_token_on_its_grid(row_end):
    settings = config(row_end, kernel_size=3)
    ids = sequence(row_end=row_end, rows=1)
    found = make_plan(ids, settings)
    stride = COLUMNS + row_end
    start = 5
    for row in range(ROWS):
        for column in range(COLUMNS):
            at = start + row * stride + column
            for t, (up, left) in enumerate(settings.taps):
                assert found.valid[0, at, t] == (row >= up and column >= left)
                if found.valid[0, at, t]:  # the tap points at the token in that place of the same image
                    neighbour = at - settings.offsets[t]
                    assert neighbour == start + (row - up) * stride + column - left
        if row_end:
            assert ids[0, start + row * stride + COLUMNS] == ROW_END
            assert not found.valid[0, start + row * stride + COLUMNS].any()
    assert found.is_text[0, :5].all() and not found.valid[0, :5].any()
    assert found.is_text.sum() == 12 + 2 * ROWS * row_end


def test_chunks_go_on_where_the_last_one_ended():
    settings = config(kernel_size=3)
    ids = sequence()
    whole = make_plan(ids, settings)
    inside, parts = None, []
    for chunk in ids.split([7, 1, 11, 1, 1, 20, ids.shape[1] - 41], dim=1):
        part = make_plan(chunk, settings, inside)
        inside = part.inside
        parts.append(part)
    assert torch.equal(torch.cat([p.valid for p in parts], 1), whole.valid)
    assert torch.equal(torch.cat([p.is_text for p in parts], 1), whole.is_text)
    assert torch.equal(inside, whole.inside)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_image_longer_than_its_grid_is_refused(chunked):
    settings = config()
    ids = torch.full((1, ROWS * COLUMNS + 1), LOW)
    with pytest.raises(RuntimeError, match="longer than its grid of 4 x 5"):
        if chunked:
            make_plan(ids[:, -1:], settings, make_plan(ids[:, :-1], settings).inside)
        else:
            make_plan(ids, settings)
    make_plan(ids[:, 1:], settings)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_image_that_ends_before_its_grid_is_full_is_refused(chunked):
    """A smaller image would get neighbours as if it were as wide as the grid."""
    ids = torch.tensor([[5, *[LOW] * 6, 7, *[LOW] * ROWS * COLUMNS, 8]])
    inside = make_plan(ids[:, :4], config()).inside if chunked else None  # an image that goes on is no short one
    with pytest.raises(RuntimeError, match="ends before it has 4 x 5 tokens"):
        make_plan(ids[:, 4 * chunked :], config(), inside)
    make_plan(ids[:, 7:], config())
    make_plan(ids, config(kernel_size=1))  # has no neighbours


def test_ids_at_the_edges_of_the_range():
    found = make_plan(torch.tensor([[LOW - 1, LOW, HIGH - 1, HIGH]]), config(kernel_size=1))
    assert found.is_text[0, :, 0].tolist() == [True, False, False, True]
