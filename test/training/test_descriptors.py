"""Descriptors are made once per frame and sensor, survive a killed run, and belong to one model and one data set."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from town_masters import make_master

from vxp_ros.core.errors import BadInput, SourceError
from vxp_training.baselines.ridge import Ridge, features
from vxp_training.datasets.town_days import TownDays
from vxp_training.descriptors import DescriptorStore

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> TownDays:
    folder = tmp_path_factory.mktemp("town")
    return TownDays([make_master(folder, day, frames=6) for day in ("sunny", "rain")])


@pytest.fixture(scope="module")
def ridge(town) -> Ridge:
    return Ridge(*features(town.frame(row) for row in range(4)), penalty=10.0)


class Counting:
    """A model that says how often it was asked, and may stop."""

    def __init__(self, model, stop_after: int | None = None):
        self.model, self.calls, self.stop_after = model, [], stop_after
        self.modalities, self.length_of, self.model_id = model.modalities, model.length_of, model.model_id

    def describe(self, frame, modality):
        if len(self.calls) == self.stop_after:
            raise KeyboardInterrupt
        self.calls.append((frame.stamp_ns, modality))
        return self.model.describe(frame, modality)


def test_vectors_are_the_models_own(town, ridge, tmp_path):
    vectors = DescriptorStore(tmp_path, town, ridge).describe(np.array([0, 3, 7]))
    for modality in ("camera", "lidar"):
        assert vectors[modality].shape == (12, ridge.length_of(modality)) and vectors[modality].dtype == np.float32
        for row in range(12):
            if row in (0, 3, 7):
                np.testing.assert_array_equal(vectors[modality][row], ridge.describe(town.frame(row), modality).vector)
            else:
                assert np.isnan(vectors[modality][row]).all()


def test_every_frame_is_described_once(town, ridge, tmp_path):
    counting, calls = Counting(ridge), []
    store = DescriptorStore(tmp_path, town, counting)
    store.describe(np.array([5, 1, 5, 1]), lambda *count: calls.append(count))
    assert len(counting.calls) == 4 and calls == [(0, 2), (1, 2), (2, 2)]
    first = store.describe(np.arange(12))
    assert len(counting.calls) == 24
    again = DescriptorStore(tmp_path, town, counting).describe(np.arange(12))
    assert len(counting.calls) == 24
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_an_interrupted_run_goes_on(town, ridge, tmp_path):
    stopped = Counting(ridge, stop_after=7)
    with pytest.raises(KeyboardInterrupt):
        DescriptorStore(tmp_path, town, stopped).describe(np.arange(12))
    rest = Counting(ridge)
    found = DescriptorStore(tmp_path, town, rest).describe(np.arange(12))
    assert len(rest.calls) == 24 - 7 and not set(rest.calls) & set(stopped.calls)
    whole = DescriptorStore(tmp_path / "new", town, ridge).describe(np.arange(12))
    assert all(np.array_equal(found[name], whole[name]) for name in whole)


CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
from test_descriptors import Counting
from vxp_training.baselines.ridge import Ridge, features
from vxp_training.datasets.town.store.master import Recording
from vxp_training.datasets.town_days import TownDays
from vxp_training.descriptors import DescriptorStore

class Slow(Counting):
    def describe(self, frame, modality):
        time.sleep(0.05)
        return super().describe(frame, modality)

town = TownDays([Recording(path) for path in sys.argv[3:]])
ridge = Ridge(*features(town.frame(row) for row in range(4)), penalty=10.0)
DescriptorStore(Path(sys.argv[2]), town, Slow(ridge)).describe(
    np.arange(12), lambda done, total: print(done, flush=True))
"""


def test_a_killed_run_goes_on_and_two_do_not_mix(town, ridge, tmp_path):
    folders = [str(recording.folder) for recording in town.recordings]
    command = [sys.executable, "-c", CHILD, str(HERE), str(tmp_path), *folders]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        while int(child.stdout.readline()) < 3:
            pass
        with pytest.raises(SourceError, match=f"is being filled by process {child.pid} on .*; wait for it"):
            DescriptorStore(tmp_path, town, ridge).describe(np.arange(12))
    finally:
        child.kill()
        child.wait()
    rest = Counting(ridge)
    found = DescriptorStore(tmp_path, town, rest).describe(np.arange(12))
    assert 0 < len(rest.calls) <= 24 - 6
    whole = DescriptorStore(tmp_path / "new", town, ridge).describe(np.arange(12))
    assert all(np.array_equal(found[name], whole[name]) for name in whole)


class Picky(Counting):
    """Cannot see one frame with one sensor."""

    def describe(self, frame, modality):
        found = super().describe(frame, modality)
        if modality == "lidar" and len(self.calls) == 4:
            raise BadInput("no_voxel_in_view", "no point lies in the camera's view")
        return found


def test_frames_that_cannot_be_described_are_not_tried_again(town, ridge, tmp_path):
    picky = Picky(ridge)
    vectors = DescriptorStore(tmp_path, town, picky).describe(np.arange(3))
    assert np.isnan(vectors["lidar"][:, 0]).tolist()[:3] == [False, True, False]
    assert not np.isnan(vectors["camera"][:3]).any()
    again = DescriptorStore(tmp_path, town, picky).describe(np.arange(3))
    assert len(picky.calls) == 6 and np.isnan(again["lidar"][1]).all()


def test_a_damaged_file_costs_its_frame(tmp_path, ridge):
    recording = make_master(tmp_path, frames=3)
    (recording.folder / "frames/000001.range.png").write_bytes(b"nothing")
    vectors = DescriptorStore(tmp_path / "cache", TownDays([recording]), ridge).describe(np.arange(3))
    assert np.isnan(vectors["camera"][:, 0]).tolist() == [False, True, False]


@pytest.mark.parametrize("damage", ["cut", "foreign", "empty"])
def test_a_damaged_store_starts_anew(town, ridge, tmp_path, damage):
    store = DescriptorStore(tmp_path, town, ridge)
    before = store.describe(np.arange(4))
    path = store.folder / "camera.npy"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "foreign":
        np.save(path, np.zeros((3, 3)))
    else:
        path.write_bytes(b"")
    after = store.describe(np.arange(4))
    assert all(np.array_equal(before[name][:4], after[name][:4]) for name in before)


def test_models_and_data_do_not_share_descriptors(town, ridge, tmp_path):
    other = Ridge(*features(town.frame(row) for row in range(4)), penalty=11.0)
    fewer = TownDays(town.recordings[:1])
    folders = {DescriptorStore(tmp_path, *pair).folder for pair in ((town, ridge), (town, other), (fewer, ridge))}
    assert len(folders) == 3
    assert TownDays(town.recordings).fingerprint() == town.fingerprint()
