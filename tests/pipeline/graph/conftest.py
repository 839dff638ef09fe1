"""What tests of grouping transforms share."""

from __future__ import annotations

import pytest

from pipeline.graph.grouping import Disk


@pytest.fixture(params=["by the runner", "on disk"])
def disk(request, tmp_path):
    """Where records are grouped: None, or a folder."""
    return Disk(f"{tmp_path}/groups", f"{tmp_path}/failures") if request.param == "on disk" else None
