"""What is believed of places that the map does not hold: python scripts/benchmark_acceptance.py --out FILE.json

The maps are the sunny days of the towns, a place every 5 m with its point cloud. Asked are, by LiDAR, camera and both:
known places (every 20 m of four other days), unknown ones (the towns' own streets that no map holds, every 10 m and, as
nearly as a node asks, on two days every 2 m; and all days of other towns, every 5 to 20 m), and streets of which the
map holds only the clone: blocks that were built twice, asked of a map that lacks every place within 50 m of the
queries. All settings are the nodes' defaults.

An answer is OK as the localizer says so, verified by the clouds where there are any. It is acted upon when the last so
many OK answers of the drive agree through odometry (`ConsistencyGate`). Odometry here is exact. False: more than 5 m or
10 degrees off for registered poses, 15 m for those of a place; in the unknown, all.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vxp_ros.core.candidates import find_candidates, judge, with_probabilities
from vxp_ros.core.config import MatchSettings, OutputSettings, VerifySettings
from vxp_ros.core.consistency import OF_RECOGNISED, OF_VERIFIED, ConsistencyGate
from vxp_ros.core.datatypes import Modality, Place, Recognition, Status
from vxp_ros.core.encoder import Encoder
from vxp_ros.core.geometry import invert, rotation_angle
from vxp_ros.core.json_file import write_json
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.core.recognizer import small_cloud
from vxp_ros.core.registration import THINNING
from vxp_ros.core.registration_process import RegistrationProcess
from vxp_ros.core.verification import verify
from vxp_training.datasets.town.splits import find_split
from vxp_training.datasets.town.store.recording import record
from vxp_training.datasets.town.store.task import Task
from vxp_training.datasets.town.world import World
from vxp_training.datasets.town_days import RIG

TOWNS, ELSEWHERE = ("town-test-1", "town-test-2"), "town-val"
MAP_DAY, DAYS, HARD_DAY = "sunny", ("sameday", "rain", "night", "snow"), "reverse"
DENSE_DAYS = "sameday", "rain"
ASKED: tuple[Modality, ...] = ("lidar", "camera", "fused")
KNOWN_M, CLEARED_M = 10.0, 50.0
PLACES_IN_A_ROW = 4  # output.min_consistent_places, which a camera needs to move its robot
FAR_M, FAR_DEG, FAR_FROM_PLACE_M = 5.0, 10.0, 15.0


@dataclass(frozen=True)
class Drive:
    """Frames of a town as a robot asks them, in order. poses: [N, 4, 4] T_world_base. vectors: modality -> [N, D]."""

    town: str
    name: str
    poses: np.ndarray
    stamps_ns: list[int]
    clouds: list[np.ndarray]
    vectors: dict[Modality, np.ndarray]

    def __len__(self) -> int:
        return len(self.poses)


@dataclass(frozen=True)
class Outcome:
    """is_known: the map holds a place within 10 m. is_ok, is_acted_on: what became of it. is_right: the pose is."""

    is_known: bool
    is_ok: bool
    is_acted_on: bool
    is_right: bool


def main() -> None:
    options = parse_options()
    encoder = Encoder.load(options.model, "cpu")
    towns = {town: Town(encoder, town) for town in dict.fromkeys((*options.towns, *TOWNS, ELSEWHERE))}
    report = {"model": encoder.model_id, "towns": options.towns, "rows": {}}
    with RegistrationProcess() as process:
        for modality in ASKED:
            asker = Asker(encoder, modality, process)
            groups = [ask_all(asker, towns, town) for town in options.towns]
            report["rows"][modality] = {kind: counts([row for group in groups for row in group[kind]])
                                        for kind in groups[0]}  # fmt: skip
            for kind, numbers in report["rows"][modality].items():
                print(f"{modality:7} {kind:8} {numbers}", flush=True)
    write_json(options.out, report)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--model", default="vxp_view")
    parser.add_argument("--towns", type=lambda text: text.split(","), default=list(TOWNS), metavar="TOWN,..")
    return parser.parse_args()


class Town:
    """The drives of one town, described once."""

    def __init__(self, encoder: Encoder, town: str):
        print(f"{town} ...", flush=True)
        self.name, self.encoder = town, encoder
        self.mapped = self.drive(MAP_DAY, 5.0)
        self.known = [self.drive(day, 20.0, 2.5) for day in DAYS]
        self.hard = self.drive(HARD_DAY, 20.0, 2.5)
        self.away = [self.drive(day, 10.0, route="unmapped") for day in DAYS]
        self.dense = [self.drive(day, 2.0, route="unmapped") for day in DENSE_DAYS if town != ELSEWHERE]

    def drive(self, day: str, spacing: float, start: float = 0.0, route: str = "main") -> Drive:
        frames = list(record(Task(find_split(self.name), day, RIG, spacing=spacing, start=start, route=route)))
        vectors = {modality: np.array([self.encoder.describe(frame, modality).vector for frame in frames])
                   for modality in self.encoder.modalities}  # fmt: skip
        clouds = [small_cloud(frame, THINNING) for frame in frames]
        poses, stamps_ns = np.array([frame.T_odom_base for frame in frames]), [frame.stamp_ns for frame in frames]
        return Drive(self.name, f"{day} {route}", poses, stamps_ns, clouds, vectors)

    def place_map(self, without: np.ndarray | None = None) -> PlaceMap:
        """Of the mapped drive. without: [M, 2] positions around which nothing is mapped."""
        place_map, drive = PlaceMap(dict.fromkeys(self.encoder.modalities, self.encoder.model_id)), self.mapped
        for row, T in enumerate(drive.poses):
            if without is not None and gaps(without, T[:2, 3]).min() < CLEARED_M:
                continue
            vectors = {modality: values[row] for modality, values in drive.vectors.items()}
            place_map.add(Place(drive.stamps_ns[row], T, vectors, cloud=drive.clouds[row]))
        return place_map


def ask_all(asker: "Asker", towns: dict[str, Town], town: str) -> dict[str, list[Outcome]]:
    """kind of queries -> what became of each."""
    home = towns[town]
    others = [other for name, other in towns.items() if name != town]
    strangers = [*home.away, *(drive for other in others for drive in everything(other))]
    place_map = home.place_map()
    return {
        "known": [row for drive in home.known for row in asker.ask(place_map, drive, town)],
        "reverse": asker.ask(place_map, home.hard, town),
        "unknown": [row for drive in strangers for row in asker.ask(place_map, drive, town)],
        "dense": [row for drive in home.dense for row in asker.ask(place_map, drive, town)],
        "clones": [row for drive in clone_drives(home) for row in asker.ask(home.place_map(xy(drive)), drive, town)],
    }


def everything(town: Town) -> list[Drive]:
    return [town.mapped, *town.known, town.hard, *town.away]


def clone_drives(town: Town) -> Iterator[Drive]:
    """The stretches of the known drives that pass a block which stands elsewhere once more."""
    split = find_split(town.name)
    blocks = World(split.seed, split.style, split.size, split.is_hardened).plan.blocks
    looks = [(block.theme, block.seed) for block in blocks]
    centres = np.array([block.outline.mean(axis=0) for block in blocks])
    has_clone = np.array([looks.count(look) > 1 and not block.is_outside
                          for block, look in zip(blocks, looks, strict=True)])  # fmt: skip
    for drive in town.known:
        nearest = np.array([gaps(centres, position).argmin() for position in xy(drive)])
        for number in np.unique(nearest[has_clone[nearest]]):
            yield part(drive, np.flatnonzero(nearest == number))


def part(drive: Drive, rows: np.ndarray) -> Drive:
    return replace(
        drive,
        poses=drive.poses[rows],
        stamps_ns=[drive.stamps_ns[row] for row in rows],
        clouds=[drive.clouds[row] for row in rows],
        vectors={modality: values[rows] for modality, values in drive.vectors.items()},
    )


def xy(drive: Drive) -> np.ndarray:
    return drive.poses[:, :2, 3]


def gaps(points: np.ndarray, position: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points - position, axis=1)


class Asker:
    """Asks as the localizer does, by one modality."""

    def __init__(self, encoder: Encoder, modality: Modality, process: RegistrationProcess):
        self.calibration, self.modality, self.process = encoder.calibration, modality, process

    def ask(self, place_map: PlaceMap, drive: Drive, town: str) -> list[Outcome]:
        """town: the map's; poses of other towns mean nothing in it."""
        outcomes, places = [], place_map.poses[:, :2, 3]
        gate = ConsistencyGate(OF_RECOGNISED if self.modality == "camera" else OF_VERIFIED)
        for row in range(len(drive)):
            answer = self.answer(place_map, drive, row)
            is_ok, T_true = answer.status == Status.OK, drive.poses[row]
            is_acted_on = is_ok and self.admits(gate, answer, T_true)
            is_home = drive.town == town
            is_known = is_home and gaps(places, T_true[:2, 3]).min() <= KNOWN_M
            outcomes.append(Outcome(is_known, is_ok, is_acted_on, is_home and is_ok and is_right(answer, T_true)))
        return outcomes

    def admits(self, gate: ConsistencyGate, answer: Recognition, T_odom_base: np.ndarray) -> bool:
        """As in the localizer, which never acts on places where clouds could have verified them."""
        output, best = OutputSettings(), answer.candidates[0]
        if self.modality == "camera":
            return gate.add(best.T_map_base, T_odom_base, PLACES_IN_A_ROW)
        return best.is_verified and gate.add(best.T_map_base, T_odom_base, output.min_consistent)

    def answer(self, place_map: PlaceMap, drive: Drive, row: int) -> Recognition:
        match, settings = MatchSettings(), VerifySettings()
        found = find_candidates(place_map, drive.vectors[self.modality][row], self.modality, match)
        candidates = with_probabilities(found, self.calibration, self.modality, self.modality)
        status, message = judge(candidates, match)
        answer = Recognition(drive.stamps_ns[row], self.modality, status, message, candidates)
        if self.modality == "camera" or not candidates or candidates[0].probability < settings.min_probability:
            return answer  # so improbable a candidate stays ambiguous, whatever its cloud says
        return verify(answer, drive.clouds[row], place_map, settings, self.process.register)


def is_right(answer: Recognition, T_true: np.ndarray) -> bool:
    best = answer.candidates[0]
    off = invert(T_true) @ best.T_map_base
    metres, degrees = np.linalg.norm(off[:3, 3]), np.degrees(rotation_angle(off[:3, :3]))
    return bool(metres <= FAR_M and degrees <= FAR_DEG) if best.is_registered else bool(metres <= FAR_FROM_PLACE_M)


def counts(outcomes: list[Outcome]) -> dict[str, int]:
    """false: believed and not right. Recall is `right` of `known`."""
    ok, acted_on = [row for row in outcomes if row.is_ok], [row for row in outcomes if row.is_acted_on]
    return {
        "queries": len(outcomes),
        "known": sum(row.is_known for row in outcomes),
        "ok_right": sum(row.is_right for row in ok),
        "ok_false": sum(not row.is_right for row in ok),
        "acted_on_right": sum(row.is_right for row in acted_on),
        "acted_on_false": sum(not row.is_right for row in acted_on),
    }


if __name__ == "__main__":
    main()
