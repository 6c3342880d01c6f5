"""The protocols and the table of neighbours on real pose files (VXP_DATA): counts that others have counted.

The benchmark's poses start at zero in each sequence; the published test boxes are in Mercator metres of the raw OXTS,
which is not at hand here, so boxes are tested on synthetic drives (test_protocols.py).
"""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from vxp_ros.core.errors import SourceError
from vxp_ros.sources.kitti import as_transforms, read_numbers
from vxp_training.datasets.annotation import Annotation, concatenate, heading_from_track, neighbours, yaw_difference
from vxp_training.datasets.prepare import planar, prepare
from vxp_training.protocols import kitti_3dv, kitti_cmvm, kitti_sample, kitti_v1

DATA = Path(os.environ.get("VXP_DATA", ""))
pytestmark = pytest.mark.skipif(
    not (DATA / "kitti/poses/00.txt").exists(), reason="needs real poses: set VXP_DATA to a folder with kitti/poses"
)
# Frames with an earlier frame within 5 m and more than 100 frames before, as counted for the data's README.
REVISITS = {"00": 804, "02": 315, "05": 448, "06": 270, "07": 56, "08": 345, "09": 19}
# camera 0 (x right, y down, z ahead) seen from x ahead, y left, z up
T_AHEAD_OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def table(name: str, T: np.ndarray, times: np.ndarray | None = None) -> Annotation:
    """times: [N] seconds; None for ten frames a second."""
    north, east, yaw = planar(T)
    none = np.full(len(T), "")
    stamps = np.arange(len(T)) * 10**8 if times is None else np.round(times * 1e9).astype(np.int64)
    return Annotation(np.full(len(T), name), stamps, north, east, yaw, none, none)


def kitti(sequence: str) -> Annotation:
    T = T_AHEAD_OPTICAL @ as_transforms(read_numbers(DATA / f"kitti/poses/{sequence}.txt", 12)) @ T_AHEAD_OPTICAL.T
    times = DATA / f"kitti/sequences/{sequence}/times.txt"
    return table(sequence, T, read_numbers(times, 1)[:, 0] if times.exists() else None)


@pytest.mark.parametrize("sequence", REVISITS)
def test_kitti_revisits_are_as_many_as_published(sequence):
    positions = kitti(sequence).positions
    near = neighbours(positions, positions, 5.0)
    assert sum(bool((rows < row - 100).any()) for row, rows in enumerate(near)) == REVISITS[sequence]


def test_kitti_cmvm_asks_every_frame():
    data = concatenate([kitti(sequence) for sequence in kitti_cmvm.SEQUENCES])
    trials = kitti_cmvm.trials(data)
    assert {trial.group: len(trial.queries) for trial in trials} == {
        "00": 4541, "02": 4661, "05": 2761, "06": 1101, "07": 1101, "08": 4071}  # fmt: skip
    # The car drives about a metre per frame: a frame before or after is always within 10 m.
    assert all(len(right) > 0 for trial in trials for right in trial.positives)
    assert all(query not in trial.database[right] for trial in trials
               for query, right in zip(trial.queries[::97], trial.positives[::97], strict=True))  # fmt: skip


@pytest.mark.parametrize(("sequence", "metres"), [("00", 3724), ("02", 5067)])
def test_kitti_3dv_on_the_whole_sequence(sequence, metres):
    data = kitti(sequence)
    (trial,) = kitti_3dv.trials(data, has_boxes=False)
    # real spacings are a little larger than 20 m: the next frame is taken
    assert 0.94 * metres / 20 < len(trial.database) <= metres / 20 + 1
    assert abs(len(trial.queries) - len(trial.database)) <= 1
    has_right = np.array([len(right) > 0 for right in trial.positives])
    by_hand = []
    for query in trial.queries:
        offset = data.positions[trial.database] - data.positions[query]
        is_old = data.stamp_ns[query] - data.stamp_ns[trial.database] > 10 * 10**9
        turned = yaw_difference(data.yaw[query], data.yaw[trial.database])
        by_hand.append(bool((is_old & (np.hypot(*offset.T) <= 20) & (turned < 0.5)).any()))
    assert has_right.tolist() == by_hand
    assert 0.05 < has_right.mean() < 0.5  # both have loops


@pytest.mark.parametrize("protocol", [kitti_3dv, kitti_v1])
def test_the_benchmarks_poses_are_not_in_the_boxes(protocol):
    with pytest.raises(SourceError, match="The boxes are in Mercator metres of the raw OXTS"):
        protocol.trials(kitti("00"))


def test_kitti_08_is_revisited_the_other_way_round():
    """The yaw gate takes its loops away."""
    data = kitti("08")
    near = neighbours(data.positions, data.positions, 5.0)
    pairs = [(row, old) for row, rows in enumerate(near) for old in rows if old < row - 100]
    turned = yaw_difference(*(data.yaw[list(side)] for side in zip(*pairs, strict=True)))
    assert np.mean(turned < 0.5) < 0.01 and np.mean(turned > 2.6) > 0.7


def test_the_heading_of_the_track_is_the_cars():
    """What ViViD++'s missing yaw is made up for with; where the car drives, it looks ahead."""
    data = kitti("00")
    error = yaw_difference(heading_from_track(data.positions), data.yaw)
    assert np.median(error) < 0.03 and np.percentile(error, 95) < 0.25  # of a gate of 0.5


def test_six_places_of_real_kitti(tmp_path):
    sources = [f"kitti:{DATA / 'kitti'}:{number:02d}" for number in range(6)]
    prepared = prepare(sources, tmp_path / "data")
    assert len(prepared) == 60 and prepared.annotation.drives == ["00", "01", "02", "03", "04", "05"]
    frame = prepared.frame(13)
    assert frame.points.shape[1] == 4 and len(frame.points) > 100_000
    camera = frame.images["camera"].camera
    assert (camera.width, camera.height) == (1241, 376) and camera.K[0, 0] == pytest.approx(718.856)
    (trial,) = kitti_sample.trials(prepared.annotation)
    assert len(trial.database) == 6 and len(trial.queries) == 54
    assert np.mean([len(right) for right in trial.positives]) / 6 == pytest.approx(1 / 6)


def test_mulran_days_overlap():
    first, second = (
        as_transforms(read_numbers(path, 12))
        for path in sorted((DATA / "trajectories/mulran").glob("kaist0*/localization_poses*.txt"))
    )
    near = neighbours(table("2", second).positions, table("1", first).positions, 10.0)
    assert np.mean([len(rows) > 0 for rows in near]) == pytest.approx(0.97, abs=0.005)


def test_boreas_days_overlap():
    positions = []
    for path in sorted((DATA / "trajectories/boreas").glob("*/applanix/lidar_poses.csv")):
        with path.open() as file:
            positions.append(
                np.array([[float(row["northing"]), float(row["easting"])] for row in csv.DictReader(file)])
            )
    near = neighbours(positions[1], positions[0], 5.0)
    assert np.mean([len(rows) > 0 for rows in near]) == pytest.approx(0.996, abs=0.0005)
