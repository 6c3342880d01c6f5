"""Thousands of broken messages, none of which may get out as anything but `BadInput`, and as many odd but valid ones,
all of which must be accepted with the right values. A naive converter has to fail the same harness.
"""

import gc
import time
from collections import Counter
from dataclasses import dataclass, field

import cv2
import numpy as np
import psutil
import pytest
import wire_messages as wire
from wire_messages import FLAVOURS

from vxp_ros.core.datatypes import Camera
from vxp_ros.core.errors import BadInput
from vxp_ros.ros.conversions import compressed_to_pixels, to_camera, to_pixels, to_points

MUTATIONS = 1000, 10_000  # of each kind: in every run, and for a release
REASONS = {"bad_image", "bad_encoding", "bad_cloud", "too_few_points", "bad_camera_info"}
SLOWEST_S = 1.0
RSS_GROWTH_MB = 50
NASTY = [0, 1, 2, 3, 7, 255, 256, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
ENCODINGS = ["rgb8", "bgr8", "mono8", "mono16", "16UC1", "bayer_rggb8", "bayer_grbg16", "yuv422", "yuv422_yuy2", "nv12",
             "rgba8", "8UC3", "32FC1", "", "rgb8\0", "x" * 5000, "bayer_rggb32", "64FC4"]  # fmt: skip


@dataclass
class Outcome:
    """accepted and refused count the calls; faults describes what must not happen."""

    accepted: int = 0
    refused: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


def hammer(convert, check, messages) -> Outcome:
    """Convert each message; a fault is an exception other than BadInput, an unknown reason, or a wrong result."""
    outcome = Outcome()
    for message in messages:
        start = time.perf_counter()
        try:
            problem = check(convert(message))
            outcome.accepted += 1
            outcome.faults += [problem] if problem else []
        except BadInput as refusal:
            outcome.refused[refusal.reason] += 1
            outcome.faults += [] if refusal.reason in REASONS and str(refusal) else [f"nameless: {refusal!r}"]
        except Exception as crash:
            outcome.faults.append(f"{type(crash).__name__}: {crash}")
        outcome.slowest_s = max(outcome.slowest_s, time.perf_counter() - start)
    return outcome


# --- what a good result looks like


def pixels_problem(pixels) -> str:
    good = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0
    return "" if good else f"pixels {pixels.dtype} {pixels.shape}"


def points_problem(result) -> str:
    points, rings = result
    good = points.dtype == np.float32 and points.shape[1] == 4 and len(points) >= 1 and np.isfinite(points).all()
    good = good and (rings is None or (rings.dtype == np.uint16 and len(rings) == len(points)))
    return "" if good else f"points {points.dtype} {points.shape}"


def camera_problem(camera) -> str:
    good = camera.width > 0 and camera.height > 0 and np.isfinite(camera.K).all() and camera.K[0, 0] > 0
    return "" if good and np.isfinite(camera.distortion).all() else f"camera {camera}"


# --- mutations


def nasty(rng, value: int) -> int:
    """A 32-bit number that is likely to hurt."""
    choices = [*NASTY, value + 1, max(value - 1, 0), 2 * value, value // 2, int(rng.integers(2**32))]
    return int(choices[rng.integers(len(choices))]) % 2**32


def spoil_bytes(rng, kind, message) -> None:
    data = bytearray(message.data)
    action = rng.integers(4)
    if action == 0 and data:
        for position in rng.integers(len(data), size=rng.integers(1, 20)):
            data[position] = int(rng.integers(256))
    elif action == 1:
        del data[int(rng.integers(len(data) + 1)) :]
    elif action == 2:
        data += bytes(int(rng.integers(1, 5000)))
    elif data:
        start = int(rng.integers(len(data)))
        del data[start : start + int(rng.integers(1, 50))]
    message.data = kind.blob(data)


def mutated_image(rng, kind):
    shape = (int(rng.integers(1, 40)) * 2, int(rng.integers(1, 40)) * 2)
    message = wire.image(kind, rng.integers(0, 256, (*shape, 3), dtype=np.uint8), "rgb8", int(rng.integers(3)))
    for _ in range(rng.integers(1, 4)):
        name = ["width", "height", "step", "encoding", "is_bigendian", "data"][rng.integers(6)]
        if name == "data":
            spoil_bytes(rng, kind, message)
        elif name == "encoding":
            message.encoding = ENCODINGS[rng.integers(len(ENCODINGS))]
        else:
            setattr(message, name, nasty(rng, getattr(message, name)) % (256 if name == "is_bigendian" else 2**32))
    return message


def mutated_cloud(rng, kind):
    height = int(rng.integers(1, 5))
    message = wire.cloud(kind, wire.random_points(rng, height * int(rng.integers(1, 100))), height)
    for _ in range(rng.integers(1, 4)):
        name = ["width", "height", "row_step", "point_step", "is_bigendian", "data", "fields", "fields"][
            rng.integers(8)
        ]
        if name == "data":
            spoil_bytes(rng, kind, message)
        elif name == "fields":
            spoil_fields(rng, kind, message)
        elif name == "is_bigendian":
            message.is_bigendian = not message.is_bigendian
        else:
            setattr(message, name, nasty(rng, getattr(message, name)))
    return message


def spoil_fields(rng, kind, message) -> None:
    fields = list(message.fields)
    action = rng.integers(7)
    if not fields or action == 0:
        fields = [fields[place] for place in rng.permutation(len(fields))[: rng.integers(len(fields) + 1)]]
    else:
        victim = fields[rng.integers(len(fields))]
        if action == 1:
            copy = kind.make("PointField", name=victim.name, offset=victim.offset, datatype=7, count=1)
            fields.append(copy)
        elif action == 2:
            victim.name = ["x", "X", "", "ring", "i", "y\0", "a" * 3000][rng.integers(7)]
        elif action == 3:
            victim.datatype = int(rng.integers(256))
        elif action == 4:
            victim.count = nasty(rng, victim.count)
        elif action == 5:
            victim.offset = nasty(rng, victim.offset)
        else:
            fields.extend(fields * int(rng.integers(1, 200)))
    message.fields = fields


def mutated_file(rng, kind):
    """A JPEG or PNG with bytes flipped, cut, inserted, or a header that promises another size."""
    pixels = rng.integers(0, 256, (int(rng.integers(1, 64)), int(rng.integers(1, 64)), 3), dtype=np.uint8)
    depth = [np.uint8, np.uint16][rng.integers(2)]
    makers = [
        lambda: wire.encode(pixels, ".jpg"),
        lambda: wire.encode(pixels[..., 0], ".jpg"),
        lambda: wire.encode(pixels.astype(depth), ".png"),
        lambda: wire.encode(pixels[..., 1].astype(depth), ".png"),
        lambda: wire.png_bomb(nasty(rng, 50), nasty(rng, 50)),
        lambda: wire.jpeg_bomb(nasty(rng, 50) % 65536, nasty(rng, 50) % 65536),
    ]
    message = wire.compressed(kind, makers[rng.integers(len(makers))](), ["", "jpeg", "16UC1; png"][rng.integers(3)])
    for _ in range(rng.integers(0, 3)):
        spoil_bytes(rng, kind, message)
    return message


def mutated_info(rng, kind):
    doubles = [0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, float("nan"), float("inf"), -float("inf"), 5e-324]
    changes = {}
    for name in rng.permutation(["k", "d", "width", "height", "distortion_model", "binning_x", "binning_y", "roi"])[:3]:
        if name == "k":
            k = [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0]
            k[rng.integers(9)] = doubles[rng.integers(len(doubles))]
            changes["k"] = k
        elif name == "d":
            changes["d"] = [doubles[place] for place in rng.integers(len(doubles), size=rng.integers(0, 20))]
        elif name == "distortion_model":
            models = ["", "plumb_bob", "equidistant", "rational_polynomial", "\0", "é" * 2000]
            changes[name] = models[rng.integers(len(models))]
        elif name == "roi":
            changes[name] = tuple(nasty(rng, 100) for _ in range(4))
        else:
            changes[str(name)] = nasty(rng, 480)
    return wire.camera_info(kind, **changes)


def points_of(message):
    return to_points(message, 300_000, 1)


CASES = {
    "cloud": (points_of, points_problem, mutated_cloud),
    "image": (to_pixels, pixels_problem, mutated_image),
    "compressed": (compressed_to_pixels, pixels_problem, mutated_file),
    "camera_info": (to_camera, camera_problem, mutated_info),
}


@pytest.mark.slow
@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("case", CASES)
def test_mutated_messages_are_used_or_refused(case, flavour, count, record_property, capfd):
    number = count(*MUTATIONS)
    convert, check, make = CASES[case]
    kind, rng = wire.flavour(flavour), np.random.default_rng(20)
    warm_up = hammer(convert, check, (make(rng, kind) for _ in range(50)))
    gc.collect()
    before = psutil.Process().memory_info().rss
    outcome = hammer(convert, check, (make(rng, kind) for _ in range(number)))
    gc.collect()
    growth_mb = (psutil.Process().memory_info().rss - before) / 1e6
    record_property("mutated", number)
    record_property("accepted", outcome.accepted)
    record_property("refused", dict(outcome.refused))
    record_property("slowest_ms", round(1000 * outcome.slowest_s, 1))
    record_property("growth_mb", round(growth_mb, 1))
    record_property("faults", len(outcome.faults))
    assert warm_up.faults + outcome.faults == []
    assert outcome.slowest_s < SLOWEST_S and growth_mb < RSS_GROWTH_MB
    # A harness that refuses everything, or spoils nothing, would prove nothing.
    assert number // 50 < outcome.accepted < number * 0.95


# --- odd but valid messages


def valid_cloud(rng, kind):
    """Any order, number types, padding, extra fields, rows and byte order. Returns (message, expected [N, 4])."""
    order = "<>"[rng.integers(2)]
    number_type = ["f4", "f4", "f8", "i2", "i4"][rng.integers(5)]
    intensity = [("intensity", "f4"), ("intensity", "u1"), ("reflectivity", "u2"), ("i", "f8"), None][rng.integers(5)]
    extras = [("ring", "u2"), ("t", "u4"), ("ambient", "u2"), ("tag", "u1"), ("normal_x", "f8")]
    wanted = [(name, number_type) for name in "xyz"] + ([intensity] if intensity else [])
    wanted += [extras[place] for place in rng.permutation(len(extras))[: rng.integers(len(extras) + 1)]]
    names, formats, offsets, position = [], [], [], 0
    for place in rng.permutation(len(wanted)):
        position += int(rng.integers(0, 5))  # a gap, also one that breaks the alignment
        names.append(wanted[place][0])
        formats.append(order + wanted[place][1])
        offsets.append(position)
        position += np.dtype(formats[-1]).itemsize
    dtype = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": position + rng.integers(9)})
    height = int(rng.integers(1, 6))
    number = height * int(rng.integers(1, 60))
    points = np.frombuffer(rng.bytes(number * dtype.itemsize), dtype).copy()  # rubbish between the fields
    expected = np.zeros((number, 4), np.float32)
    for column, name in enumerate([*"xyz", intensity[0] if intensity else None]):
        if name:
            values = rng.integers(0, 100, number) if dtype[name].kind in "iu" else rng.uniform(0, 100, number)
            points[name] = values
            expected[:, column] = values.astype(dtype[name]).astype(np.float32)
    return wire.cloud(kind, points, height, int(rng.integers(20)), order == ">"), expected


def valid_image(rng, kind):
    """(message, expected [H, W, 3]), expected made by slicing and shifting only."""
    height, width = rng.integers(1, 50, 2)
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    grey = np.repeat(rgb[..., :1], 3, axis=2)
    alpha = rng.integers(0, 256, (height, width, 1), dtype=np.uint8)
    low = rng.integers(0, 256, (height, width), dtype=np.uint16)
    encoding, stored, expected = [
        ("rgb8", rgb, rgb),
        ("bgr8", rgb[..., ::-1], rgb),
        ("8UC3", rgb[..., ::-1], rgb),
        ("rgba8", np.concatenate([rgb, alpha], axis=2), rgb),
        ("bgra8", np.concatenate([rgb[..., ::-1], alpha], axis=2), rgb),
        ("mono8", rgb[..., 0], grey),
        ("8UC1", rgb[..., 0], grey),
        ("mono16", rgb[..., 0].astype(np.uint16) * 256 + low, grey),
        ("rgb16", rgb.astype(np.uint16) * 256 + low[..., None], rgb),
    ][rng.integers(9)]
    return wire.image(kind, stored, encoding, int(rng.integers(20)), bool(rng.integers(2))), expected


VALID = {"cloud": (lambda message: points_of(message)[0], valid_cloud), "image": (to_pixels, valid_image)}


def hammer_valid(convert, make, kind, number: int) -> list[str]:
    """What went wrong: refusals, crashes and wrong values."""
    rng, faults = np.random.default_rng(21), []
    for _ in range(number):
        message, expected = make(rng, kind)
        try:
            if not np.array_equal(convert(message), expected):
                faults.append("wrong values")
        except Exception as problem:
            faults.append(f"{type(problem).__name__}: {problem}")
    return faults


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("case", VALID)
def test_valid_variants_are_accepted_with_equal_values(case, flavour, count, record_property):
    convert, make = VALID[case]
    number = count(*MUTATIONS)
    record_property("valid", number)
    assert hammer_valid(convert, make, wire.flavour(flavour), number) == []


# --- the negative control


def naive_points(message):
    """What one writes in five minutes: trusts the header, expects the usual layout."""
    points = np.frombuffer(message.data, np.float32).reshape(-1, message.point_step // 4)[:, :4]
    return points[np.isfinite(points).all(axis=1)], None


def naive_pixels(message):
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)


def naive_file(message):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGR2RGB)


def naive_camera(message):
    return Camera(message.width, message.height, np.reshape(message.k, (3, 3)), np.array(message.d, np.float64))


NAIVE = {"cloud": naive_points, "image": naive_pixels, "compressed": naive_file, "camera_info": naive_camera}


@pytest.mark.parametrize("case", CASES)
def test_a_naive_converter_fails_the_same_harness(case, count, record_property):
    _, check, make = CASES[case]
    kind, rng, number = wire.PlainMessages(), np.random.default_rng(20), count(300, MUTATIONS[1])
    faults = hammer(NAIVE[case], check, (make(rng, kind) for _ in range(number))).faults
    record_property("mutated", number)
    record_property("faults", len(faults))
    assert len(faults) > number // 10


@pytest.mark.parametrize("case", VALID)
def test_a_naive_converter_refuses_valid_variants(case, count, record_property):
    _, make = VALID[case]
    naive = (lambda message: naive_points(message)[0]) if case == "cloud" else naive_pixels
    number = count(300, 1000)
    faults = hammer_valid(naive, make, wire.PlainMessages(), number)
    record_property("faults", f"{len(faults)} of {number}")
    assert len(faults) > number // 2
