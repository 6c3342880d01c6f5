"""Messages from answers and places: every field with the checks of generated setters on, and the way back."""

import math
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from rclpy.serialization import deserialize_message, serialize_message

from vxp_ros.core.config import FrameSettings, OutputSettings
from vxp_ros.core.datatypes import Candidate, Descriptor, Place, Recognition, Status
from vxp_ros.core.geometry import make_transform, quaternion_to_matrix
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.msg import LocalizationStatus, PlaceCandidate
from vxp_ros.ros import publishers
from vxp_ros.ros.conversions import stamp_to_ns, to_matrix

pytestmark = pytest.mark.ros
FRAMES, OUTPUT = FrameSettings(), OutputSettings()
T = make_transform(quaternion_to_matrix([0.1, -0.2, 0.3, math.sqrt(0.86)]), [1.5, -2.5, 0.25])


def candidate(**changes) -> Candidate:
    """Numbers of numpy's own types, as the search gives them."""
    values = {
        "place_id": np.int64(7),
        "stamp_ns": 1_700_000_000_123_456_789,
        "distance": np.float32(0.5),
        "score": np.float32(0.6),
        "margin": float("inf"),
        "T_map_base": T,
    }
    return Candidate(**{**values, **changes})


def answer(*candidates, status=Status.OK) -> Recognition:
    descriptor = Descriptor(np.arange(4, dtype=np.float32), "lidar", "lite-123")
    stages = {"points": np.float64(1.5), "search": 0.5}
    return Recognition(5_000_000_001, "lidar", status, "why", tuple(candidates), descriptor, stages)


def over_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


def test_candidates():
    message = over_the_wire(
        publishers.candidates_message(answer(candidate(), candidate(place_id=3)), "town.v1-0", FRAMES, OUTPUT)
    )
    assert stamp_to_ns(message.header.stamp) == 5_000_000_001
    assert (message.header.frame_id, message.reference_frame, message.metric) == ("map", "base_link", "l2")
    assert (message.modality, message.status, message.message) == (message.MODALITY_LIDAR, message.STATUS_OK, "why")
    assert (message.processing_time.sec, message.processing_time.nanosec) == (0, 2_000_000)
    best = message.candidates[0]
    assert [entry.place_id for entry in message.candidates] == [7, 3]
    assert (best.map_id, best.pose_type, best.verified) == ("town.v1-0", PlaceCandidate.POSE_OF_PLACE, False)
    assert stamp_to_ns(best.header.stamp) == 1_700_000_000_123_456_789
    assert (best.distance, best.score) == (0.5, pytest.approx(0.6))
    assert math.isinf(best.margin)
    assert math.isnan(best.rmse)
    assert np.allclose(to_matrix(best.pose.pose), T)


def test_the_covariance_is_never_zero():
    covariance = np.array(publishers.place_covariance(OutputSettings(position_sigma=2.0))).reshape(6, 6)
    assert np.allclose(np.diag(covariance)[:3], 4.0)
    assert (np.diag(covariance) > 0).all()
    assert np.count_nonzero(covariance) == 6


def test_a_registered_pose_brings_its_own_covariance():
    covariance = np.diag([0.01, 0.02, 0.03, 1e-4, 2e-4, 3e-4])
    covariance[0, 1] = covariance[1, 0] = 0.005
    found = candidate(covariance=covariance, is_registered=True, is_verified=True, inlier_ratio=np.float64(0.9))
    message = over_the_wire(publishers.candidates_message(answer(found), "town.v1-0", FRAMES, OUTPUT)).candidates[0]
    pose = over_the_wire(publishers.pose_message(answer(found), FRAMES, OUTPUT))
    assert (message.pose_type, message.verified) == (PlaceCandidate.POSE_REGISTERED, True)
    assert message.inlier_ratio == pytest.approx(0.9)
    assert np.array_equal(np.reshape(message.pose.covariance, (6, 6)), covariance)
    assert np.array_equal(pose.pose.covariance, message.pose.covariance)


def test_a_transform():
    message = over_the_wire(publishers.transform_message(T, 3_000_000_000, "map", "odom"))
    assert (message.header.frame_id, message.child_frame_id, message.header.stamp.sec) == ("map", "odom", 3)
    assert np.allclose(to_matrix(message.transform), T)


def test_an_empty_answer_is_a_whole_message():
    refused = Recognition(1, "camera", Status.BAD_INPUT, "too dark")
    message = over_the_wire(publishers.candidates_message(refused, "", FRAMES, OUTPUT))
    assert (message.status, message.candidates, message.message) == (message.STATUS_BAD_INPUT, [], "too dark")
    assert over_the_wire(publishers.candidate_poses_message(refused, FRAMES)).poses == []
    (clear,) = over_the_wire(publishers.markers_message(refused, FRAMES)).markers
    assert clear.action == clear.DELETEALL


def test_pose_poses_and_markers():
    found = answer(candidate(), candidate(place_id=1))
    pose = over_the_wire(publishers.pose_message(found, FRAMES, OUTPUT))
    assert stamp_to_ns(pose.header.stamp) == 5_000_000_001
    assert np.allclose(to_matrix(pose.pose.pose), T)
    assert len(over_the_wire(publishers.candidate_poses_message(found, FRAMES)).poses) == 2
    markers = over_the_wire(publishers.markers_message(found, FRAMES)).markers
    assert [marker.id for marker in markers[1:]] == [0, 1]
    assert markers[1].scale.x > markers[2].scale.x


def test_descriptor_and_keyframe():
    message = over_the_wire(publishers.descriptor_message(answer().descriptor, 9_000_000_000, "base_link"))
    assert list(message.descriptor) == [0, 1, 2, 3]
    assert (message.model_id, message.header.stamp.sec) == ("lite-123", 9)
    vectors = {"camera": np.ones(3, np.float64), "lidar": np.zeros(3, np.float32)}
    place = Place(9_000_000_000, T, vectors)
    keyframe = over_the_wire(publishers.keyframe_message(np.int64(4), place, "lite-123", FRAMES))
    assert (keyframe.id, keyframe.reference_frame, keyframe.header.frame_id) == (4, "base_link", "map")
    assert {entry.modality: list(entry.descriptor) for entry in keyframe.descriptors} == {1: [1, 1, 1], 2: [0, 0, 0]}
    assert np.allclose(to_matrix(keyframe.pose), T)


def test_status_and_map_path():
    state = LocalizationStatus.LOCALIZED
    message = over_the_wire(publishers.status_message(state, "found", 3, answer(candidate()), 2_000_000_000, FRAMES))
    assert (message.state, message.map_places, message.last_score) == (state, 3, pytest.approx(0.6))
    assert message.last_accept.sec == 5
    never = over_the_wire(publishers.status_message(LocalizationStatus.SEARCHING, "", 0, None, 1, FRAMES))
    assert (never.last_score, never.last_accept.sec) == (0.0, 0)
    place_map = PlaceMap({"lidar": "lite-123"})
    for x in (0.0, 5.0):
        place_map.add(Place(1, make_transform(np.eye(3), [x, 0, 0]), {"lidar": np.array([x, 1], np.float32)}))
    path = over_the_wire(publishers.map_path_message(place_map, 1, FRAMES))
    assert [pose.pose.position.x for pose in path.poses] == [0, 5]


@pytest.mark.parametrize("stamp_ns", [1, 999_999_999, 1_000_000_000, 2**31 * 10**9 - 1])
def test_stamps_survive(stamp_ns):
    assert stamp_to_ns(publishers.ns_to_stamp(stamp_ns)) == stamp_ns


def test_long_durations_survive():
    duration = publishers.to_duration(90_061_500.25)
    assert (duration.sec, duration.nanosec) == (90_061, pytest.approx(500_250_000, abs=10))


def test_the_check_of_field_types_is_on():
    """These tests prove the casts only while the generated setters check; that they do is checked here."""
    code = "from geometry_msgs.msg import Point\ntry:\n Point(x=1)\nexcept AssertionError:\n print('checked')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "checked\n"
