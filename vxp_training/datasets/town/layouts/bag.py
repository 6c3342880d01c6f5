"""rosbag2: one bag per day, named after it. Points as measured, with ring and time; odometry drifts, truth does not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from vxp_ros.sources.bag_writer import BagWriter

from ..motion.odometry import drifted
from ..store.master import Recording

Odometry = Literal["drifting", "exact"]
OWN_FILES = r"[a-z]+/(metadata\.yaml|[a-z]+\.mcap)|\.[a-z]+\.lock"


def write(
    recordings: list[Recording], folder: Path, step: Callable[[], None], compressed: bool, odometry: Odometry
) -> None:
    """Write the days' bags under `folder`; step is called once per frame. compressed: JPEG as recorded, not raw images.

    Drifting /odom begins at zero and goes wrong as `odometry.drifted` says; exact /odom is the truth, as a map maker
    has it after SLAM. /ground_truth is exact, in the town's axes.
    """
    for recording in recordings:
        day = recording.meta["day"]
        truth = recording.poses[recording.numbers]
        seed = [recording.meta["split"]["seed"], day["number"]]
        T_odom_base = drifted(truth, seed) if odometry == "drifting" else truth
        with BagWriter(folder / day["name"]) as bag:
            for row, number in enumerate(recording.numbers):
                frame = replace(recording.frame(number), T_odom_base=T_odom_base[row])
                jpegs = {name: recording.jpeg(number, name) for name in recording.rig.cameras if compressed}
                bag.write_frame(frame, T_map_base=truth[row], jpegs=jpegs)
                step()
