"""`vxp doctor --overlay`: points drawn where they are seen, and sentences for recordings that cannot be drawn."""

from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scenes import scene, write

from vxp_ros.cli.doctor import check_overlay
from vxp_ros.cli.main import run
from vxp_ros.cli.overlay import draw_overlay, shades_of
from vxp_ros.core.datatypes import Frame, Image
from vxp_ros.core.errors import SourceError
from vxp_ros.core.geometry import make_transform, rotation_z


class Recording:
    """A source of given frames."""

    name, description, problems = "made", "a made-up recording", Counter()

    def __init__(self, *frames: Frame):
        self.frames = frames

    def __iter__(self):
        return iter(self.frames)


def grey_scene(*points) -> Frame:
    """One camera of 128 x 96 pixels, f = 100, at the LiDAR's place, that looks ahead at a grey world."""
    frame = scene(0)
    image = Image(np.full((96, 128, 3), 128, np.uint8), frame.images["camera"].camera)
    cloud = np.array([[*point, 1.0] for point in points], np.float32).reshape(-1, 4)
    return replace(frame, images={"camera": image}, points=cloud)


def test_points_are_drawn_where_they_are_seen_and_near_ones_win():
    frame = grey_scene([10, 2, -1], [4, 0.8, -0.4], [10, -3, 0], [-5, 0, 0])
    overlay = draw_overlay(Recording(frame))
    assert overlay.seen == {"camera": 3} and overlay.picture.shape == (540, 720, 3)
    scale = 540 / 96
    near, far = overlay.picture[int(58 * scale), int(44 * scale)], overlay.picture[int(48 * scale), int(94 * scale)]
    assert near.tolist() == shades_of(np.array([4.0]))[0].tolist()
    assert far.tolist() == shades_of(np.array([10.0]))[0].tolist()
    drawn = (overlay.picture[60:] != 128).any(axis=2).sum()
    assert drawn == 2 * 9


def test_near_is_red_and_far_is_blue():
    red, blue = shades_of(np.array([2.5, 50.0])).astype(int)
    assert red[0] > 2 * red[2] and blue[2] > 2 * blue[0]
    assert shades_of(np.zeros(0)).shape == (0, 3)


def test_cameras_stand_side_by_side_and_a_blind_one_is_told(monkeypatch, tmp_path):
    frame = grey_scene([10, 0, 0])
    camera = frame.images["camera"].camera
    T_behind = make_transform(rotation_z(np.pi), np.zeros(3)) @ camera.T_base_camera
    images = frame.images | {"behind": Image(np.zeros((48, 64, 3), np.uint8), replace(camera, T_base_camera=T_behind))}
    recording = Recording(replace(frame, images=images))
    assert draw_overlay(recording).picture.shape == (540, 1440, 3)
    monkeypatch.setattr("vxp_ros.cli.doctor.open_with_topics", lambda *_: recording)
    findings = list(check_overlay("bag:x", tmp_path / "o.png", None, None, None))
    assert [finding.level for finding in findings] == ["OK", "WARN"]
    assert "1 in camera, 0 in behind" in findings[0].text and "image of behind" in findings[1].text


def without(frame: Frame, part: str) -> Frame:
    bare = {name: replace(image, camera=None) for name, image in frame.images.items()}
    unplaced = {
        name: replace(image, camera=replace(image.camera, T_base_camera=None)) for name, image in frame.images.items()
    }
    changes = {
        "points": {"points": None}, "images": {"images": {}}, "camera_info": {"images": bare},
        "place": {"images": unplaced}, "lidar's place": {"T_base_lidar": None},
    }  # fmt: skip
    return replace(frame, **changes[part])


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("points", "no LiDAR points"), ("images", "has no camera"), ("camera_info", "no camera is calibrated"),
        ("place", "no camera is calibrated"), ("lidar's place", "where the LiDAR sits"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(part, words):
    frame = grey_scene([10, 0, 0])
    with pytest.raises(SourceError, match=words):
        draw_overlay(Recording(without(frame, part)))
    assert draw_overlay(Recording(without(frame, part), frame)).seen == {"camera": 1}  # the first that has all


def test_an_empty_recording():
    with pytest.raises(SourceError, match="a made-up recording gives no frame"):
        draw_overlay(Recording())


def test_the_command_draws_a_bag(source, tmp_path, capsys):
    out = tmp_path / "overlay.png"
    run(["doctor", "--overlay", source, "--out", str(out)])
    assert f"OK    overlay: {out}: LiDAR points " in capsys.readouterr().out
    picture = cv2.imread(str(out))
    assert picture.shape == (540, 720, 3)
    assert np.array_equal(picture[:, :, ::-1], draw_overlay(Recording(scene(0))).picture)


@pytest.mark.parametrize(
    ("changes", "topics", "out", "words"),
    [
        ({"images": {}}, ("", None), "o.png", "has no camera"),
        ({"points": None}, (None, ""), "o.png", "no LiDAR points"),
        ({}, (None, None), "overlay.docx", "let it end in .png"),
        ({}, (None, None), "no/such/folder/o.png", "cannot write"),
        ({}, ("/nowhere", None), "o.png", "/nowhere"),
    ],
)
def test_what_is_wrong_with_a_bag_or_the_picture_is_one_failure(changes, topics, out, words, tmp_path):
    text = write(tmp_path / "bag", [replace(scene(number), **changes) for number in range(2)])
    (finding,) = check_overlay(text, tmp_path / out, *topics, None)
    assert finding.level == "FAIL" and words in finding.text and finding.fix
    assert not (tmp_path / out).exists()


def test_a_source_that_is_not_there_fails_the_command(capsys, tmp_path):
    assert run(["doctor", "--overlay", f"bag:{tmp_path}/none"]) == 1
    assert "FAIL  overlay" in capsys.readouterr().out
