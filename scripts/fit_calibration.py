"""Fits and judges the calibration of a model on Town: python scripts/fit_calibration.py --out FILE.json [--write]

Fitted on town-val alone: places every 5 m of the sunny day; queries every 20 m of sameday, rain, night and snow, and
every 10 m of the streets that the map never sees, on the same days. Each query is asked of the whole map, of its halves
and of its quarters, so that small maps count as much as large ones and mapped streets are unknown ones, too. In each
size queries to known and to unknown places weigh the same: the calibration assumes that half of all queries are to
places that the map does not know. Judged on town-val by halves of the route (each half by what the other taught), and,
frozen, on the test towns, whose unknown queries come from their own unmapped streets and from the other test town.

--write puts calibration.yaml into the model's folder. --plot FILE.png draws the reliability.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vxp_ros.core.calibration import CALIBRATION_FILE, Calibration, PairCalibration, dump_calibration
from vxp_ros.core.config import MatchSettings
from vxp_ros.core.datatypes import Modality, Place
from vxp_ros.core.encoder import Encoder
from vxp_ros.core.json_file import write_json
from vxp_ros.core.model_store import find_model
from vxp_ros.core.place_map import PlaceMap
from vxp_training.calibration import (
    Outcomes,
    ask,
    balanced,
    believed,
    fit_pair,
    log_loss,
    probabilities,
    reliability,
)
from vxp_training.datasets.town.splits import find_split
from vxp_training.datasets.town.store.recording import record
from vxp_training.datasets.town.store.task import Task
from vxp_training.datasets.town_days import RIG

PAIRS = (("camera", "camera"), ("lidar", "lidar"), ("camera", "lidar"), ("lidar", "camera"), ("fused", "fused"))
FIT_TOWN, TEST_TOWNS = "town-val", ("town-test-1", "town-test-2")
MAP_DAY, DAYS, HARD_DAY = "sunny", ("sameday", "rain", "night", "snow"), "reverse"
PARTS = (1, 2, 4)  # the whole map, its halves, its quarters
RADIUS_M, KNOWN_SHARE = 10.0, 0.5
THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True)
class Drive:
    """poses: [N, 4, 4] T_map_base. vectors: modality -> [N, D]."""

    poses: np.ndarray
    vectors: dict[Modality, np.ndarray]

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def positions(self) -> np.ndarray:
        return self.poses[:, :3, 3]


def main() -> None:
    options = parse_options()
    encoder = Encoder.load(options.model)
    fit = Town(encoder, FIT_TOWN)
    pairs, rows = {}, {}
    for pair in PAIRS:
        parts = [part for count in PARTS for part in fit.parts(pair, count)]
        pairs[pair] = fit_parts(parts)
        rows[pair] = cross_validated(parts)
    result = {
        "model": encoder.model_id,
        "pairs": {name(pair): vars(numbers) for pair, numbers in pairs.items()},
        "known_share": KNOWN_SHARE,
        "thresholds": thresholds(rows),
        "default": MatchSettings().min_probability,
        FIT_TOWN: {name(pair): judged(*row) for pair, row in rows.items()},
        **judged_towns(encoder, pairs),
    }
    write_json(options.out, result)
    if options.write:
        text = dump_calibration(Calibration(pairs, encoder.model_id, fitted_on()))
        (find_model(options.model) / CALIBRATION_FILE).write_text(text)
    if options.plot:
        draw(result, options.plot)
    show(result)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--model", default="vxp_view")
    parser.add_argument("--write", action="store_true", help="the calibration into the model's folder")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    return parser.parse_args()


def fitted_on() -> str:
    return (
        f"{FIT_TOWN}: {MAP_DAY} against {', '.join(DAYS)}, right within {RADIUS_M:g} m, {KNOWN_SHARE:.0%} of the "
        "queries to known places; scripts/fit_calibration.py"
    )


def name(pair: tuple[str, str]) -> str:
    return " - ".join(pair)


class Town:
    """The drives of one town, described once. near: the drives through mapped streets; away: the others."""

    def __init__(self, encoder: Encoder, town: str):
        print(f"{town} ...", flush=True)
        self.models = dict.fromkeys(encoder.modalities, encoder.model_id)
        self.encoder, self.town = encoder, town
        self.mapped = self.drive(MAP_DAY, 5.0)
        self.near = [self.drive(day, 20.0, 2.5) for day in DAYS]
        self.away = [self.drive(day, 10.0, route="unmapped") for day in DAYS]

    def drive(self, day: str, spacing: float, start: float = 0.0, route: str = "main") -> Drive:
        frames = list(record(Task(find_split(self.town), day, RIG, spacing=spacing, start=start, route=route)))
        poses = np.array([frame.T_odom_base for frame in frames])
        return Drive(poses, {modality: np.array([self.encoder.describe(frame, modality).vector for frame in frames])
                             for modality in self.encoder.modalities})  # fmt: skip

    def place_map(self, rows: np.ndarray) -> PlaceMap:
        place_map = PlaceMap(self.models)
        for row in rows:
            vectors = {modality: vectors[row] for modality, vectors in self.mapped.vectors.items()}
            place_map.add(Place(int(row), self.mapped.poses[row], vectors))
        return place_map

    def parts(self, pair: tuple[str, str], count: int) -> Iterator[tuple[int, Outcomes, np.ndarray]]:
        """The map cut into `count` parts: for each (count, outcomes of all queries, [Q] which half of the route)."""
        for rows in np.array_split(np.arange(len(self.mapped)), count):
            place_map = self.place_map(rows)
            asked = [answers(place_map, drive, pair) for drive in (*self.near, *self.away)]
            halves = [self.half_of(drive) for drive in self.near]
            halves += [2 * np.arange(len(drive)) // len(drive) for drive in self.away]
            yield count, Outcomes.joined(asked), np.concatenate(halves)

    def half_of(self, drive: Drive) -> np.ndarray:
        gaps = np.linalg.norm(drive.positions[:, None] - self.mapped.positions[None], axis=2)
        return 2 * gaps.argmin(axis=1) // len(self.mapped)


def answers(place_map: PlaceMap, drive: Drive, pair: tuple[str, str], is_elsewhere: bool = False) -> Outcomes:
    """is_elsewhere: the drive is through another town, whatever its poses say."""
    query, against = pair
    positions = drive.positions + np.array([1e6 * is_elsewhere, 0.0, 0.0])
    return ask(place_map, drive.vectors[query], positions, against, RADIUS_M)


def fit_parts(parts: list[tuple[int, Outcomes, np.ndarray]], half: int | None = None) -> PairCalibration:
    """half: only on the queries of that half of the route."""
    sizes = []
    for count in PARTS:
        rows = [outcomes if half is None else outcomes[halves == half] for size, outcomes, halves in parts
                if size == count]  # fmt: skip
        sizes.append(Outcomes.joined(rows))
    weights = np.concatenate([balanced(outcomes, KNOWN_SHARE) / len(PARTS) for outcomes in sizes])
    return fit_pair(Outcomes.joined(sizes), weights)


def cross_validated(parts: list[tuple[int, Outcomes, np.ndarray]]) -> tuple[np.ndarray, Outcomes]:
    """Probabilities of the queries to the whole map, each by what the other half of the route taught."""
    _, whole, halves = parts[0]
    taught = [probabilities(fit_parts(parts, 1 - half), whole) for half in (0, 1)]
    return np.where(halves == 0, taught[0], taught[1]), whole


def thresholds(rows: dict) -> dict[float, dict]:
    """What is believed at each threshold, of all pairs together: the default was chosen from this."""
    probability = np.concatenate([row[0] for row in rows.values()])
    outcomes = Outcomes.joined(row[1] for row in rows.values())
    return {threshold: believed(probability, outcomes, threshold) for threshold in THRESHOLDS}


def judged_towns(encoder: Encoder, pairs: dict) -> dict[str, dict]:
    """Each test town's map, asked by its own drives and by the other test town's."""
    towns = {town: Town(encoder, town) for town in TEST_TOWNS}
    result = {}
    for town, (itself, other) in zip(TEST_TOWNS, (list(towns.values()), list(towns.values())[::-1]), strict=True):
        place_map, hard = itself.place_map(np.arange(len(itself.mapped))), itself.drive(HARD_DAY, 20.0, 2.5)
        result[town] = {}
        for pair, numbers in pairs.items():
            groups = {
                "all": Outcomes.joined(answers(place_map, drive, pair) for drive in (*itself.near, *itself.away)),
                "other town": Outcomes.joined(answers(place_map, drive, pair, True) for drive in other.near),
                HARD_DAY: answers(place_map, hard, pair),
            }
            said = {group: probabilities(numbers, outcomes) for group, outcomes in groups.items()}
            row = {group: believed(said[group], groups[group], MatchSettings().min_probability) for group in groups}
            result[town][name(pair)] = judged(said["all"], groups["all"]) | {"groups": row}
    return result


def judged(probability: np.ndarray, outcomes: Outcomes) -> dict:
    """ECE and reliability as the calibration assumes the mix of queries (balanced) and as it was (as_asked)."""
    even = np.full(len(outcomes), 1 / len(outcomes))
    found = {}
    for mix, weights in (("balanced", balanced(outcomes, KNOWN_SHARE)), ("as_asked", even)):
        curve = reliability(probability, outcomes.is_right, weights)
        found[mix] = {
            "ece": curve.error,
            "log_loss": log_loss(probability, outcomes, weights),
            "said": curve.said,
            "true": curve.true,
            "weight": curve.weight,
        }
    return found | {"believed": believed(probability, outcomes, MatchSettings().min_probability)}


def draw(result: dict, path: Path) -> None:
    import matplotlib.pyplot as plt

    towns = (FIT_TOWN, *TEST_TOWNS)
    figure, axes = plt.subplots(1, len(towns), figsize=(4 * len(towns), 4), sharey=True, layout="constrained")
    for axis, town in zip(axes, towns, strict=True):
        axis.plot([0, 1], [0, 1], color="0.7")
        for pair, row in result[town].items():
            said, true, weight = (np.array(row["balanced"][key]) for key in ("said", "true", "weight"))
            axis.plot(said, true, label=f"{pair}: ECE {row['balanced']['ece']:.3f}")
            axis.scatter(said, true, 300 * weight)
        axis.set(title=town, xlabel="probability said", ylabel="share right", xlim=(0, 1), ylim=(0, 1))
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def show(result: dict) -> None:
    print({pair: {key: round(value, 4) for key, value in row.items()} for pair, row in result["pairs"].items()})
    for threshold, row in result["thresholds"].items():
        print(threshold, {key: round(value, 3) for key, value in row.items()})
    print(f"in use: {result['default']}")
    for town in (FIT_TOWN, *TEST_TOWNS):
        for pair, row in result[town].items():
            errors = {mix: round(row[mix]["ece"], 3) for mix in ("balanced", "as_asked")}
            for group, counts in row.get("groups", {"all": row["believed"]}).items():
                print(f"{town} {pair:16} {group:10} {errors} { {key: round(v, 3) for key, v in counts.items()} }")


if __name__ == "__main__":
    main()
