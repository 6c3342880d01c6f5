"""Helper modules importable, two small masters for the tests of the layouts, and an engine that must be caught."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from town_masters import make_master

from vxp_training.datasets.town.layouts import export

FRAMES = 5


@pytest.fixture(scope="session")
def masters(tmp_path_factory):
    """Two days of one drive; nobody changes them."""
    root = tmp_path_factory.mktemp("masters")
    return [make_master(root, day, FRAMES) for day in ("sunny", "rain")]


@pytest.fixture(scope="session")
def written(masters, tmp_path_factory):
    """layout -> folder."""
    root = tmp_path_factory.mktemp("layouts")
    for layout in ("kitti", "nuscenes", "bag"):
        assert export(layout, masters, root / layout)
    return {layout: root / layout for layout in ("kitti", "nuscenes", "bag")}


@pytest.fixture
def forgetful(monkeypatch) -> None:
    """A naive engine: only the weights are in its checkpoint, as is common, not its optimiser. Forks have it too."""
    from vxp_training import checkpoint, engine

    def load_weights_only(folder, trained, optimiser):
        path = folder / checkpoint.CHECKPOINT
        if not path.exists():
            return None
        content = checkpoint.read_tensors(path)
        trained.load_state_dict(content["network"])
        return checkpoint.Progress(**content["progress"])

    monkeypatch.setattr(engine, "load_checkpoint", load_weights_only)
