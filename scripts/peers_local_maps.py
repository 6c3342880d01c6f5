"""MapClosures and KISS-SLAM on a drive's sweeps, as their own programs run them: for benchmark_peers.py."""

import contextlib
import io
from collections.abc import Iterator

import numpy as np
from peers_closures import Closure, Keyframes, numbers, pose_closure, timed

from vxp_ros.core.geometry import invert
from vxp_training.datasets.town.store.master import Recording

LOCAL_MAP_M = 100.0  # both begin a new local map so far from where the last one began
SKIPPED = 3  # local maps before the newest that MapClosures, and KISS-SLAM with it, never compares it with
OTHERS = 1000  # ids from here on are none of the drive's own local maps


def make_detector():
    """MapClosures with its defaults; exits where the peers are missing."""
    try:
        import kiss_slam.slam  # noqa: F401
        from map_closures.map_closures import MapClosures
    except (ImportError, OSError) as problem:
        raise SystemExit(
            f"the peers cannot be imported ({problem}): pip install map-closures==2.2.0 kiss-slam==0.0.2"
        ) from problem
    return MapClosures()


def map_closures_row(home: Keyframes, sweeps: Recording, detector) -> dict:
    firsts, closures, ms = [], [], []
    for number, (cloud, first) in enumerate(local_maps(sweeps)):
        firsts.append(first)
        found, spent = timed(lambda: accepted(detector, number, cloud))  # noqa: B023
        truth = lidar_poses(sweeps, firsts)
        closures += [pose_closure(entry.source_id, number, entry.pose, truth) for entry in found]
        ms.append(spent)
    return local_map_numbers(home, closures, sweeps, firsts) | {"ms_per_local_map": float(np.mean(ms))}


def strangers(sweeps: Recording, detector, first_id: int) -> dict:
    """Of local maps that are none of the drive's, in how many the detector sees one of the drive's. first_id: of their
    ids, above all before."""
    asked = [accepted(detector, first_id + number, cloud) for number, (cloud, _) in enumerate(local_maps(sweeps))]
    return {"asked": len(asked), "accepted": sum(any(entry.source_id < OTHERS for entry in found) for found in asked)}


def accepted(detector, number: int, cloud: np.ndarray) -> list:
    """The closures that MapClosures' own pipeline reports."""
    found = detector.get_closures(number, cloud)
    return [closure for closure in found if closure.number_of_inliers > detector._config.inliers_threshold]


def local_maps(sweeps: Recording) -> Iterator[tuple[np.ndarray, int]]:
    """As MapClosures' own pipeline makes them, with exact poses and sweeps straightened exactly: clouds [M, 3] in the
    LiDAR's frame at a first sweep, and that sweep's number. What lies near the end of one stays in the next."""
    from map_closures.config import MapClosuresConfig
    from map_closures.voxel_map import VoxelMap

    exact = Recording(sweeps.folder, is_deskewed=True)
    grid, first = VoxelMap(MapClosuresConfig().density_map_resolution, LOCAL_MAP_M), sweeps.numbers[0]
    for number in sweeps.numbers:
        T_world_first, T_world_sweep = lidar_poses(sweeps, [first, number])
        T = invert(T_world_first) @ T_world_sweep
        grid.integrate_frame(exact.frame(number).points[:, :3], T)
        if np.linalg.norm(T[:3, 3]) > LOCAL_MAP_M or number == sweeps.numbers[-1]:
            yield grid.point_cloud(), first
            grid.remove_far_away_points(T[:3, 3])
            kept = grid.point_cloud()
            grid.clear()
            grid.integrate_frame(kept, invert(T))
            first = number


def lidar_poses(sweeps: Recording, rows: list[int]) -> np.ndarray:
    """[n, 4, 4] T_world_lidar in the middle of these sweeps."""
    return sweeps.poses[rows] @ sweeps.rig.lidar.T_base_lidar


def local_map_numbers(home: Keyframes, closures: list[Closure], sweeps: Recording, firsts: list[int]) -> dict:
    """revisits_skipped: keyframes whose older places all lie in local maps that are not compared with theirs."""
    units = np.maximum(np.searchsorted(sweeps.stamps_ns[firsts], home.stamps_ns, side="right") - 1, 0)
    skipped = sum(len(rows) > 0 and bool((units[row] - units[rows] <= SKIPPED).all())
                  for row, rows in enumerate(home.loops))  # fmt: skip
    return numbers(home, closures, units) | {"local_maps": len(firsts), "revisits_skipped": skipped}


def kiss_slam_row(home: Keyframes, sweeps: Recording) -> dict:
    from kiss_slam.config import load_config
    from kiss_slam.slam import KissSLAM

    slam = KissSLAM(load_config(None))
    told, ms = listened(slam)
    (firsts, track), spent = timed(lambda: driven(slam, sweeps))
    # It straightens each sweep to where the LiDAR was at its end.
    truth = sweeps.sweeps[:, -1] @ sweeps.rig.lidar.T_base_lidar
    closures = [pose_closure(older, newer, T, truth[firsts]) for older, newer, T in told]
    return local_map_numbers(home, closures, sweeps, firsts[: len(ms)]) | {
        "odometry_off_m_after_100_m": drift(track, truth[sweeps.numbers]),
        "ms_per_sweep": spent / len(sweeps),
        "ms_per_local_map": float(np.mean(ms)),
    }


def listened(slam) -> tuple[list[tuple[int, int, np.ndarray]], list[float]]:
    """Two lists that fill while it drives: accepted closures with T_newer_older [4, 4], of which it keeps no poses, and
    the milliseconds of every answer."""
    compute, told, ms = slam.closer.compute, [], []

    def heard(*arguments):
        (is_good, older, newer, T_newer_older), spent = timed(lambda: compute(*arguments))
        ms.append(spent)
        if is_good:
            told.append((int(older), int(newer), np.array(T_newer_older)))
        return is_good, older, newer, T_newer_older

    slam.closer.compute = heard
    return told, ms


def driven(slam, sweeps: Recording) -> tuple[list[int], np.ndarray]:
    """The sweeps in whose frames local maps are, and of every sweep the pose [n, 4, 4] that odometry alone gave."""
    firsts, track, T_odom_map = [sweeps.numbers[0]], [], np.eye(4)
    with contextlib.redirect_stdout(io.StringIO()):
        for number in sweeps.numbers:
            frame = sweeps.frame(number)
            slam.process_scan(frame.points[:, :3].astype(np.float64), frame.times.astype(np.float64))
            is_new = slam.local_map_graph.last_id == len(firsts)
            last = slam.local_map_graph[len(firsts) - 1].local_trajectory[-1]
            track.append(T_odom_map @ last)
            if is_new:
                firsts, T_odom_map = [*firsts, number], track[-1]
        slam.generate_new_node()
    return firsts, np.array(track)


def drift(track: np.ndarray, truth: np.ndarray, metres: float = 100.0) -> float:
    """Median metres that odometry is off after so many metres of the way."""
    way = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(truth[:, :3, 3], axis=0), axis=1)))
    starts = np.flatnonzero(way <= way[-1] - metres)
    ends = np.searchsorted(way, way[starts] + metres)
    inverse = np.linalg.inv
    off = inverse(truth[ends]) @ truth[starts] @ inverse(track[starts]) @ track[ends]
    return float(np.median(np.linalg.norm(off[:, :3, 3], axis=1)))
