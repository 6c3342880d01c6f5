"""A pose graph: what odometry and loop closures together say of the path. The only file that imports GTSAM.

Closures that contradict the rest lose their weight: graduated non-convexity (Yang et al., "Graduated Non-Convexity for
Robust Spatial Perception", 2020) over Levenberg-Marquardt. A fixed robust kernel would take right closures for wrong
ones, because after a long drift they are metres off.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .config import GraphSettings
from .datatypes import LoopClosure
from .errors import BadInput, ModelError
from .fsio import replace_file
from .geometry import invert, is_rigid, pose_to_vector, rotation_angle

# Beyond these, GTSAM's sums lose all other numbers without a word.
FARTHEST_M, LONGEST_CLOSURE_M = 1e7, 200.0
LEAST_VARIANCE, MOST_VARIANCE, LEAST_RATIO = 1e-12, 1e12, 1e-14
LAMBDA_STEP = 2.0  # of the graduation: GTSAM's 1.4 takes about twice as long and found the same poses
# From 0 or 1, for a weight to be decided. GTSAM's 1e-4 takes the first ones of closures that are all far off for zeros,
# ends there, and leaves the path bent.
WEIGHTS_TOL = 1e-9
ANCHOR_SIGMAS = np.full(6, 1e-3)


class PoseGraph:
    """Keyframes in the order of the drive, closures between them, and their best poses.

    Raises ModelError at the first use when GTSAM is missing.
    """

    def __init__(self, settings: GraphSettings | None = None):
        self.settings = settings or GraphSettings()
        self.gtsam = load_gtsam()
        self.ids: list[int] = []
        self.stamps_ns: list[int] = []
        self._odometry: list[np.ndarray] = []
        self._poses: list[np.ndarray] = []
        self._rows: dict[int, int] = {}
        self._closures: dict[tuple[int, int], LoopClosure] = {}
        self.weights: dict[tuple[int, int], float] = {}
        self._is_solved = True

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def poses(self) -> np.ndarray:
        """[N, 4, 4] T_map_base of the keyframes; the first is where odometry had it."""
        return np.array(self._poses).reshape(-1, 4, 4)

    @property
    def T_map_odom(self) -> np.ndarray:
        """[4, 4] by the newest keyframe; the identity before the first."""
        return self._poses[-1] @ invert(self._odometry[-1]) if self._poses else np.eye(4)

    @property
    def closures(self) -> tuple[LoopClosure, ...]:
        return tuple(self._closures.values())

    def add_keyframe(self, keyframe_id: int, stamp_ns: int, T_odom_base: np.ndarray) -> None:
        """The next keyframe of the drive. Raises BadInput for a pose that is none, or an id that is there."""
        if not is_rigid(np.asarray(T_odom_base)) or np.abs(T_odom_base[:3, 3]).max() > FARTHEST_M:
            raise BadInput("bad_pose", f"the pose of keyframe {keyframe_id} is no rigid transform, or 10,000 km off")
        if keyframe_id in self._rows:
            raise BadInput("repeated", f"keyframe {keyframe_id} is in the graph already")
        self._poses.append(self.T_map_odom @ T_odom_base)
        self._odometry.append(np.array(T_odom_base, np.float64))
        self._rows[keyframe_id] = len(self.ids)
        self.ids.append(keyframe_id)
        self.stamps_ns.append(stamp_ns)

    def add_closure(self, closure: LoopClosure) -> None:
        """Takes the place of one between the same keyframes. Raises BadInput for unknown keyframes, stamps that are not
        theirs, a transform that is not rigid or longer than 200 m, or a covariance that is none."""
        for keyframe_id in (closure.from_id, closure.to_id):
            if keyframe_id not in self._rows:
                raise BadInput("unknown_keyframe", f"the closure names keyframe {keyframe_id}, which has not come")
        if closure.from_id == closure.to_id:
            raise BadInput("bad_closure", f"the closure ties keyframe {closure.to_id} to itself")
        stamps = tuple(self.stamps_ns[self._rows[keyframe_id]] for keyframe_id in (closure.from_id, closure.to_id))
        if stamps != (closure.from_stamp_ns, closure.to_stamp_ns):
            raise BadInput("other_drive", "the closure's stamps are not those of its keyframes: another drive's")
        if not is_rigid(np.asarray(closure.T_from_to)):
            raise BadInput("bad_pose", "the closure's transform is no rigid transform")
        if np.linalg.norm(closure.T_from_to[:3, 3]) > LONGEST_CLOSURE_M:
            raise BadInput(
                "too_far", f"the closure spans more than {LONGEST_CLOSURE_M:g} m: no two places see the same"
            )
        if not is_covariance(np.asarray(closure.covariance)):
            raise BadInput("bad_covariance", "the closure's covariance is not symmetric and positive")
        self._closures[closure.from_id, closure.to_id] = closure
        self._is_solved = False

    def retract(self, from_id: int, to_id: int) -> bool:
        """Take a closure back; False when there is none."""
        found = self._closures.pop((from_id, to_id), None)
        self._is_solved &= found is None
        return found is not None

    def optimize(self) -> None:
        """Find the poses anew. Leaves `weights`: how far each closure is believed, 0 to 1.

        Costs nothing while closures stay the same: a keyframe at the end pulls at none of the others. Raises
        RuntimeError, and leaves the poses as they were, when GTSAM finds no solution.
        """
        if self._is_solved:
            return
        start = self._values(self._odometry)  # not the last result, which a wrong closure may have bent
        result, self.weights = self._solve(self._graph(), start) if self._closures else (start, {})
        self._poses = [result.atPose3(row).matrix() for row in range(len(self))]
        self._is_solved = True

    def write_g2o(self, path: Path) -> None:
        """Keyframes as they now stand and all constraints, as VERTEX_SE3:QUAT and EDGE_SE3:QUAT. Raises OSError.

        GTSAM's own writer keeps six digits, which is metres in a projected map frame.
        """
        vertices = zip(self.ids, self._poses, strict=True)
        lines = [f"VERTEX_SE3:QUAT {keyframe_id} {numbers(pose_to_vector(T))}" for keyframe_id, T in vertices]
        for start, end, T, covariance in self._edges():
            information = np.roll(np.linalg.inv(covariance), (3, 3), axis=(0, 1))  # g2o has the translation first
            values = numbers([*pose_to_vector(T), *information[np.triu_indices(6)]])
            lines.append(f"EDGE_SE3:QUAT {self.ids[start]} {self.ids[end]} {values}")
        replace_file(path, ["".join(f"{line}\n" for line in lines).encode()])

    def _edges(self) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
        """Odometry's steps, then the closures: rows, T_from_to and its covariance as GTSAM has it."""
        for row in range(1, len(self)):
            step = invert(self._odometry[row - 1]) @ self._odometry[row]
            yield row - 1, row, step, np.diag(step_sigmas(step, self.settings) ** 2)
        for (start, end), closure in self._closures.items():
            T = np.array(closure.T_from_to, np.float64)
            yield self._rows[start], self._rows[end], T, to_gtsam(closure.covariance, T)

    # What GTSAM needs

    def _solve(self, graph, initial) -> tuple:
        gtsam, count = self.gtsam, len(self)  # the anchor and the odometry come first, and are never doubted
        parameters = gtsam.GncLMParams(gtsam.LevenbergMarquardtParams())
        parameters.setLambdaStep(LAMBDA_STEP)
        parameters.setWeightsTol(WEIGHTS_TOL)
        parameters.setKnownInliers(list(range(count)))
        optimizer = gtsam.GncLMOptimizer(graph, initial, parameters)
        optimizer.setInlierCostThresholdsAtProbability(self.settings.probability)
        result = optimizer.optimize()
        believed = np.asarray(optimizer.getWeights())[count:]
        return result, dict(zip(self._closures, map(float, believed), strict=True))

    def _graph(self):
        gtsam = self.gtsam
        graph = gtsam.NonlinearFactorGraph()
        anchor = gtsam.noiseModel.Diagonal.Sigmas(ANCHOR_SIGMAS)
        graph.add(gtsam.PriorFactorPose3(0, gtsam.Pose3(self._odometry[0]), anchor))
        for start, end, T, covariance in self._edges():
            noise = gtsam.noiseModel.Gaussian.Covariance(covariance)
            graph.add(gtsam.BetweenFactorPose3(start, end, gtsam.Pose3(T), noise))
        return graph

    def _values(self, poses: list[np.ndarray]):
        values = self.gtsam.Values()
        for row, T in enumerate(poses):
            values.insert(row, self.gtsam.Pose3(T))
        return values


def step_sigmas(step: np.ndarray, settings: GraphSettings) -> np.ndarray:
    """[6] standard deviations of one step of odometry [4, 4], rotation first as GTSAM has it."""
    metres, radians = float(np.linalg.norm(step[:3, 3])), rotation_angle(step[:3, :3])
    turn = settings.turn_floor + settings.turn_per_m * metres + settings.turn_ratio * radians
    way = settings.way_floor + settings.way_ratio * metres
    return np.array([turn] * 3 + [way] * 3)


def to_gtsam(covariance: np.ndarray, T_from_to: np.ndarray) -> np.ndarray:
    """[6, 6] of a relative pose: from ROS's order and the axes of `from` to rotation first and the axes of `to`."""
    R, zero = T_from_to[:3, :3].T, np.zeros((3, 3))
    turn = np.block([[zero, R], [R, zero]])
    turned = turn @ covariance @ turn.T
    return (turned + turned.T) / 2


def is_covariance(values: np.ndarray) -> bool:
    if values.shape != (6, 6) or not np.isfinite(values).all() or not np.allclose(values, values.T, rtol=1e-3):
        return False
    least, *_, most = np.linalg.eigvalsh(values / 2 + values.T / 2)
    return bool(max(LEAST_VARIANCE, LEAST_RATIO * most) <= least and most <= MOST_VARIANCE)


def numbers(values) -> str:
    """With all their digits."""
    return " ".join(repr(float(value)) for value in values)


def load_gtsam():
    try:
        import gtsam
    except ImportError as problem:
        raise ModelError(
            f"the pose graph needs GTSAM ({problem}): pip install 'vxp_ros[slam]' on Python 3.11 or later"
        ) from problem
    return gtsam
