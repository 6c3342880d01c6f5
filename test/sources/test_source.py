"""What the sources of numbered frames share."""

from collections import Counter

import pytest

from vxp_ros.core.errors import BadInput
from vxp_ros.sources.source import usable_frames


def read(number: int) -> str:
    if number % 2:
        raise BadInput("bad_image" if number < 4 else "bad_cloud", "damaged")
    return f"frame {number}"


def test_bad_frames_are_skipped_and_counted_anew_each_time():
    problems = Counter(left_from_before=3)
    for _ in range(2):
        assert list(usable_frames(read, range(6), problems)) == ["frame 0", "frame 2", "frame 4"]
        assert problems == Counter(bad_image=2, bad_cloud=1)


def test_what_the_user_of_a_frame_raises_is_not_ours():
    problems = Counter()
    with pytest.raises(BadInput):
        for _ in usable_frames(read, [0], problems):
            raise BadInput("bad_image", "of another source")
    assert not problems
