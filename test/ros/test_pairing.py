"""The pairer against faults that stop message_filters for good, and its accounting against anything at all."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vxp_ros.ros.pairing import Pairer

MS = 1_000_000
START = 1_700_000_000_000 * MS
PERIOD, TOLERANCE = 100 * MS, 50 * MS
CAMERA, LIDAR = "camera", "lidar"


def make_pairer(capacity: int = 10) -> Pairer:
    return Pairer((CAMERA, LIDAR), TOLERANCE, capacity)


def feed(pairer: Pairer, messages) -> list[tuple[int, int]]:
    """Add (stream, stamp) messages, checking the accounts after every step; return the pairs' stamps."""
    pairs = []
    for stream, stamp_ns in messages:
        pairs += [(group[CAMERA].stamp_ns, group[LIDAR].stamp_ns) for group in pairer.add(stream, stamp_ns, None)]
        assert pairer.balanced()
    return pairs


def drive(number: int, start_ns: int = START, offset_ns: int = 3 * MS) -> list[tuple[str, int]]:
    """`number` moments of camera and LiDAR, the LiDAR a little later."""
    stamps = [start_ns + row * PERIOD for row in range(number)]
    return [message for stamp in stamps for message in ((CAMERA, stamp), (LIDAR, stamp + offset_ns))]


def test_a_plain_drive():
    pairer = make_pairer()
    assert len(feed(pairer, drive(100))) == 100
    assert pairer.median_offset_ns(LIDAR) == 3 * MS
    assert pairer.paired == {CAMERA: 100, LIDAR: 100}
    assert not sum(pairer.dropped[CAMERA].values())


@pytest.mark.parametrize("length", [8, 20, 50])
def test_bag_loops_give_equal_numbers_of_pairs(length):
    """With messages left over at the end of each loop, as bags have them; loops of 0.8 s to 5 s."""
    pairer = make_pairer()
    bag = [*drive(length), *[(CAMERA, START + (length + extra) * PERIOD) for extra in range(5)]]
    assert [len(feed(pairer, bag)) for _ in range(20)] == [length] * 20
    assert pairer.resets == 19


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_clock_jumps(jump_s):
    pairer = make_pairer()
    assert len(feed(pairer, drive(50))) == 50
    assert len(feed(pairer, drive(50, START + jump_s * 1000 * MS))) == 50


@pytest.mark.parametrize("stream", [CAMERA, LIDAR])
@pytest.mark.parametrize("ahead_ms", [200, 600, 900, 1500, 3_600_000])
def test_stamps_from_the_future_do_not_evict_good_messages(ahead_ms, stream):
    """Ten of them, then 1000 good pairs: all 1000 are found, however far ahead (message_filters: none)."""
    pairer = make_pairer()
    future = [(stream, START + ahead_ms * MS + row * MS // 2) for row in range(10)]
    found = feed(pairer, [*future, *drive(1000)])
    # Where a future stamp comes true, that moment's pair is with a message of nearly the same time: still one pair.
    assert len(found) == 1000


def test_future_stamps_between_good_ones():
    pairer = make_pairer()
    messages = []
    for row, (camera, lidar) in enumerate(zip(drive(500)[::2], drive(500)[1::2], strict=True)):
        future = [(CAMERA, camera[1] + 3_600_000 * MS)] if row % 50 == 7 else []
        messages += [*future, camera, lidar]
    assert len(feed(pairer, messages)) == 500


def test_duplicates_never_make_a_second_pair():
    pairer = make_pairer()
    once = drive(100)
    pairs = feed(pairer, [message for message in once for _ in range(3)])
    assert len(pairs) == len(set(pairs)) == 100
    assert pairer.dropped[CAMERA]["duplicate"] == pairer.dropped[LIDAR]["duplicate"] == 200


def test_a_whole_pair_sent_again_is_not_paired_again():
    pairer = make_pairer()
    assert len(feed(pairer, [*drive(1), *drive(1), (CAMERA, START), (LIDAR, START + 4 * MS)])) == 1


def test_late_messages_are_counted_and_groups_stay_in_order():
    pairer = make_pairer()
    pairs = feed(
        pairer, [*drive(3), (CAMERA, START + 150 * MS), (LIDAR, START + 150 * MS), *drive(1, START + 3 * PERIOD)]
    )
    assert pairs == sorted(pairs) and len(pairs) == 4
    assert pairer.dropped[CAMERA]["late"] == pairer.dropped[LIDAR]["late"] == 1


def test_one_stream_passes_through():
    pairer = Pairer((LIDAR,), TOLERANCE)
    groups = [group for row in range(20) for group in pairer.add(LIDAR, START + row * PERIOD, row)]
    assert [group[LIDAR].item for group in groups] == list(range(20))


def test_three_streams():
    pairer = Pairer(("left", "right", LIDAR), TOLERANCE)
    stamps = [START + row * PERIOD for row in range(50)]
    groups = []
    for stamp in stamps:
        for name, offset in (("left", 0), (LIDAR, 30 * MS), ("right", 20 * MS)):
            groups += pairer.add(name, stamp + offset, None)
    assert len(groups) == 50 and pairer.balanced()


def test_too_far_apart_is_no_pair():
    pairer = make_pairer(capacity=5)
    assert feed(pairer, drive(50, offset_ns=TOLERANCE + 1 * MS, start_ns=START)[:2]) == []
    lonely = make_pairer(capacity=5)
    assert feed(lonely, [(CAMERA, START + row * PERIOD) for row in range(30)]) == []
    assert len(lonely.waiting[CAMERA]) == 5 and lonely.dropped[CAMERA] == Counter(unpaired=25)


def test_one_sensor_at_twice_the_rate():
    pairer = make_pairer()
    messages = sorted([*drive(100, offset_ns=0), *[(CAMERA, START + row * PERIOD + 50 * MS) for row in range(100)]],
                      key=lambda message: message[1])  # fmt: skip
    pairs = feed(pairer, messages)
    assert len(pairs) == 100 and all(camera == lidar for camera, lidar in pairs[1:])


@given(
    offsets=st.lists(st.integers(-TOLERANCE // 2, TOLERANCE // 2), min_size=1, max_size=60),
    delays=st.lists(st.integers(0, TOLERANCE), min_size=120, max_size=120),
    lost=st.sets(st.integers(0, 119), max_size=30),
)
@settings(max_examples=300, deadline=None)
def test_all_pairs_within_the_window_are_found_in_any_order_of_arrival(offsets, delays, lost):
    """Messages arrive up to one tolerance late and streams overtake each other. Oracle: both halves came through."""
    moments = [START + row * 3 * TOLERANCE for row in range(len(offsets))]
    sent = [message for moment, offset in zip(moments, offsets, strict=True)
            for message in ((CAMERA, moment), (LIDAR, moment + offset))]  # fmt: skip
    came = [(sent[row][1] + delays[row], *sent[row]) for row in range(len(sent)) if row not in lost]
    expected = [(moment, moment + offset) for row, (moment, offset) in enumerate(zip(moments, offsets, strict=True))
                if not {2 * row, 2 * row + 1} & lost]  # fmt: skip
    assert feed(make_pairer(), [(stream, stamp) for _, stream, stamp in sorted(came)]) == expected


@given(
    st.lists(
        st.tuples(st.sampled_from([CAMERA, LIDAR, "reset"]), st.integers(0, 40) | st.integers(-(10**6), 10**6)),
        max_size=200,
    )
)
@settings(max_examples=300, deadline=None)
def test_the_accounts_balance_after_every_step_of_anything(steps):
    pairer = make_pairer(capacity=4)
    sizes, pairs = [], []
    for stream, step in steps:
        if stream == "reset":
            pairer.reset()
            pairs = []
        else:
            resets = pairer.resets
            groups = pairer.add(stream, START + step * 20 * MS, None)
            pairs = pairs if pairer.resets == resets else []
            pairs += [(group[CAMERA].stamp_ns, group[LIDAR].stamp_ns) for group in groups]
        sizes.append(max(map(len, pairer.waiting.values())))
        assert pairer.balanced()
        assert all(abs(camera - lidar) <= TOLERANCE for camera, lidar in pairs)
        assert pairs == sorted(pairs)
        assert len({camera for camera, _ in pairs}) == len({lidar for _, lidar in pairs}) == len(pairs)
    assert max(sizes, default=0) <= 4


class NaivePairer:
    """The negative control: sorted queues without a reset, the oldest stamp goes first, as message_filters does it."""

    def __init__(self, capacity: int = 10):
        self.queues = {CAMERA: [], LIDAR: []}
        self.capacity = capacity

    def add(self, stream: str, stamp_ns: int) -> int:
        queue = self.queues[stream]
        queue.append(stamp_ns)
        queue.sort()
        del queue[: -self.capacity]
        if all(self.queues.values()) and abs(self.queues[CAMERA][-1] - self.queues[LIDAR][-1]) <= TOLERANCE:
            for entries in self.queues.values():
                entries.pop()
            return 1
        return 0


def test_a_naive_pairer_fails_where_ours_must_not():
    naive = NaivePairer()
    future = [(CAMERA, START + 3_600_000 * MS + row * MS) for row in range(10)]
    assert sum(naive.add(*message) for message in [*future, *drive(1000)]) < 1000


def test_offsets_are_measured():
    for offset_ms in np.linspace(-49, 49, 15):
        pairer = make_pairer()
        feed(pairer, drive(60, offset_ns=int(offset_ms * MS)))
        assert abs(pairer.median_offset_ns(LIDAR) - offset_ms * MS) < 5 * MS
