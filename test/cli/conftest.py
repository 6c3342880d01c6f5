"""Tiny real inputs for the commands: an untrained model and short bags of random but repeatable scenes."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scenes import scene, write


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    from vxp_ros.core.model_store import init_model

    folder = tmp_path_factory.mktemp("model") / "lite"
    init_model("vxp_lite", folder)
    return str(folder)


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
