"""Live nodes and sensors that stop and come back, send late, early or out of order, bags that loop, clocks that jump.

The naive control is a pairer that sorts its queues, never resets, and lets the oldest stamp go first.
"""

import random
import signal
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from live_rig import RELIABLE, K, SpinningNode, cloud_message, image_message, localizer_parameters, scene
from rosgraph_msgs.msg import Clock

from vxp_ros.core.datatypes import Camera, Frame, Image
from vxp_ros.msg import PlaceCandidates
from vxp_ros.ros.localizer import Localizer
from vxp_ros.ros.publishers import ns_to_stamp
from vxp_ros.ros.streams import Stream
from vxp_ros.sources.bag_writer import BagWriter

pytestmark = pytest.mark.ros
MS = 1_000_000
HOUR = 3_600_000 * MS
START = 1_700_000_000_000 * MS
PERIOD, TOLERANCE = 100 * MS, 50 * MS
OK, WARN, ERROR = 0, 1, 2
LEFT_OVER = 5  # images without a cloud at the end of each loop


class NaivePairer:
    """Takes and counts as the pairer of the nodes does."""

    def __init__(self, streams, capacity: int = 10):
        self.streams, self.capacity, self.resets = streams, capacity, 0
        self.queues = {name: [] for name in streams}

    def add(self, stream, stamp_ns, _item):
        queue = self.queues[stream]
        queue.append(stamp_ns)
        queue.sort()
        del queue[: -self.capacity]
        newest = [entries[-1] for entries in self.queues.values() if entries]
        if len(newest) < len(self.queues) or max(newest) - min(newest) > TOLERANCE:
            return []
        for entries in self.queues.values():
            entries.pop()
        return [newest]

    def reset(self) -> None:
        """It does not know how."""


class Pairs:
    """An active localizer that pairs but does not search, and the stamps of the pairs it made, loop by loop."""

    def __init__(self, robot, model, map_root, is_naive: bool, **parameters):
        given = {**localizer_parameters(model, map_root), "output__continuous": False, "qos__sensor_depth": 100}
        self.spinning = SpinningNode(Localizer, "vxp_localizer", **{**given, **parameters})
        self.loops: list[list[int]] = [[]]
        self.spinning.bring_up()
        self.robot, self.sensors = robot, self.spinning.node.sensors
        self._consider = self.sensors._consider
        self.sensors._consider = self._note
        self.naive = NaivePairer(tuple(self.sensors.streams)) if is_naive else None
        if is_naive:
            self._add, self.sensors.pairer.add = self.sensors.pairer.add, self._add_naively

    def _add_naively(self, stream, stamp_ns, item):
        for newest in self.naive.add(stream, stamp_ns, item):
            self._count(min(newest))
        return []

    def _note(self, bundle) -> None:
        self._count(bundle.stamp_ns())
        assert max(bundle.stamps.values()) - min(bundle.stamps.values()) <= TOLERANCE
        self._consider(bundle)

    def _count(self, stamp_ns: int) -> None:
        if self.loops[-1] and stamp_ns < self.loops[-1][-1] - 300 * MS:
            self.loops.append([])
        self.loops[-1].append(stamp_ns)

    def number(self) -> int:
        return sum(map(len, self.loops))

    def received(self) -> int:
        return sum(stream.ledger.received for stream in self.sensors.streams.values())

    def close(self) -> None:
        if self.naive is None:
            accounts = [self.sensors.account(stream) for stream in self.sensors.all_streams()]
            balanced = [a["received"] == a["processed"] + sum(a["dropped"].values()) + a["in_flight"] for a in accounts]
            assert all(balanced), accounts
        self.spinning.close()


@pytest.fixture
def pairs(robot, model, map_root):
    """Makes one such node; it ends, with its accounts balanced, with the test."""
    made = []

    def make(is_naive=False, **parameters):
        made.append(Pairs(robot, model, map_root, is_naive, **parameters))
        robot.meet()
        return made[-1]

    yield make
    for node in made:
        node.close()


# --- sensors that stop and come back


def show_at_10_hz(robot, seconds, until=lambda: False, **options):
    """The seconds until the condition held, or None; and how many frames were shown."""
    begin, shown = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        robot.show(1, **options)
        shown += 1
        robot.spin(max(0.0, begin + 0.1 * shown - time.monotonic()))
        if until():
            return time.monotonic() - begin
    return None


@pytest.mark.slow
def test_stopped_sensors_are_told_and_taken_back(robot, start, count, record_property):
    """Random schedules; each time the level changes within 2 s, and back within 2 s."""
    rng, schedules, told, back = random.Random(7), count(1, 20), [], []
    start(input__max_rate=2.0)
    answers = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    assert show_at_10_hz(robot, 20, until=lambda: robot.level("camera") == robot.level("lidar") == OK)
    for _ in range(schedules):
        stopped = rng.choice([["camera"], ["lidar"], ["camera", "lidar"]])
        wanted = ERROR if len(stopped) == 2 else WARN
        still = {"image": "camera" not in stopped, "points": "lidar" not in stopped}
        show_at_10_hz(robot, rng.uniform(0.2, 1.5))
        told.append(show_at_10_hz(robot, 10, lambda s=stopped, w=wanted: all(robot.level(n) == w for n in s), **still))
        show_at_10_hz(robot, rng.uniform(0.2, 3.0), **still)
        before = len(answers)
        back.append(show_at_10_hz(robot, 10, until=lambda: robot.level("camera") == robot.level("lidar") == OK))
        assert robot.repeat_until(lambda: robot.show(1), lambda before=before: len(answers) > before + 1)
    record_property("schedules", schedules)
    record_property("slowest told s", round(max(told), 2))
    record_property("slowest back s", round(max(back), 2))
    assert max(told) < 2.0 and max(back) < 2.0


@pytest.mark.slow
def test_a_node_that_asks_no_sensor_for_its_age_tells_nothing(robot, start, monkeypatch):
    """The naive control: it hears the sensor that is left, and waits."""
    monkeypatch.setattr(Stream, "age", lambda stream: 0.0)
    start(input__max_rate=2.0)
    assert show_at_10_hz(robot, 20, until=lambda: robot.level("camera") == robot.level("lidar") == OK)
    assert show_at_10_hz(robot, 10, until=lambda: robot.level("camera") != OK, image=False) is None


# --- stamps


def send(robot, node, messages, batch=10):
    """(stream, stamp) one by one, so that none is lost on the way."""
    pixels, points = scene(0)
    for number, (stream, stamp_ns) in enumerate(messages, 1):
        if stream == "camera":
            robot.images.publish(image_message(pixels[:8, :8], stamp_ns))
        else:
            robot.clouds.publish(cloud_message(points[:100], stamp_ns))
        if number % batch == 0 or number == len(messages):
            robot.spin(0.001)
            wanted = node.sent + number
            assert robot.spin_until(lambda wanted=wanted: node.received() >= wanted, 20), (node.received(), wanted)
    node.sent += len(messages)


def moments(number, start_ns):
    stamps = [start_ns + row * PERIOD for row in range(number)]
    return [message for stamp in stamps for message in (("camera", stamp), ("lidar", stamp + 3 * MS))]


def from_the_future(robot, node, number):
    """Ten messages from each of three futures, and then so many good moments: how many of these were paired."""
    node.sent, start = 0, robot.now_ns() - number * PERIOD
    early = [
        ("camera", robot.now_ns() + ahead + row * MS) for ahead in (1000 * MS, HOUR, 100 * HOUR) for row in range(10)
    ]
    send(robot, node, [*early, *moments(number, start)])
    return node.number()


def test_messages_from_the_future_cost_no_pair(robot, pairs, count, record_property):
    number = count(50, 1000)
    found = from_the_future(robot, pairs(input__max_age=3600.0), number)
    record_property("pairs found", f"{found} of {number}")
    assert found == number


def test_a_naive_pairer_loses_them(robot, pairs, count, record_property):
    """It has no gate for stamps: the limit is as far as it goes."""
    number = count(50, 1000)
    found = from_the_future(robot, pairs(True, input__max_age=3600.0, input__max_future=3600.0), number)
    record_property("pairs found", f"{found} of {number}")
    assert found < number / 2


def shuffled(rng, number, start_ns):
    """Moments in the order of arrival, each message up to 250 ms late."""
    sent = [(stamp + rng.randrange(250) * MS, stream, stamp) for stream, stamp in moments(number, start_ns)]
    return [(stream, stamp) for _, stream, stamp in sorted(sent)]


def pair_shuffled(robot, node, number) -> list[int]:
    """The stamps of the pairs that a node finds in so many moments out of order, as it found them."""
    node.sent = 0
    send(robot, node, shuffled(random.Random(5), number, robot.now_ns() - (number + 10) * PERIOD))
    return [stamp for loop in node.loops for stamp in loop]


def backwards(stamps) -> int:
    return sum(later <= stamp for stamp, later in pairwise(stamps))


def test_messages_out_of_order_are_paired(robot, pairs, count, record_property):
    """Each sensor keeps its own order within 250 ms; what comes later than the next pair is counted as late."""
    number, node = count(50, 1000), pairs(input__max_age=3600.0)
    found = pair_shuffled(robot, node, number)
    dropped = {name: dict(node.sensors.account(stream)["dropped"]) for name, stream in node.sensors.streams.items()}
    record_property("pairs found", f"{len(found)} of {number}")
    record_property("backwards", backwards(found))
    record_property("dropped", dropped)
    assert backwards(found) == 0
    assert len(found) + max(sum(reasons.values()) for reasons in dropped.values()) + 2 >= number
    assert len(found) > number / 2


def test_a_naive_pairer_goes_backwards(robot, pairs, count, record_property):
    number = count(50, 1000)
    found = pair_shuffled(robot, pairs(True, input__max_age=3600.0), number)
    record_property("pairs found", f"{len(found)} of {number}")
    record_property("backwards", backwards(found))
    assert backwards(found) > number / 50


# --- loops and jumps


@pytest.fixture(scope="module")
def looped_bag(tmp_path_factory):
    """Five seconds at 10 Hz, and at the end images that find no cloud."""
    out = tmp_path_factory.mktemp("loops") / "bag"
    camera = Camera(128, 96, K)
    with BagWriter(out) as writer:
        for row in range(50 + LEFT_OVER):
            pixels, points = scene(row % 4)
            points = points[:500] if row < 50 else None
            writer.write_frame(Frame(START + row * PERIOD, {"camera": Image(pixels, camera)}, points, None, np.eye(4)))
    return out


def loop_the_bag(robot, node, bag, loops, patience):
    """The numbers of pairs in so many loops by the real player at twice the speed."""
    names = [
        "-r",
        "camera/image_raw:=image",
        "-r",
        "/camera/image_raw:=/image",
        "-r",
        "/camera/camera_info:=/camera_info",
    ]
    command = [sys.executable, "-m", "vxp_ros.ros.bag_player", str(bag), "--loop", "--clock", "100", "--rate", "2"]
    player = subprocess.Popen([*command, "--wait-for-subscribers", "--ros-args", *names])
    try:
        robot.spin_until(lambda: len(node.loops) > loops or player.poll() is not None, patience)
    finally:
        player.send_signal(signal.SIGINT)
        player.wait(20)
    return [len(loop) for loop in node.loops[:loops]]


@pytest.mark.slow
def test_loops_of_a_bag_give_equal_pairs(robot, pairs, looped_bag, count, record_property):
    loops, node = count(3, 50), pairs(use_sim_time=True)
    found = loop_the_bag(robot, node, looped_bag, loops, 120 + 4 * loops)
    record_property("pairs per loop, least and most", (min(found), max(found)))
    record_property("loops", len(found))
    assert len(found) == loops
    assert max(abs(number - found[0]) for number in found) <= 1
    assert found[0] >= 49


@pytest.mark.slow
def test_a_naive_pairer_stops_at_the_first_loop(robot, pairs, looped_bag, record_property):
    found = loop_the_bag(robot, pairs(True, use_sim_time=True), looped_bag, 3, 60)
    record_property("pairs per loop", found)
    assert len(found) < 3 or min(found) < 40


def jump_the_clock(robot, node, jumps) -> list[int]:
    """Back and forth at random, each time ten moments and an image that finds no cloud: the pairs after each jump."""
    rng, clock = random.Random(3), robot.node.create_publisher(Clock, "/clock", RELIABLE)
    assert robot.spin_until(lambda: clock.get_subscription_count() > 0)
    node.sent, now, numbers = 0, START, []
    for _ in range(jumps):
        now += rng.choice([-HOUR, HOUR])
        before = node.number()
        for _moment in range(10):
            now += PERIOD
            stamp = ns_to_stamp(now)
            assert robot.repeat_until(
                lambda s=stamp: clock.publish(Clock(clock=s)), lambda n=now: has_time(node, n), 10, 0.02
            )
            send(robot, node, [("camera", now), ("lidar", now + 3 * MS)])
        robot.spin_until(lambda before=before: node.number() - before == 10, 5)  # received is not yet paired
        send(robot, node, [("camera", now + PERIOD)])
        numbers.append(node.number() - before)
    return numbers


def test_the_clock_jumps_by_an_hour(robot, pairs, count, record_property):
    jumps = count(4, 50)
    numbers = jump_the_clock(robot, pairs(use_sim_time=True), jumps)
    record_property("jumps", jumps)
    record_property("pairs of ten, least and most", (min(numbers), max(numbers)))
    assert numbers == [10] * jumps


def test_a_naive_pairer_stops_at_jumps_of_the_clock(robot, pairs, record_property):
    """What is left over from before a jump back stays the newest of its queue."""
    numbers = jump_the_clock(robot, pairs(True, use_sim_time=True), 10)
    record_property("pairs of ten, least and most", (min(numbers), max(numbers)))
    record_property("jumps after which some are missing", f"{sum(number < 10 for number in numbers)} of 10")
    assert sum(number < 10 for number in numbers) > 2


def has_time(node, now_ns) -> bool:
    return node.spinning.node.get_clock().now().nanoseconds == now_ns
