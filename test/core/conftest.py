"""Shared by the core tests: helper modules beside the tests, and one small map."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def town(tmp_path) -> Path:
    """A saved map of six places; what it holds follows from generation 1."""
    from map_samples import make_map

    from vxp_ros.core.map_store import save_map

    return save_map(make_map(generation=1), tmp_path / "maps" / "town").path
