"""Loop closures by other methods: python scripts/benchmark_peers.py --out FILE.json

Scan Context (as in Town's table: no ring key), MapClosures and KISS-SLAM on the loop drive of a Town split, in its own
past. Every setting is the peer's own; Scan Context's threshold is the one that lets nothing wrong through on --fit.

Scan Context sees the keyframes, 5 m apart, without ever knowing where they are. MapClosures gets all sweeps at 10 Hz in
local maps of 100 m, with exact odometry. KISS-SLAM gets the raw sweeps and makes its own odometry. A closure is right
within 5 m and 10 degrees of the true relative pose; Scan Context, which gives none, within 5 m between the two places.
Recall is of the keyframes that have an older one within 5 m, 30 s and 20 m of recent past excluded. What is asked of
--foreign has no place in the map at all. Milliseconds are CPU time of all threads.
"""

import argparse
from pathlib import Path

import numpy as np
from peers_closures import DAY, Closure, Keyframes, apart, keyframe_sweeps, keyframes_of, numbers, recall, timed
from peers_local_maps import OTHERS, kiss_slam_row, make_detector, map_closures_row, strangers

from vxp_ros.core.json_file import write_json
from vxp_training.baselines.scan_context import similarities
from vxp_training.datasets.town.splits import find_split
from vxp_training.datasets.town.store.master import Recording
from vxp_training.datasets.town.store.recording import record
from vxp_training.datasets.town.store.task import RigChoice, Task
from vxp_training.datasets.town_days import RIG

RATE_HZ = 10.0
LIDAR_ONLY = RigChoice(cameras=1, size=(16, 16), rings=RIG.rings)  # the smallest picture: nobody looks at it


def main() -> None:
    options, detector = parse_options(), make_detector()
    home, fit, foreign = (keyframes_of(town) for town in (options.town, options.fit, options.foreign))
    sweeps, rows = sweeps_of(options.town), {}
    facts = {name: getattr(options, name) for name in ("town", "fit", "foreign")}
    facts |= {"sweeps": len(sweeps), "keyframes": len(home), "revisits": sum(len(found) > 0 for found in home.loops)}
    for name, row in (
        ("Scan Context", lambda: scan_context_row(home, fit, foreign)),
        ("KISS-SLAM", lambda: kiss_slam_row(home, sweeps)),
        ("MapClosures", lambda: map_closures_row(home, sweeps, detector)),
        ("MapClosures", lambda: asked_row(options, detector)),
    ):
        rows[name] = rows.get(name, {}) | row()
        print(name, {key: value for key, value in rows[name].items() if key != "all"}, flush=True)
        write_json(options.out, {**facts, "rows": rows})


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--town", default="town-test-1")
    parser.add_argument("--fit", default="town-val", help="the split that Scan Context's threshold is chosen on")
    parser.add_argument("--foreign", default="town-test-2", help="the split that is not in the map")
    return parser.parse_args()


def sweeps_of(town: str) -> Recording:
    return record(Task(find_split(town), DAY, LIDAR_ONLY, rate_hz=RATE_HZ, samples=1))


def asked_row(options: argparse.Namespace, detector) -> dict:
    """Local maps of sweeps 5 m apart, of the other town and, to tell whether such thin ones are recognised at all, of
    this one."""
    foreign = strangers(keyframe_sweeps(options.foreign), detector, OTHERS)
    own = strangers(keyframe_sweeps(options.town), detector, 2 * OTHERS)
    return {f"foreign_{key}": value for key, value in foreign.items()} | {"thin_own": own}


def scan_context_row(home: Keyframes, fit: Keyframes, foreign: Keyframes) -> dict:
    """frozen: the threshold of `fit`. oracle: the one that lets nothing wrong through on this very drive."""
    (found, ms), fitted, rows = timed(lambda: best_matches(home)), best_matches(fit), np.arange(len(home))
    frozen, oracle = full_precision(fitted), full_precision(found)
    strangers = similarities(foreign.contexts, home.contexts).max(axis=1)
    closures = above(found, frozen)
    return numbers(home, closures, rows) | {
        "wrong_over_25_m": sum(closure.metres > 25.0 for closure in closures),
        "threshold": frozen,
        "recall_on_fit": recall(fit, above(fitted, frozen), np.arange(len(fit))),
        "oracle": oracle,
        "oracle_recall": recall(home, above(found, oracle), rows),
        "best_is_right": sum(match.is_right for _, match in found),
        "foreign_asked": len(strangers),
        "foreign_accepted": int((strangers > frozen).sum()),
        "foreign_accepted_by_oracle": int((strangers > oracle).sum()),
        "ms_per_keyframe": home.ms + ms / len(home),
    }


def best_matches(keyframes: Keyframes) -> list[tuple[float, Closure]]:
    """Of each keyframe with a past the similarity and the place of the most similar older one."""
    scores, best = similarities(keyframes.contexts, keyframes.contexts), []
    for row, rows in enumerate(keyframes.older):
        if len(rows):
            match = int(rows[np.argmax(scores[row, rows])])
            metres = float(apart(keyframes.positions[match], keyframes.positions[row]))
            best.append((float(scores[row, match]), Closure(match, row, metres)))
    return best


def full_precision(found: list[tuple[float, Closure]]) -> float:
    """The similarity that no wrong match exceeds."""
    return max(score for score, match in found if not match.is_right)


def above(found: list[tuple[float, Closure]], threshold: float) -> list[Closure]:
    return [match for score, match in found if score > threshold]


if __name__ == "__main__":
    main()
