"""Tiny real inputs for the commands: an untrained model and short bags of random but repeatable scenes."""

import sys
from functools import lru_cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scenes import scene, write

RECIPE = """
name: tiny
dimension: 16
image: {backbone: efficientnet_lite0, size: [32, 48]}
lidar:
  range: [0, -12, -6, 24, 12, 6]
  voxel: [1, 1, 0.5]
  max_voxels: 400
  vfe: [8, 16]
  channels: [8, 8, 8, 16, 16, 16, 16, 16, 112]
  cells: [2, 3]
"""


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    """A cache folder of each test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    from vxp_ros.core.model_store import init_model

    folder = tmp_path_factory.mktemp("model") / "lite"
    init_model("vxp_lite", folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> str:
    """For tests that build many maps."""
    from vxp_ros.core.model_store import init_model

    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yaml").write_text(RECIPE)
    init_model(folder / "tiny.yaml", folder / "tiny")
    return str(folder / "tiny")


@pytest.fixture
def one_encoder(monkeypatch):
    """Hundreds of builds need not load the model as often."""
    from vxp_ros.core.encoder import Encoder

    monkeypatch.setattr(Encoder, "load", lru_cache(Encoder.load))


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> str:
    """Six scenes, four metres apart."""
    return write(tmp_path_factory.mktemp("bags") / "drive", [scene(number) for number in range(6)])


@pytest.fixture(scope="session")
def worn_source(tmp_path_factory) -> str:
    """The same, but the cloud of the second scene has too few points to use."""
    frames = [scene(number, points=100 if number == 1 else 4000) for number in range(6)]
    return write(tmp_path_factory.mktemp("bags") / "worn", frames)


@pytest.fixture(scope="session")
def place_map(tmp_path_factory, model, source) -> Path:
    """A map of the six scenes, made by the command itself."""
    from vxp_ros.cli.main import run

    path = tmp_path_factory.mktemp("maps") / "town"
    assert run(["map", "build", source, "--out", str(path), "--model", model]) == 0
    return path
