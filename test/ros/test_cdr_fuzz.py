"""A live localizer under mutated messages: raw bytes, as a broken driver or an attacker on the network sends them."""

import random

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from live_rig import EXTRINSICS, NodeProcess, camera_info_message, cloud_message, image_message, scene
from live_rig import K as INTRINSICS
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage

from vxp_ros.msg import PlaceCandidates
from vxp_ros.ros.publishers import make_header
from vxp_ros.srv import LoadMap

pytestmark = pytest.mark.ros
MUTANTS = 1000  # of the cloud and of the image each; without a map, so that nearly all are decoded and converted
MUTANTS_ENCODED = 60  # and these with a map, so that what passes the checks reaches the networks
HEADER = 60  # bytes at the start that hold the header and the lengths: most faults are made there


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, cut or extend; the stamp is mostly left alone, so that the rest is looked at as well."""
    mutant = bytearray(data)
    kind = rng.randrange(5)
    if kind == 0:
        return bytes(mutant[: rng.randrange(len(mutant))])
    if kind == 1:
        return bytes(mutant + rng.randbytes(rng.randrange(1, 64)))
    low = 12 if rng.random() < 0.9 else 0
    for _ in range(rng.choice((1, 2, 8))):
        where = rng.randrange(low, HEADER * 5) if rng.random() < 0.8 else rng.randrange(low, len(mutant))
        where = min(where, len(mutant) - 4)
        if kind == 2:
            mutant[where] ^= 1 << rng.randrange(8)
        elif kind == 3:
            mutant[where] = rng.randrange(256)
        else:
            mutant[where : where + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80"))
    return bytes(mutant)


def compressed(pixels: np.ndarray, stamp_ns: int) -> CompressedImage:
    import cv2

    data = cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes()
    message = CompressedImage(header=make_header(stamp_ns, "camera"), format="png")
    message.data.frombytes(data)
    return message


def identity_holds(values: dict[str, str], prefix: str = "") -> bool:
    dropped = sum(int(value) for key, value in values.items() if key.startswith(f"{prefix}dropped_"))
    received, processed, in_flight = (int(values[prefix + key]) for key in ("received", "processed", "in_flight"))
    return received == processed + dropped + in_flight


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_mutated_messages_are_counted_and_harm_nothing(ros, robot, model, map_root, transport):
    rng = random.Random(f"fuzz {transport}")
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    if transport == "compressed":
        robot.node.destroy_publisher(robot.images)
        robot.images = robot.node.create_publisher(CompressedImage, "image/compressed", 50)
    arguments = ["-p", f"model.weights:={model}", "-p", f"map.root:={map_root}", *EXTRINSICS]
    arguments += ["-p", f"input.image_transport:={transport}", "-p", "input.max_rate:=0", "-p", "input.max_age:=60"]
    process = NodeProcess("localizer", *arguments, "-p", "qos.sensor_depth:=100")

    def image(number, stamp_ns):
        pixels = scene(number)[0]
        return image_message(pixels, stamp_ns) if transport == "raw" else compressed(pixels, stamp_ns)

    def show(number):
        stamp_ns = robot.now_ns()
        robot.infos.publish(camera_info_message(128, 96, INTRINSICS, stamp_ns))
        robot.images.publish(image(number, stamp_ns))
        robot.clouds.publish(cloud_message(scene(number)[1], stamp_ns))

    def answers_with(number):
        """A good frame is answered rightly; asked again and again, because what came before may still be in hand."""

        def is_right():
            return candidates and candidates[-1].candidates and candidates[-1].candidates[0].place_id == number

        return robot.repeat_until(lambda: show(number), is_right, 30, 0.4)

    def attack(number):
        for _ in range(number):
            before, stamp_ns = len(candidates), robot.now_ns()
            robot.images.publish(mutate(serialize_message(image(0, stamp_ns)), rng))
            robot.clouds.publish(mutate(serialize_message(cloud_message(scene(0)[1], stamp_ns)), rng))
            robot.spin_until(lambda before=before: len(candidates) > before, 0.05)
            assert process.is_alive(), process.output()[-3000:]

    try:
        robot.meet(30)
        show(1)
        attack(MUTANTS)
        loaded = robot.call(LoadMap, "/vxp_localizer/load_map", LoadMap.Request(name="town"))
        assert loaded.success, loaded.message
        attack(MUTANTS_ENCODED)
        assert answers_with(2), process.output()[-3000:]
        robot.diagnostics.clear()
        assert robot.spin_until(lambda: robot.values("sync").get("frames_in_flight") == "0")
        camera, lidar, sync = robot.values("camera"), robot.values("lidar"), robot.values("sync")
        assert int(camera["received"]) > MUTANTS
        assert int(lidar["received"]) > MUTANTS
        assert identity_holds(camera) and identity_holds(lidar) and identity_holds(sync, "frames_"), (
            camera,
            lidar,
            sync,
        )
        assert int(sync.get("frames_dropped_superseded", 0)) < MUTANTS / 10  # the others were really looked at
        reasons = {key for values in (camera, lidar, sync) for key in values if "dropped_bad_" in key}
        assert {"frames_dropped_bad_message", "frames_dropped_bad_cloud"} <= reasons, reasons
        assert not any("internal_error" in key for values in (camera, lidar, sync) for key in values)
        assert "Traceback" not in process.output(), process.output()
        assert process.stop() == 0
    finally:
        process.stop()
