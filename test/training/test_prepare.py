"""Preparing real layouts: frames come back as their sources give them, and what is missing is named."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from town_masters import make_master

from vxp_ros.core.datatypes import Camera, Frame, Image
from vxp_ros.core.errors import BadInput, SourceError
from vxp_ros.core.geometry import invert, make_transform, pose_from_vector, transform_points
from vxp_ros.sources.bag_writer import BagWriter
from vxp_ros.sources.kitti import KittiSource
from vxp_training.datasets.prepare import prepare, rows_apart
from vxp_training.datasets.prepare_tables import RIGS, VIVID_T_CAMERA_LIDAR
from vxp_training.datasets.prepared import PreparedData
from vxp_training.datasets.town.layouts import export
from vxp_training.protocols import kitti_v1


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Path:
    """Two days of a tiny town in KITTI's layout."""
    folder = tmp_path_factory.mktemp("town")
    days = [make_master(folder, day) for day in ("sunny", "rain")]
    export("kitti", days, folder / "kitti")
    return folder / "kitti"


def equal_frames(a: Frame, b: Frame) -> None:
    assert a.stamp_ns == b.stamp_ns
    np.testing.assert_array_equal(a.images["camera"].pixels, b.images["camera"].pixels)
    np.testing.assert_array_equal(a.points, b.points)
    np.testing.assert_allclose(a.T_odom_base, b.T_odom_base, atol=1e-9)
    np.testing.assert_allclose(a.T_base_lidar, b.T_base_lidar)
    ours, theirs = a.images["camera"].camera, b.images["camera"].camera
    assert (ours.width, ours.height) == (theirs.width, theirs.height)
    np.testing.assert_allclose(ours.K, theirs.K)
    np.testing.assert_allclose(ours.T_base_camera, theirs.T_base_camera)


def test_kitti_frames_are_those_of_the_source(town, tmp_path):
    prepared = prepare([f"kitti:{town}:00", f"kitti:{town}:01"], tmp_path / "data")
    assert prepared.annotation.drives == ["town-tiny-sunny", "town-tiny-rain"]
    again = PreparedData(tmp_path / "data")
    for number in (3, 0):
        equal_frames(again.frame(again.annotation.rows_of("town-tiny-rain")[number]),
                     KittiSource(town, "01").frame(number))  # fmt: skip
    assert not list((tmp_path / "data").rglob("*.png"))


def test_the_table_says_where_the_frames_are(town, tmp_path):
    prepared = prepare([f"kitti:{town}:00"], tmp_path / "data")
    for row in range(len(prepared)):
        T = prepared.frame(row).T_odom_base
        assert prepared.annotation.positions[row] == pytest.approx([T[1, 3], T[0, 3]])
        ahead = T[:3, :3] @ [1, 0, 0]
        assert prepared.annotation.yaw[row] == pytest.approx(np.arctan2(ahead[1], ahead[0]))


def test_sequences_without_a_common_world_lie_far_apart(town, tmp_path):
    (copy := tmp_path / "plain").mkdir()
    shutil.copytree(town, copy, dirs_exist_ok=True, ignore=lambda folder, names: {"town.json"} & set(names))
    sources = [f"kitti:{copy}:00", f"kitti:{copy}:01"]
    gap = [np.ptp(prepare(sources, tmp_path / name, is_one_world=flag).annotation.easting)
           for name, flag in (("apart", False), ("one", True))]  # fmt: skip
    days = prepare([f"kitti:{town}:00", f"kitti:{town}:01"], tmp_path / "days").annotation
    assert gap[0] > 99_000 and gap[1] == pytest.approx(np.ptp(days.easting)) and gap[1] < 100


def test_spacing_counts_the_way(town, tmp_path):
    assert rows_apart(np.array([[0.0], [4], [8], [12], [13], [20]]), 8.0).tolist() == [0, 2, 5]
    assert rows_apart(np.zeros((3, 2)), None).tolist() == [0, 1, 2]
    steps = prepare([f"kitti:{town}:00"], tmp_path / "data", spacing=8.0).annotation.positions
    assert len(steps) < 5 and (np.linalg.norm(np.diff(steps, axis=0), axis=1) > 7.5).all()


def test_the_data_may_move(town, tmp_path):
    shutil.copytree(town, tmp_path / "a")
    prepare([f"kitti:{tmp_path / 'a'}:00"], tmp_path / "data")
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(SourceError, match=r"image_2/000000.png is missing; if the data has moved, say so with --root"):
        PreparedData(tmp_path / "data").frame(0)
    assert len(PreparedData(tmp_path / "data", tmp_path / "b/sequences/00").frame(0).points)


@pytest.mark.parametrize("part", ["calib.txt", "times.txt", "image_2", "velodyne", "image_2/000002.png",
                                  "velodyne/000002.bin", "../../poses/00.txt"])  # fmt: skip
def test_a_missing_part_is_named(town, tmp_path, part):
    shutil.copytree(town, tmp_path / "kitti")
    gone = (tmp_path / "kitti/sequences/00" / part).resolve()
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(SourceError, match=f"{gone} is missing"):
        prepare([f"kitti:{tmp_path / 'kitti'}:00"], tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["kitti"]


def test_sequences_without_poses_are_refused(town, tmp_path):
    shutil.copytree(town, tmp_path / "kitti")
    (tmp_path / "kitti/sequences/01").rename(tmp_path / "kitti/sequences/11")
    with pytest.raises(SourceError, match=r"poses/11.txt is missing"):
        prepare([f"kitti:{tmp_path / 'kitti'}:11"], tmp_path / "data")


def drive_frame(number: int, T_odom_base: np.ndarray | None) -> Frame:
    random = np.random.default_rng(number)
    pixels = random.integers(0, 255, (48, 64, 3)).astype(np.uint8)
    camera = Camera(64, 48, np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]]),
                    T_base_camera=pose_from_vector([1, 0, 1, -0.5, 0.5, -0.5, 0.5]))  # fmt: skip
    points = random.uniform(-20, 20, (1500, 4)).astype(np.float32)
    T_base_lidar = make_transform(np.eye(3), np.array([0.5, 0.0, 1.5]))
    return Frame(10**18 + number * 10**8, {"camera": Image(pixels, camera)}, points, None, T_base_lidar, T_odom_base)


def write_bag(path: Path, frames: list[Frame]) -> str:
    with BagWriter(path) as bag:
        for frame in frames:
            bag.write_frame(frame)
    return f"bag:{path}"


def test_a_bag_becomes_keyframes(tmp_path):
    frames = [drive_frame(number, make_transform(np.eye(3), np.array([0.6 * number, 0, 0]))) for number in range(9)]
    prepared = prepare([write_bag(tmp_path / "drive", frames)], tmp_path / "data", spacing=1.0)
    assert prepared.annotation.easting == pytest.approx([0, 1.2, 2.4, 3.6, 4.8])
    for row, number in enumerate((0, 2, 4, 6, 8)):
        equal_frames(prepared.frame(row), frames[number])
    shutil.rmtree(tmp_path / "drive")
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    equal_frames(PreparedData(tmp_path / "elsewhere").frame(1), frames[2])


class Listed(list):
    """Frames as a source gives them."""

    name, problems = "drive", {}


def test_a_frames_other_cameras_lie_beside_the_first(tmp_path, monkeypatch):
    def with_more(number: int) -> Frame:
        frame = drive_frame(number, make_transform(np.eye(3), np.array([2.0 * number, 0, 0])))
        main = frame.images["camera"]
        turned = replace(main.camera, T_base_camera=pose_from_vector([0.5, 1, 1, 0.0, 0.0, 0.0, 1.0]))
        return replace(frame, images={"front": main, "left": Image(main.pixels[::-1].copy(), turned)})

    frames = [with_more(number) for number in range(3)]
    monkeypatch.setattr("vxp_training.datasets.prepare_frames.open_source", lambda _: Listed(frames))
    prepared = prepare(["nuscenes:somewhere"], tmp_path / "data")
    for row, frame in enumerate(frames):
        found = prepared.frame(row).images
        assert set(found) == {"camera", "left"}
        for name, wanted in zip(("camera", "left"), frame.images.values(), strict=True):
            np.testing.assert_array_equal(found[name].pixels, wanted.pixels)
            np.testing.assert_allclose(found[name].camera.K, wanted.camera.K)
            np.testing.assert_allclose(found[name].camera.T_base_camera, wanted.camera.T_base_camera, atol=1e-9)
    for path in (tmp_path / "data").rglob("*.cameras.json"):
        path.write_text("{")
    with pytest.raises(BadInput, match="cannot be read"):
        prepared.frame(0)


def test_a_bag_without_odometry_is_refused(tmp_path):
    source = write_bag(tmp_path / "drive", [drive_frame(number, None) for number in range(3)])
    with pytest.raises(SourceError, match="none of 3 frames has a pose; a bag needs odometry on /odom"):
        prepare([source], tmp_path / "data")
    assert not (tmp_path / "data").exists()


def write_oxford(root: Path, kind: str = "oxford") -> Path:
    """Two runs of three frames in the authors' form."""
    lines = ["Unnamed: 0,timestamp,date,northing,easting,yaw,submap_path,img_path"]
    random = np.random.default_rng(1)
    for run in ("2014-11-14-16-34-33", "2014-11-18-13-20-12"):
        (root / "submap" / run).mkdir(parents=True)
        (root / "image" / run).mkdir(parents=True)
        for number in range(3):
            cloud, image = f"submap/{run}/{number}.npy", f"image/{run}/{number}.png"
            np.save(root / cloud, random.uniform(-20, 20, (500, 3)))
            cv2.imwrite(str(root / image), random.integers(0, 255, (240, 320, 3)).astype(np.uint8))
            stamp = 1_400_000_000 + number if kind == "vivid" else f"14000000000{number}0000"
            place = "620061.5,5735941.7" if kind == "vivid" else "5735941.7,620061.5"
            lines.append(f"{number},{stamp},{run},{place},0.3,/old/place/{cloud},/old/place/{image}")
    (root / "all_annotation.csv").write_text("\n".join(lines) + "\n")
    return root / "all_annotation.csv"


def test_oxford_rows_in_the_stated_frames(tmp_path):
    prepared = prepare([f"oxford:{write_oxford(tmp_path / 'oxford')}"], tmp_path / "data")
    assert prepared.annotation.drives == ["2014-11-14-16-34-33", "2014-11-18-13-20-12"] and len(prepared) == 6
    frame = prepared.frame(0)
    camera = frame.images["camera"].camera
    cell = np.array([camera.K[0, 0] / camera.width, camera.K[1, 1] / camera.height, camera.K[0, 2] / camera.width,
                     camera.K[1, 2] / camera.height])  # fmt: skip
    assert cell == pytest.approx([0.75377264, 1.00503019, 0.50295939, 0.50459166], abs=1e-8)
    stored = np.load(tmp_path / "oxford" / str(prepared.annotation.cloud[0]))
    ahead_left_up = transform_points(frame.T_base_lidar, frame.points[:, :3])
    np.testing.assert_allclose(ahead_left_up, stored * [1, -1, -1], rtol=1e-6)
    # A point 10 m ahead on the camera's axis lands on the principal point.
    np.testing.assert_allclose(invert(camera.T_base_camera) @ [10, 0, 0, 1], [0, 0, 10, 1], atol=1e-12)
    # 0.3 rad clockwise from the north: mostly north, a little east.
    ahead = frame.T_odom_base[:3, :3] @ [1, 0, 0]
    np.testing.assert_allclose(ahead, [np.sin(0.3), np.cos(0.3), 0], atol=1e-12)
    assert frame.T_odom_base[:2, 3] == pytest.approx([620061.5, 5735941.7])


def test_vivid_rows_in_the_stated_frames(tmp_path):
    prepared = prepare([f"vivid:{write_oxford(tmp_path / 'vivid', 'vivid')}"], tmp_path / "data")
    frame = prepared.frame(0)
    assert prepared.annotation.positions[0] == pytest.approx([5735941.7, 620061.5])  # by their true names
    assert frame.stamp_ns == 1_400_000_000 * 10**9
    T_camera_lidar = invert(frame.images["camera"].camera.T_base_camera) @ frame.T_base_lidar
    np.testing.assert_allclose(T_camera_lidar, VIVID_T_CAMERA_LIDAR, atol=1e-12)
    R = VIVID_T_CAMERA_LIDAR[:3, :3]
    assert np.abs(R @ R.T - np.eye(3)).max() < 1e-6 and np.linalg.det(R) == pytest.approx(1, abs=1e-6)
    # The base looks where the camera looks.
    assert (frame.images["camera"].camera.T_base_camera[:3, :3] @ [0, 0, 1])[0] > 0.99
    assert RIGS["vivid"].camera.K[0, 0] / 1280 == pytest.approx(0.5489086326)


def test_a_kitti_table_of_the_authors_on_the_users_files(town, tmp_path):
    """Positions of the raw OXTS under wrong names, absolute paths, sequence 00 called 0."""
    lines = ["Unnamed: 0,timestamp,date,northing,easting,yaw,submap_path,img_path"]
    lines += [f"{n},0.{n}00000,0,613180.5,411633{n}.5,0.3,/x/sequences/00/velodyne/00000{n}.bin,"
              f"/x/sequences/00/image_2/00000{n}.png" for n in range(3)]  # fmt: skip
    (tmp_path / "all_annotation.csv").write_text("\n".join(lines) + "\n")
    prepared = prepare([f"kitti-table:{tmp_path / 'all_annotation.csv'}"], tmp_path / "data", root=town)
    assert prepared.annotation.drives == ["00"]
    assert prepared.annotation.positions[2].tolist() == [4116332.5, 613180.5]
    frame, same = prepared.frame(2), KittiSource(town, "00").frame(2)
    np.testing.assert_array_equal(frame.points, same.points)
    ours, theirs = frame.images["camera"].camera, same.images["camera"].camera
    np.testing.assert_allclose(ours.K, theirs.K)
    np.testing.assert_allclose(ours.T_base_camera, theirs.T_base_camera)
    assert frame.stamp_ns == 200_000_000
    (trial,) = kitti_v1.trials(prepared.annotation)
    assert len(trial.queries) == 3  # in the first of the boxes


def test_what_is_no_table(tmp_path):
    with pytest.raises(SourceError, match=r"all.csv is missing; oxford: needs the annotation table"):
        prepare([f"oxford:{tmp_path / 'all.csv'}"], tmp_path / "data")


@pytest.mark.parametrize("source", ["kitti:somewhere", "disk:x", "bag:", ""])
def test_a_source_that_is_none(tmp_path, source):
    with pytest.raises(SourceError, match="is not understood; write kitti:ROOT:SEQUENCE"):
        prepare([source], tmp_path / "data")


def test_nothing_is_written_over(town, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine").touch()
    with pytest.raises(SourceError, match="data is there already"):
        prepare([f"kitti:{town}:00"], tmp_path / "data")
    with pytest.raises(SourceError, match="two sources are called town-tiny-sunny"):
        prepare([f"kitti:{town}:00"] * 2, tmp_path / "other")


def test_what_is_no_prepared_folder(town, tmp_path):
    with pytest.raises(SourceError, match="is no prepared folder"):
        PreparedData(tmp_path)
    folder = prepare([f"kitti:{town}:00"], tmp_path / "data").folder
    facts = json.loads((folder / "drives.json").read_text())
    (folder / "drives.json").write_text(json.dumps(facts | {"format": 2}))
    with pytest.raises(SourceError, match="format 2, this program reads 1"):
        PreparedData(folder)
    (folder / "drives.json").write_text(json.dumps(facts | {"drives": {}}))
    with pytest.raises(SourceError, match="says nothing about the drive town-tiny-sunny"):
        PreparedData(folder)
    (folder / "drives.json").write_text(json.dumps(facts))
    np.save(folder / "T_odom_base.npy", np.zeros((1, 4, 4)))
    with pytest.raises(SourceError, match=r"T_odom_base.npy is float64 \(1, 4, 4\)"):
        PreparedData(folder)


def test_a_camera_calibrated_at_another_size_is_scaled(town, tmp_path):
    prepared = prepare([f"kitti:{town}:00"], tmp_path / "data")
    full, half = prepared.camera(0, 64, 36), prepared.camera(0, 32, 18)
    np.testing.assert_allclose(half.K[:2], full.K[:2] / 2)
    assert replace(half, K=full.K, width=64, height=36).T_base_camera is not None
