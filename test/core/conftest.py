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


@pytest.fixture(scope="module")
def eye(tmp_path_factory) -> tuple[Path, str]:
    """A model of one camera that no test changes: its folder and its id."""
    from model_samples import save_camera_model

    return save_camera_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def folder(eye, tmp_path) -> Path:
    """A copy of it to damage."""
    from model_samples import copy_by_hand

    return copy_by_hand(eye[0], tmp_path)
