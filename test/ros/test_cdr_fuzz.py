"""A live localizer under mutated messages: raw bytes, as a broken driver or an attacker on the network sends them."""

import random
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticArray
from live_rig import EXTRINSICS, NodeProcess, camera_info_message, cloud_message, image_message, scene
from live_rig import K as INTRINSICS
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage

from vxp_ros.msg import PlaceCandidates
from vxp_ros.ros.publishers import make_header
from vxp_ros.srv import LoadMap

pytestmark = pytest.mark.ros
MUTANTS = 150, 10_000  # of cloud, image and camera_info each; without a map: nearly all are decoded and converted
MUTANTS_ENCODED = 40, 500  # and these with a map, so that what passes the checks reaches the networks
LONGEST_SILENCE_S = 10.0  # of diagnostics that come each second, on a busy computer: else the node hangs
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


class Attacker:
    """Publishes good and broken moments through a robot, and hears how long the node under attack is silent."""

    def __init__(self, robot, transport: str):
        self.robot, self.is_compressed = robot, transport == "compressed"
        self.rng = random.Random(f"fuzz {transport}")
        self.candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
        self.longest_silence, self._heard = 0.0, time.monotonic()
        robot.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 50)
        if self.is_compressed:
            robot.node.destroy_publisher(robot.images)
            robot.images = robot.node.create_publisher(CompressedImage, "image/compressed", 50)

    def _on_diagnostics(self, _message) -> None:
        now = time.monotonic()
        self.longest_silence, self._heard = max(self.longest_silence, now - self._heard), now

    def moment(self, number: int) -> list[tuple]:
        """(publisher, message) of the camera's calibration, its image and the cloud."""
        stamp_ns, (pixels, points) = self.robot.now_ns(), scene(number)
        image = compressed(pixels, stamp_ns) if self.is_compressed else image_message(pixels, stamp_ns)
        return [
            (self.robot.infos, camera_info_message(128, 96, INTRINSICS, stamp_ns)),
            (self.robot.images, image),
            (self.robot.clouds, cloud_message(points, stamp_ns)),
        ]

    def show(self, number: int) -> None:
        for publisher, message in self.moment(number):
            publisher.publish(message)

    def attack(self, number: int, is_alive) -> int:
        """Broken moments, each as soon as the one before is answered or 50 ms have passed; how many it bore."""
        self._heard = time.monotonic()
        for sent in range(number):
            before = len(self.candidates)
            for publisher, message in self.moment(0):
                publisher.publish(mutate(serialize_message(message), self.rng))
            self.robot.spin_until(lambda before=before: len(self.candidates) > before, 0.05)
            if not is_alive():
                return sent
        return number

    def is_answered(self, number: int) -> bool:
        """A good frame is answered rightly; asked again and again, because what came before may still be in hand."""

        def is_right():
            last = self.candidates[-1] if self.candidates else None
            return last and last.candidates and last.candidates[0].place_id == number

        return self.robot.repeat_until(lambda: self.show(number), is_right, 30, 0.4)


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_mutated_messages_are_counted_and_harm_nothing(ros, robot, model, map_root, transport, count, record_property):
    attacker, mutants = Attacker(robot, transport), count(*MUTANTS)
    arguments = ["-p", f"model.weights:={model}", "-p", f"map.root:={map_root}", *EXTRINSICS]
    arguments += ["-p", f"input.image_transport:={transport}", "-p", "input.max_rate:=0", "-p", "input.max_age:=60"]
    process = NodeProcess("localizer", *arguments, "-p", "qos.sensor_depth:=100")
    try:
        robot.meet(120)
        attacker.show(1)
        assert attacker.attack(mutants, process.is_alive) == mutants, process.output()[-3000:]
        loaded = robot.call(LoadMap, "/vxp_localizer/load_map", LoadMap.Request(name="town"))
        assert loaded.success, loaded.message
        encoded = count(*MUTANTS_ENCODED)
        assert attacker.attack(encoded, process.is_alive) == encoded, process.output()[-3000:]
        assert attacker.is_answered(2), process.output()[-3000:]
        robot.diagnostics.clear()
        assert robot.spin_until(lambda: robot.values("sync").get("frames_in_flight") == "0", 30)
        accounts = [robot.values(name) for name in ("camera", "lidar", "sync")]
        record_property("mutants of each message", mutants + encoded)
        record_property("longest silence s", round(attacker.longest_silence, 2))
        record_property("counted", [counts(values) for values in accounts])
        assert_counted(accounts, mutants)
        assert attacker.longest_silence < LONGEST_SILENCE_S
        assert "Traceback" not in process.output(), process.output()
        assert process.stop() == 0
    finally:
        process.stop()


def counts(values: dict[str, str]) -> dict[str, int]:
    names = ("received", "processed", "dropped", "in_flight", "frames_", "camera_info_dropped")
    return {key: int(value) for key, value in values.items() if key.startswith(names)}


def assert_counted(accounts: list[dict[str, str]], mutants: int) -> None:
    """Everything that came is accounted for by reason, and no reason is a defect of ours."""
    camera, lidar, sync = accounts
    assert int(camera["received"]) > mutants
    assert int(lidar["received"]) > mutants
    assert int(camera["camera_info_dropped"]) > mutants // 10
    assert identity_holds(camera) and identity_holds(lidar) and identity_holds(sync, "frames_"), accounts
    assert int(sync.get("frames_dropped_superseded", 0)) < int(sync["frames_received"]) / 2  # the others were looked at
    reasons = {key for values in accounts for key in values if "dropped_bad_" in key}
    assert {"frames_dropped_bad_message", "frames_dropped_bad_cloud"} <= reasons, reasons
    assert not any("internal_error" in key for values in accounts for key in values)


NAIVE_NODE = """
import numpy as np, rclpy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

rclpy.init()
node, read = rclpy.create_node("naive"), np.frombuffer
node.create_subscription(Image, "image", lambda m: read(m.data, "u1").reshape(m.height, m.width, 3), 50)
node.create_subscription(PointCloud2, "points", lambda m: read(m.data, "f4").reshape(-1, m.point_step // 4), 50)
node.create_subscription(CameraInfo, "camera_info", lambda m: np.linalg.inv(np.reshape(m.k, (3, 3))), 50)
rclpy.spin(node)
"""


@pytest.mark.slow
def test_a_naive_node_dies_of_the_same_attack(ros, robot, count, record_property):
    attacker, trials, deaths = Attacker(robot, "raw"), count(1, 20), []
    for _ in range(trials):
        process = subprocess.Popen([sys.executable, "-c", NAIVE_NODE], stderr=subprocess.DEVNULL)
        try:
            assert robot.spin_until(lambda: robot.clouds.get_subscription_count() == 1, 30)
            deaths.append(attacker.attack(200, lambda process=process: process.poll() is None))
        finally:
            process.kill()
            process.wait()
        assert robot.spin_until(lambda: robot.clouds.get_subscription_count() == 0, 30)
    record_property("bore", deaths)
    assert max(deaths) < 200
