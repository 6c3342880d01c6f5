"""How likely a candidate is right: what the calibration of a model makes of a descriptor's distance and margin.

A file of its own beside model.yaml, so that a model gets a calibration without another id: maps carry the id.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import yaml

from .datatypes import MODALITIES, Modality
from .errors import ModelError
from .yaml_file import read_yaml

CALIBRATION_FILE = "calibration.yaml"
LEAST, MOST = 1e-6, 1e6  # of every number: beyond these it calibrates nothing
Pair = tuple[Modality, Modality]


@dataclass(frozen=True)
class PairCalibration:
    """Of one kind of query against one kind of descriptors; all in units of descriptor distance, above 0.

    half_distance: where it is as likely as not that the map knows the place. distance_scale: how gradually that turns.
    margin_scale: how much nearer than the best other place is clearly nearer.
    """

    half_distance: float
    distance_scale: float
    margin_scale: float

    def probability(self, distance: float, margin: float) -> float:
        """That the map knows the place (by the distance), and that it is this one and not the best other (by the
        margin): of two places equally near each is half as likely. margin may be negative or infinite."""
        is_known = logistic((self.half_distance - distance) / self.distance_scale)
        return is_known * logistic(margin / self.margin_scale)


@dataclass(frozen=True)
class Calibration:
    """pairs: (query, against) -> its numbers; empty: none is known. model_id: whose descriptors they are of. fitted_on:
    the data, and which share of queries was to places that the map knows, in words."""

    pairs: Mapping[Pair, PairCalibration] = field(default_factory=dict)
    model_id: str = ""
    fitted_on: str = ""

    def probability(self, query: Modality, against: Modality, distance: float, margin: float) -> float:
        """In [0, 1]; NaN for a pair that is not calibrated. distance, margin: as of `Candidate`."""
        pair = self.pairs.get((query, against))
        return float("nan") if pair is None else pair.probability(distance, margin)


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -500 else 0.0


def read_calibration(folder: Path, model_id: str) -> Calibration:
    """The calibration in a model's folder, empty where there is none.

    Raises ModelError with one sentence when it is damaged, holds numbers that cannot be, or is of another model.
    """
    path = folder / CALIBRATION_FILE
    if not path.exists():
        return Calibration()
    content = read_yaml(path, CALIBRATION_FILE)
    if not isinstance(content, dict) or set(content) != {"model_id", "fitted_on", "pairs"}:
        raise ModelError(f"{path} must hold model_id, fitted_on and pairs, and nothing else: fit it anew or remove it")
    owner, entries = content["model_id"], content["pairs"]
    if owner != model_id:
        raise ModelError(f"{path} was fitted to the model {owner}, not to {model_id}: fit it anew or remove it")
    if not isinstance(entries, list):
        raise ModelError(f"{path}: pairs must be a list, got {entries!r}")
    pairs = dict(_parse_pair(entry, path) for entry in entries)
    if len(pairs) < len(entries):
        raise ModelError(f"{path} calibrates one pair of query and against twice")
    return Calibration(pairs, model_id, str(content["fitted_on"]))


def _parse_pair(entry: object, path: Path) -> tuple[Pair, PairCalibration]:
    names = [item.name for item in fields(PairCalibration)]
    if not isinstance(entry, dict) or set(entry) != {"query", "against", *names}:
        raise ModelError(f"{path}: each of the pairs must hold query, against, {', '.join(names)}, got {entry!r}")
    for key in ("query", "against"):
        if entry[key] not in MODALITIES:
            raise ModelError(f"{path}: {key} must be one of {', '.join(MODALITIES)}, got {entry[key]!r}")
    for name in names:
        if type(entry[name]) not in (int, float) or not LEAST <= entry[name] <= MOST:  # also refuses NaN
            raise ModelError(f"{path}: {name} must be a number from {LEAST:g} to {MOST:g}, got {entry[name]!r}")
    return (entry["query"], entry["against"]), PairCalibration(*(float(entry[name]) for name in names))


def dump_calibration(calibration: Calibration) -> str:
    """The YAML text of a calibration.yaml."""
    pairs = [{"query": q, "against": a, **asdict(pair)} for (q, a), pair in calibration.pairs.items()]
    content = {"model_id": calibration.model_id, "fitted_on": calibration.fitted_on, "pairs": pairs}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
