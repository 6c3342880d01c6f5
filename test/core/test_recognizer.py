"""From frame to answer with an encoder so small that its descriptors can be seen."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from vxp_ros.core.calibration import Calibration, PairCalibration
from vxp_ros.core.config import KeyframeSettings, MatchSettings
from vxp_ros.core.datatypes import Camera, Descriptor, Frame, Image, Status
from vxp_ros.core.errors import BadInput
from vxp_ros.core.geometry import make_transform, rotation_z, transform_points
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.core.recognizer import PlaceRecognizer, small_cloud, thumbnail, turned_round

MODEL = "mean-0123456789ab"


class MeanEncoder:
    """Describes a frame by the mean of its points, or of its pixels: one shared space, as the real one has."""

    def __init__(self, *modalities: str, calibration: Calibration | None = None):
        self.modalities, self.model_id, self.device = modalities, MODEL, "cpu"
        self.calibration = calibration or Calibration()
        self.lengths = {}

    def length_of(self, modality: str) -> int:
        return self.lengths.get(modality, 2)

    def describe(self, frame: Frame, modality: str, stage_ms: dict | None = None) -> Descriptor:
        if modality not in self.modalities:
            raise BadInput("no_sensor", f"the model has no {modality} encoder")
        if modality != "lidar" and not frame.images:
            raise BadInput("no_image", "the frame has no image")
        if modality != "camera" and frame.points is None:
            raise BadInput("no_points", "the frame has no points")
        if modality != "camera" and (frame.points[:, 0] < -50).all():
            raise BadInput("no_point_in_view", "all points lie behind the camera")
        if stage_ms is not None:
            stage_ms[f"{modality}_encoder"] = 1.0
        values = frame.points[:, 0] if modality == "lidar" else frame.images["camera"].pixels
        return Descriptor(np.array([values.mean(), 0], np.float32), modality, MODEL)


def frame_at(value: int, images: bool = True, points: bool = True, black: bool = False) -> Frame:
    level, contrast = value + 9, 0 if black else 9  # the mean stays
    pixels = np.empty((40, 60, 3), np.uint8)
    pixels[:20], pixels[20:] = level - contrast, level + contrast
    camera = Camera(60, 40, np.eye(3))
    return Frame(
        stamp_ns=1000 + value,
        images={"camera": Image(pixels, camera)} if images else {},
        points=np.full((50, 4), level, np.float32) if points else None,
        T_base_lidar=np.eye(4) if points else None,
    )


def recognizer_of(encoder: MeanEncoder, mapped: tuple[str, ...] = ("camera", "lidar"), **settings) -> PlaceRecognizer:
    """A recogniser on a map of the values 0, 10... 90, which lie 100 m apart."""
    recognizer = PlaceRecognizer(encoder, PlaceMap(dict.fromkeys(mapped, MODEL)), MatchSettings(**settings))
    maker = PlaceRecognizer(MeanEncoder(*mapped))
    for i in range(10):
        T = np.eye(4)
        T[0, 3] = 100 * i
        recognizer.place_map.add(maker.make_place(frame_at(10 * i), T, KeyframeSettings()))
    return recognizer


@pytest.mark.parametrize("query, modality", [("auto", "lidar"), ("lidar", "lidar"), ("camera", "camera")])
def test_a_frame_is_recognised(query, modality):
    recognizer = recognizer_of(MeanEncoder("camera", "lidar"), query=query)
    answer = recognizer.recognize(frame_at(42))
    assert answer.status == Status.OK
    assert answer.modality == answer.descriptor.modality == modality
    assert [candidate.place_id for candidate in answer.candidates] == [4, 5, 3, 6, 2]
    assert answer.candidates[0].distance == 2
    assert answer.candidates[0].margin == 6
    assert answer.candidates[0].T_map_base[0, 3] == 400
    assert answer.stamp_ns == 1042
    assert set(answer.stage_ms) == {f"{modality}_encoder", "search"}


@pytest.mark.parametrize(
    "mapped, query, against, used",
    [
        (("camera", "lidar"), "camera", "lidar", "camera"),
        (("lidar",), "camera", "auto", "camera"),
        (("camera",), "lidar", "auto", "lidar"),
    ],
)
def test_one_sensor_finds_what_the_other_has_mapped(mapped, query, against, used):
    recognizer = recognizer_of(MeanEncoder("camera", "lidar"), mapped, query=query, against=against)
    answer = recognizer.recognize(frame_at(70))
    assert (answer.status, answer.modality) == (Status.OK, used)
    assert answer.candidates[0].place_id == 7


def test_auto_uses_the_sensor_that_frame_and_model_share():
    both, camera = MeanEncoder("camera", "lidar"), MeanEncoder("camera")
    assert PlaceRecognizer(both).query_modality(frame_at(50)) == "lidar"
    assert PlaceRecognizer(both).query_modality(frame_at(50, points=False)) == "camera"
    assert PlaceRecognizer(camera).query_modality(frame_at(50)) == "camera"
    assert recognizer_of(both, ("camera",)).query_modality(frame_at(50)) == "camera"  # the map knows no other
    assert recognizer_of(both, ("camera",)).query_modality(frame_at(50, images=False)) == "lidar"


def test_fused_descriptors_and_those_of_one_sensor_never_meet():
    encoder, all_three = MeanEncoder("camera", "lidar", "fused"), ("camera", "lidar", "fused")
    assert recognizer_of(encoder, all_three, against="camera").query_modality(frame_at(50)) == "camera"
    assert recognizer_of(encoder, all_three, against="fused").query_modality(frame_at(50)) == "fused"
    for mapped, settings in ((("camera", "lidar"), {"query": "fused"}), (("fused",), {"query": "camera"})):
        answer = recognizer_of(encoder, mapped, **settings).recognize(frame_at(50))
        assert answer.status == Status.NO_MAP and "none by" in answer.message
    answer = recognizer_of(encoder, all_three, query="fused", against="lidar").recognize(frame_at(50))
    assert answer.status == Status.NO_MAP


@pytest.mark.parametrize(
    "missing, used, words",
    [
        ({}, "fused", ""),
        ({"images": False}, "lidar", "no image"),
        ({"black": True}, "lidar", "no image that shows anything"),
        ({"points": False}, "camera", "no point cloud"),
    ],
)
def test_auto_fuses_and_falls_back_to_the_sensor_that_is_left(missing, used, words):
    recognizer = recognizer_of(MeanEncoder("camera", "lidar", "fused"), ("camera", "lidar", "fused"))
    answer = recognizer.recognize(frame_at(70, **missing))
    assert (answer.status, answer.modality, answer.candidates[0].place_id) == (Status.OK, used, 7)
    assert words in answer.message and ("alone" in answer.message) == bool(words)
    only = recognizer_of(MeanEncoder("camera", "lidar", "fused"), ("camera", "lidar"))
    assert "alone" not in only.recognize(frame_at(70, **missing)).message


def test_a_lidar_whose_points_no_camera_sees_is_as_good_as_none():
    modalities = "camera", "lidar", "fused"
    frame = replace(frame_at(70), points=-frame_at(70).points)
    answer = recognizer_of(MeanEncoder(*modalities), modalities).recognize(frame)
    assert (answer.status, answer.modality, answer.candidates[0].place_id) == (Status.OK, "camera", 7)
    assert "by camera alone" in answer.message
    asked = recognizer_of(MeanEncoder(*modalities), modalities, query="fused").recognize(frame)
    assert (asked.status, asked.modality) == (Status.BAD_INPUT, "fused")
    blind = replace(frame_at(70, black=True), points=frame.points)
    assert recognizer_of(MeanEncoder(*modalities), modalities).recognize(blind).status == Status.BAD_INPUT


def test_auto_does_not_ask_descriptors_of_another_length():
    """Of a map of an older model, which map.allow_model_mismatch lets in."""
    modalities = "camera", "lidar", "fused"
    recognizer = recognizer_of(MeanEncoder(*modalities), modalities)
    recognizer.encoder.lengths["fused"] = 4
    answer = recognizer.recognize(frame_at(70))
    assert (answer.status, answer.modality) == (Status.OK, "lidar")


def test_auto_asks_by_what_most_places_have():
    recognizer = recognizer_of(MeanEncoder("camera", "lidar", "fused"), ("camera", "lidar", "fused"))
    maker = PlaceRecognizer(MeanEncoder("camera", "lidar", "fused"))
    for value, asked in ((100, "fused"), (110, "lidar")):  # one dark place of eleven is few, two of twelve are not
        dark = maker.make_place(frame_at(value, black=True), np.eye(4), KeyframeSettings())
        assert list(dark.descriptors) == ["lidar"]
        recognizer.place_map.add(dark)
        answer = recognizer.recognize(frame_at(value))
        assert answer.modality == asked and ("only 10 places" in answer.message) == (asked == "lidar")
    assert answer.candidates[0].place_id == 11
    assert recognizer.place_map.counts == {"camera": 10, "lidar": 12, "fused": 10}
    with pytest.raises(BadInput, match="show nothing"):
        maker.make_place(frame_at(1, points=False, black=True), np.eye(4), KeyframeSettings())


def test_auto_against_one_sensor_asks_by_that_sensor():
    modalities = "camera", "lidar", "fused"
    recognizer = recognizer_of(MeanEncoder(*modalities), modalities, against="lidar")
    no_cloud = PlaceRecognizer(MeanEncoder("camera")).make_place(frame_at(100), np.eye(4), KeyframeSettings())
    recognizer.place_map.add(no_cloud)  # most places have a camera now, but none is searched by it
    answer = recognizer.recognize(frame_at(70))
    assert (answer.modality, answer.candidates[0].place_id) == ("lidar", 7)
    assert "alone" not in answer.message  # nobody asked for a fused one


def test_settings_decide_what_an_answer_is_worth():
    encoder = MeanEncoder("camera", "lidar")
    assert recognizer_of(encoder, max_distance=1.0).recognize(frame_at(42)).status == Status.NO_MATCH
    answer = recognizer_of(encoder, min_margin=8.0).recognize(frame_at(42))
    assert answer.status == Status.AMBIGUOUS
    assert answer.candidates  # shown all the same
    assert "match.min_margin" in answer.message


def test_the_calibration_of_the_pair_that_was_asked_says_how_likely_the_answer_is():
    """Place 4 is 2 away, the next 8: of a camera against LiDAR places that is enough, of a LiDAR it is not."""
    pairs = {("camera", "lidar"): PairCalibration(5.0, 1.0, 1.0), ("lidar", "lidar"): PairCalibration(1.0, 1.0, 1.0)}
    encoder = MeanEncoder("camera", "lidar", calibration=Calibration(pairs))
    sure = recognizer_of(encoder, query="camera", against="lidar").recognize(frame_at(42))
    assert sure.status == Status.OK
    assert sure.candidates[0].probability == pytest.approx(1 / (1 + np.exp(-3)) / (1 + np.exp(-6)))
    assert all(entry.probability < 0.1 for entry in sure.candidates[1:])
    unsure = recognizer_of(encoder, query="lidar").recognize(frame_at(42))
    assert unsure.status == Status.AMBIGUOUS
    assert "match.min_probability 0.7" in unsure.message
    unknown = recognizer_of(encoder, query="camera", against="camera").recognize(frame_at(42))
    assert unknown.status == Status.OK
    assert np.isnan(unknown.candidates[0].probability)


def test_without_a_map_the_answer_says_so():
    encoder = MeanEncoder("camera", "lidar")
    for place_map in (None, PlaceMap({"camera": MODEL})):
        answer = PlaceRecognizer(encoder, place_map).recognize(frame_at(1))
        assert answer.status == Status.NO_MAP
        assert answer.candidates == ()
        assert answer.message


@pytest.mark.parametrize(
    "frame, query, words",
    [
        (frame_at(1, points=False), "lidar", "no points"),
        (frame_at(1, images=False), "camera", "no image"),
        (frame_at(1, images=False, points=False), "auto", "no image"),
    ],
)
def test_bad_input_is_an_answer_and_no_exception(frame, query, words):
    answer = recognizer_of(MeanEncoder("camera", "lidar"), query=query).recognize(frame)
    assert answer.status == Status.BAD_INPUT
    assert words in answer.message
    assert answer.stamp_ns == frame.stamp_ns


def test_a_descriptor_that_is_not_finite_is_bad_input():
    frame = frame_at(1)
    frame.points[:] = np.nan
    answer = recognizer_of(MeanEncoder("camera", "lidar")).recognize(frame)
    assert answer.status == Status.BAD_INPUT
    assert "NaN" in answer.message


def test_a_map_without_the_wanted_descriptors_is_no_map():
    recognizer = recognizer_of(MeanEncoder("camera", "lidar"), ("camera",), query="camera", against="lidar")
    answer = recognizer.recognize(frame_at(1))
    assert answer.status == Status.NO_MAP
    assert answer.message == "the map holds camera descriptors, but none by lidar"


def test_make_place_describes_by_every_shared_sensor():
    T_map_base, T_odom_base = np.eye(4), 2 * np.eye(4)
    frame = replace(frame_at(30), T_odom_base=T_odom_base)
    place = PlaceRecognizer(MeanEncoder("camera", "lidar")).make_place(frame, T_map_base, KeyframeSettings(), drive=3)
    assert {modality: vector.tolist() for modality, vector in place.descriptors.items()} == {
        "camera": [39, 0],
        "lidar": [39, 0],
    }
    assert (place.stamp_ns, place.drive) == (1030, 3)
    assert place.T_map_base is T_map_base
    assert place.T_odom_base is T_odom_base
    assert place.cloud.tolist() == [[39, 39, 39]]  # fifty points in one voxel


@pytest.mark.parametrize(
    "modalities, frame, made",
    [
        (("camera", "lidar"), frame_at(1, points=False), ["camera"]),
        (("camera", "lidar"), frame_at(1, images=False), ["lidar"]),
        (("lidar",), frame_at(1), ["lidar"]),
        (("camera", "lidar", "fused"), frame_at(1), ["camera", "lidar", "fused"]),
        (("camera", "lidar", "fused"), frame_at(1, points=False), ["camera"]),
    ],
)
def test_a_place_has_a_descriptor_of_each_sensor_that_is_there(modalities, frame, made):
    place = PlaceRecognizer(MeanEncoder(*modalities)).make_place(frame, np.eye(4), KeyframeSettings())
    assert list(place.descriptors) == made
    assert (place.cloud is None) == (frame.points is None)
    assert (place.thumbnail == b"") == (not frame.images)


def test_a_frame_that_the_model_cannot_describe_makes_no_place():
    for encoder, frame in [
        (MeanEncoder("camera"), frame_at(1, images=False)),
        (MeanEncoder("fused"), frame_at(1, points=False)),
        (MeanEncoder("camera", "lidar"), frame_at(1, images=False, points=False)),
    ]:
        with pytest.raises(BadInput, match="holds nothing that the model") as caught:
            PlaceRecognizer(encoder).make_place(frame, np.eye(4), KeyframeSettings())
        assert caught.value.reason == "no_sensor"


def test_the_small_cloud_is_in_the_base_frame():
    T_base_lidar = np.eye(4)
    T_base_lidar[2, 3] = 1.5
    cloud = small_cloud(replace(frame_at(2), T_base_lidar=T_base_lidar), voxel=0.3)
    assert cloud.tolist() == [[11, 11, 12.5]]
    assert cloud.dtype == np.float32
    assert small_cloud(frame_at(2), voxel=0) is None
    assert small_cloud(frame_at(2, points=False), voxel=0.3) is None


def test_without_the_lidars_pose_there_is_no_small_cloud():
    """Points in the LiDAR's frame must not pass for points in the base frame."""
    lone = replace(frame_at(2, images=False), T_base_lidar=None)
    assert small_cloud(lone, voxel=0.3) is None
    place = PlaceRecognizer(MeanEncoder("lidar")).make_place(lone, np.eye(4), KeyframeSettings())
    assert place.cloud is None and "lidar" in place.descriptors


@pytest.mark.parametrize(
    ("rows", "columns", "shape"), [(300, 1, (80, 20, 3)), (1, 300, (1, 20, 3)), (70_000, 1, (80, 20, 3))]
)
def test_the_thumbnail_of_an_odd_image_stays_small(rows, columns, shape):
    data = thumbnail(Image(np.zeros((rows, columns, 3), np.uint8)), 20)
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == shape


def test_a_thumbnail_that_cannot_be_made_is_left_out(monkeypatch):
    assert thumbnail(Image(np.zeros((0, 0, 3), np.uint8)), 20) == b""
    assert thumbnail(Image(np.zeros((300, 1, 3), np.uint8)), 4096) != b""
    monkeypatch.setattr(cv2, "imencode", lambda *_: (False, np.zeros(0, np.uint8)))
    assert thumbnail(Image(np.zeros((40, 60, 3), np.uint8)), 20) == b""


def test_the_thumbnail_is_a_small_jpeg_in_the_right_colours():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :, 0] = 200  # red
    decoded = cv2.imdecode(np.frombuffer(thumbnail(Image(pixels), 30), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (20, 30, 3)
    np.testing.assert_allclose(decoded.mean(axis=(0, 1)), [0, 0, 200], atol=8)  # OpenCV reads blue first
    assert thumbnail(None, 30) == b""
    assert thumbnail(Image(pixels), 0) == b""
    assert cv2.imdecode(np.frombuffer(thumbnail(Image(pixels[:1]), 2), np.uint8), cv2.IMREAD_COLOR).shape == (1, 2, 3)


@pytest.mark.parametrize("T_base_lidar", [None, make_transform(rotation_z(0.4), np.array([1.0, 0.2, 1.8]))])
def test_turned_round_what_lay_behind_lies_ahead(T_base_lidar):
    frame = replace(
        frame_at(0), points=np.array([[5, 1, -1, 0.5], [-3, 2, 0, 0.1]], np.float32), T_base_lidar=T_base_lidar
    )
    before, turned = frame.points.copy(), turned_round(frame)
    T = np.eye(4) if T_base_lidar is None else T_base_lidar
    in_base, turned_in_base = (transform_points(T, entry.points[:, :3]) for entry in (frame, turned))
    assert np.allclose(turned_in_base, in_base * [-1, -1, 1], atol=1e-5)
    assert np.array_equal(turned.points[:, 3], before[:, 3]) and np.array_equal(frame.points, before)


def test_the_view_backwards_is_described_by_the_points_where_there_are_any():
    frame = frame_at(0)
    assert np.allclose(PlaceRecognizer(MeanEncoder("lidar")).describe_rear(frame), [-9, 0])
    assert PlaceRecognizer(MeanEncoder("camera")).describe_rear(frame) is None
    assert PlaceRecognizer(MeanEncoder("lidar")).describe_rear(frame_at(0, points=False)) is None
