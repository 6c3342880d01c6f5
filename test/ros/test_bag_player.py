"""The player against real subscribers in other processes, through real Fast DDS."""

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from rclpy.qos import DurabilityPolicy, HistoryPolicy, ReliabilityPolicy
from rosbags.rosbag2 import StoragePlugin, Writer

from vxp_ros.core.datatypes import Camera, Frame, Image
from vxp_ros.ros.bag_player import find_message_type, stamp_in, to_profile
from vxp_ros.sources.bag_writer import BagWriter, write_kitti_bag
from vxp_ros.sources.messages import pose_stamped, typestore
from vxp_ros.sources.raw_bag import Qos, RawBag, Topic

pytestmark = pytest.mark.ros

ROOT = Path(__file__).parents[2]
START = 1_700_000_000 * 10**9
MS = 1_000_000
NUMBER = 10
SENSORS = {"/camera/image_raw": "Image", "/points": "PointCloud2"}
# Other tests of this computer may listen to /points in the same domain.
UNHEARD = ["--ros-args", "-r", "/points:=/heard_by_nobody"]
OTHERS = {"/camera/camera_info": "CameraInfo", "/odom": "Odometry", "/ground_truth": "PoseStamped"}


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    return write_bag(tmp_path_factory.mktemp("player") / "bag", "mcap")


def write_bag(out: Path, storage: str) -> Path:
    """Ten frames in 0.9 s: VGA images and 30,000 points."""
    rng = np.random.default_rng(0)
    camera = Camera(640, 480, np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]))
    pixels = rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)
    with BagWriter(out, storage=storage) as writer:
        for row in range(NUMBER):
            points = rng.uniform(-50, 50, (30_000, 4)).astype(np.float32)
            images = {"camera": Image(pixels, camera)}
            writer.write_frame(Frame(START + row * 100 * MS, images, points, T_odom_base=np.eye(4)))
    return out


@pytest.fixture
def environment() -> dict[str, str]:
    """Large messages need our profile in every process; a domain of its own keeps tests apart."""
    return {
        **os.environ,
        "ROS_DOMAIN_ID": str(random.randint(0, 101)),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_PYTHON_CHECK_FIELDS": "1",
        "FASTDDS_DEFAULT_PROFILES_FILE": str(ROOT / "config/fastdds_large_data.xml"),
    }


class Listener:
    """Collects what another process hears, until it is asked, or has heard `count` messages of each topic."""

    def __init__(self, environment, topics: dict[str, str], count: int = 0):
        arguments = [str(count), *(f"{topic}:{kind}" for topic, kind in topics.items())]
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "test/ros/bag_listener.py"), *arguments],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout.readline() == "ready\n"

    def heard(self) -> dict[str, list]:
        output, _ = self.process.communicate(timeout=60)
        return json.loads(output)

    def wait(self) -> None:
        """Until it has heard what it waits for."""
        self.process.wait(60)


@contextmanager
def listening(environment, topics, count=0):
    listener = Listener(environment, topics, count)
    try:
        yield listener
    finally:
        listener.process.kill()
        listener.process.wait()


def start_player(environment, *arguments) -> subprocess.Popen:
    # A shell may have given us a disabled Ctrl-C, which children inherit; the player sets its own handler anyway.
    command = [sys.executable, "-m", "vxp_ros.ros.bag_player", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def play(environment, *arguments, timeout: float = 90) -> tuple[int, str]:
    player = start_player(environment, *arguments)
    try:
        _, errors = player.communicate(timeout=timeout)
    finally:
        player.kill()
    return player.returncode, errors


def interrupt(player: subprocess.Popen, number: int = signal.SIGINT) -> tuple[float, int, str]:
    """Seconds until the player has ended after the signal, its exit code and its messages."""
    start = time.monotonic()
    player.send_signal(number)
    _, errors = player.communicate(timeout=30)
    return time.monotonic() - start, player.returncode, errors


def wait_for(condition, timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def handles(process: subprocess.Popen, number: int) -> bool:
    """Has the process a handler of its own for the signal?"""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def stamps(entries: list) -> list[int]:
    return [stamp for _, stamp in entries]


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_everything_arrives_in_order_and_in_time(storage, environment, tmp_path):
    bag, log = write_bag(tmp_path / "bag", storage), tmp_path / "log.csv"
    expected = [START + row * 100 * MS for row in range(NUMBER)]
    with listening(environment, {**SENSORS, **OTHERS}) as listener:
        code, errors = play(environment, bag, "--wait-for-subscribers", "--log", log)
        heard = listener.heard()
    assert code == 0, errors
    assert {topic: stamps(entries) for topic, entries in heard.items()} == dict.fromkeys(heard, expected)
    arrivals = [moment for moment, _ in heard["/points"]]
    assert 0.8 < (arrivals[-1] - arrivals[0]) / 1e9 < 1.5
    rows = [line.split(",") for line in log.read_text().splitlines()]
    assert [(topic, int(stamp)) for _, topic, stamp in rows] == [
        (topic, stamp) for stamp in expected for topic in SENSORS
    ]
    sent = [int(moment) for moment, topic, _ in rows if topic == "/points"]
    latencies = np.subtract(arrivals, sent) / 1e6
    assert (latencies > 0).all() and np.median(latencies) < 400


@pytest.mark.slow
def test_rate_topics_and_remapping(bag, environment):
    with listening(environment, {"/velodyne_points": "PointCloud2", "/camera/image_raw": "Image"}) as listener:
        code, errors = play(environment, bag, "--rate", 0.5, "--topics", "/points", "--wait-for-subscribers",
                            "--ros-args", "-r", "/points:=/velodyne_points")  # fmt: skip
        heard = listener.heard()
    assert code == 0, errors
    arrivals = [moment for moment, _ in heard["/velodyne_points"]]
    assert len(arrivals) == NUMBER and not heard["/camera/image_raw"]
    assert 1.7 < (arrivals[-1] - arrivals[0]) / 1e9 < 2.6


@pytest.mark.slow
def test_loops_are_equal_and_the_clock_jumps_back(bag, environment, tmp_path):
    """Also: Ctrl-C ends a loop within two seconds, with exit code 0."""
    log = tmp_path / "log.csv"
    with listening(environment, {**SENSORS, "/clock": "Clock"}) as listener:
        arguments = (bag, "--loop", "--clock", 100, "--rate", 2, "--wait-for-subscribers", "--log", log)
        player = start_player(environment, *arguments)
        wait_for(lambda: log.exists() and len(log.read_text().splitlines()) > 5.5 * len(SENSORS) * NUMBER)
        seconds, code, errors = interrupt(player)
        heard = listener.heard()
    assert (code, seconds < 10) == (0, True), (seconds, errors)
    for topic in SENSORS:
        found = stamps(heard[topic])
        loops = np.split(found, np.flatnonzero(np.diff(found) < 0) + 1)
        assert len(loops) >= 4
        assert [len(loop) for loop in loops[:-1]] == [NUMBER] * (len(loops) - 1)
    ticks = heard["/clock"]
    jumps = np.diff(stamps(ticks))
    assert (jumps < -500 * MS).sum() >= 3
    forward = jumps[jumps > 0]
    assert 18 * MS < np.median(forward) < 50 * MS  # 100 Hz at twice the speed; a busy computer misses some ticks
    gaps = np.diff([moment for moment, _ in ticks])[jumps > 0]
    assert forward.sum() / gaps.sum() == pytest.approx(2, rel=0.1)


@pytest.mark.slow
def test_the_clock_ticks_while_there_is_nothing_to_play(tmp_path, environment):
    with BagWriter(tmp_path / "bag") as writer:
        for second in (0, 2):
            writer.write_frame(Frame(START + second * 1000 * MS, points=np.zeros((10, 4), np.float32)))
    with listening(environment, {"/points": "PointCloud2", "/clock": "Clock"}) as listener:
        code, errors = play(environment, tmp_path / "bag", "--clock", 50, "--wait-for-subscribers")
        heard = listener.heard()
    assert code == 0, errors
    assert len(heard["/points"]) == 2 and 50 <= len(heard["/clock"]) <= 110
    assert (np.diff(stamps(heard["/clock"])) > 0).all()


@pytest.mark.slow
def test_latched_messages_reach_those_who_come_late(tmp_path, environment):
    with BagWriter(tmp_path / "bag") as writer:
        for row in range(3):
            writer.write("/tf_static", pose_stamped(START + row, "map", np.eye(4)), START + row)
        writer.write_frame(Frame(START + MS, points=np.zeros((10, 4), np.float32)))
        writer.write("/end", pose_stamped(START, "map", np.eye(4)), START + 100_000 * MS)
    log = tmp_path / "log.csv"
    player = start_player(environment, tmp_path / "bag", "--log", log)
    wait_for(lambda: log.exists() and log.read_text())  # the cloud comes after them
    with listening(environment, {"/tf_static": "PoseStamped"}, count=3) as listener:
        listener.wait()
        assert stamps(listener.heard()["/tf_static"]) == [START, START + 1, START + 2]
    assert interrupt(player)[1] == 0


@pytest.mark.slow
def test_types_that_are_not_installed_are_left_out_with_one_warning(tmp_path, environment):
    with Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.add_connection("no topic", "geometry_msgs/msg/PoseStamped", typestore=typestore())
        strange = writer.add_connection("/strange", "alien_msgs/msg/Saucer", msgdef="int32 x", rihs01="RIHS01_00")
        known = writer.add_connection("/pose", "geometry_msgs/msg/PoseStamped", typestore=typestore())
        pose = typestore().serialize_cdr(pose_stamped(START, "map", np.eye(4)), "geometry_msgs/msg/PoseStamped")
        for row in range(5):
            writer.write(strange, START + row * MS, b"\0\1\0\0\1\0\0\0")
            writer.write(known, START + row * MS, pose)
    with listening(environment, {"/pose": "PoseStamped"}) as listener:
        code, errors = play(environment, tmp_path / "bag", "--wait-for-subscribers")
        assert len(listener.heard()["/pose"]) == 5
    assert code == 0 and errors.count("'alien_msgs/msg/Saucer' is not installed") == 1
    assert "no topic is not played: that is no name of a topic" in errors


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["nothing.mcap"], "does not exist"),
        (["BAG", "--topics", "/velodyne"], "no topic /velodyne; it has /camera/camera_info"),
        (["BAG", "--topics", "/points", "--wait-for-subscribers", "0.5", *UNHEARD], "nobody has subscribed"),
        (["BAG", "--rate", "0"], "positive number"),
        (["BAG", "--rate", "nan"], "positive number"),
    ],
)
def test_what_cannot_be_played_is_said_in_a_sentence(bag, environment, arguments, word):
    code, errors = play(environment, *[bag if argument == "BAG" else argument for argument in arguments])
    assert code != 0 and word in errors and "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_wait_for_subscribers(bag, environment, number):
    player = start_player(environment, bag, "--topics", "/points", "--wait-for-subscribers", "60", *UNHEARD)
    wait_for(lambda: handles(player, signal.SIGTERM))
    time.sleep(0.3)
    seconds, code, errors = interrupt(player, number)
    assert (code, seconds < 10) == (0, True) and "Traceback" not in errors, (seconds, errors)


@pytest.mark.slow
def test_real_data_through_the_large_data_profile(environment, tmp_path, record_property):
    """KITTI at its own 10 Hz: 1.4 MB images and 2 MB clouds, none lost, two loops alike."""
    if "VXP_DATA" not in os.environ:
        pytest.skip("VXP_DATA is not set: it names the folder with the real KITTI data")
    bag = write_kitti_bag(Path(os.environ["VXP_DATA"]) / "kitti", ["00"], tmp_path / "bag")
    with RawBag(bag) as raw:
        expected = [stamp_in(message.data) for message in raw.messages(["/points"])]
    log = tmp_path / "log.csv"
    with listening(environment, {**SENSORS, **OTHERS}) as listener:
        for _ in range(2):
            code, errors = play(environment, bag, "--clock", 100, "--wait-for-subscribers", "--log", log)
            assert code == 0, errors
        heard = listener.heard()
    assert {topic: stamps(entries) for topic, entries in heard.items()} == dict.fromkeys(heard, expected * 2)
    sent = [int(line.split(",")[0]) for line in log.read_text().splitlines() if ",/points," in line]
    latencies = np.subtract([moment for moment, _ in heard["/points"][len(expected) :]], sent) / 1e6
    record_property("cloud_latency_ms_median", round(float(np.median(latencies)), 1))
    record_property("cloud_latency_ms_max", round(float(latencies.max()), 1))


# --- without processes


def test_profiles():
    plain = to_profile(Topic("/points", "t", 5, Qos(is_reliable=False, depth=3)))
    assert (plain.reliability, plain.durability) == (ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)
    assert (plain.history, plain.depth) == (HistoryPolicy.KEEP_LAST, 3)
    latched = to_profile(Topic("/tf_static", "t", 5, Qos(is_transient_local=True, depth=1)))
    assert (latched.reliability, latched.durability) == (ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
    assert latched.depth == 5
    # Bags of old recorders carry no QoS: /tf_static is latched all the same.
    assert to_profile(Topic("/tf_static", "t", 1)).durability is DurabilityPolicy.TRANSIENT_LOCAL
    assert [to_profile(Topic("/x", "t", 0, Qos(depth=depth))).depth for depth in (-1, 1 << 62)] == [1, 1 << 16]
    assert to_profile(Topic("/rosout", "t", 1, Qos(keeps_all=True))).history is HistoryPolicy.KEEP_ALL


def test_message_types():
    assert find_message_type("sensor_msgs/msg/Image").__name__ == "Image"
    assert find_message_type("sensor_msgs/msg/Nothing") is None
    assert find_message_type("nothing_msgs/msg/Image") is None
    assert find_message_type("vxp_ros/msg/Keyframe").__name__ == "Keyframe"


@pytest.mark.parametrize("package", ["payload", "action_msgs"])
def test_a_bag_brings_no_code_along(tmp_path, monkeypatch, package):
    """Not even by the name of an installed package that has not been imported yet."""
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'canary')!r})\n")
    (tmp_path / package / "msg.py").write_text("class Image: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [entry for entry in sys.modules if entry.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    assert find_message_type(f"{package}/msg/Image") is None
    assert not (tmp_path / "canary").exists()
    importlib.import_module(package)  # control
    assert (tmp_path / "canary").exists()
    monkeypatch.delitem(sys.modules, package)


@pytest.mark.parametrize(
    "name",
    ["", "/msg/X", "../msg/x", "..msg/msg/X", "os/msg/path", "sensor_msgs/msg/_image", "sensor_msgs/msg/__name__",
     "sensor_msgs.msg/msg/Image", "sensor_msgs/msg/Image/msg/Image", "sensor_msgs/msg/Image\n", "x" * 100_000],
)  # fmt: skip
def test_names_that_are_no_message_types(name):
    assert find_message_type(name) is None
