"""`vxp query`: how well, and how fast, the frames of a recording are found on a map."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..core.errors import MapError, ModelError, SourceError
from .output import (
    PARTIAL,
    DeviceOption,
    JsonOption,
    ModelOption,
    in_words,
    length_of,
    print_table,
    track,
    write_json,
)
from .source_options import (
    BaseFrameOption,
    ImageTopicOption,
    OdomTopicOption,
    PointsTopicOption,
    SourceArgument,
    open_with_topics,
)

if TYPE_CHECKING:
    import numpy as np

    from ..core.datatypes import Frame, Recognition
    from ..core.encoder import Encoder
    from ..core.place_map import PlaceMap
    from ..core.recognizer import PlaceRecognizer

# Metres within which an answer is right. 5, 10, 25 are the field's; 2.5 suits frames that are a metre apart.
RADII = (2.5, 5.0, 10.0, 25.0)
KS = (1, 5, 10)
Choice = Literal["camera", "lidar", "fused"]


@dataclass(frozen=True)
class Outcome:
    """One query: the frame's true position [3] (None: unknown) and what the recognizer said."""

    truth: "np.ndarray | None"
    answer: "Recognition"


def query(
    place_map: Annotated[Path, typer.Argument(metavar="MAP", help="Place map to search.")],
    source: SourceArgument,
    model: ModelOption,
    query: Annotated[Choice, typer.Option(help="Sensor of the queries.")] = "lidar",
    against: Annotated[Choice, typer.Option(help="Descriptors of the map to search.")] = "lidar",
    image_topic: ImageTopicOption = None,
    points_topic: PointsTopicOption = None,
    odom_topic: OdomTopicOption = None,
    base_frame: BaseFrameOption = None,
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Look up every frame of SOURCE on MAP: recall, precision against recall, and latency per stage.

    Recall needs poses in SOURCE in the map's frame. Frames that give no answer count as wrong. Exit code 1: no frame
    was answered; 2: some were refused, or parts of the source were unusable.
    """
    from ..core.config import MatchSettings
    from ..core.encoder import Encoder
    from ..core.map_store import load_map
    from ..core.recognizer import PlaceRecognizer

    frames = open_with_topics(source, image_topic, points_topic, odom_topic, base_frame)
    encoder = Encoder.load(model, device)
    loaded = load_map(place_map, models=dict.fromkeys(encoder.modalities, encoder.model_id))
    check_pair(query, against, encoder, loaded)
    recognizer = PlaceRecognizer(encoder, loaded, MatchSettings(query=query, against=against, top_k=max(KS)))
    outcomes = [ask(recognizer, frame) for frame in track(frames, "querying", length_of(frames))]
    if not outcomes:
        raise SourceError(f"{source} holds no frame")
    report = {"map": loaded.map_id, "source": source, "query": query, "against": against, "model": encoder.model_id}
    report |= evaluate(outcomes, loaded.poses[:, :3, 3])
    report["problems"] = dict(frames.problems)
    write_json(json_file, report)
    print_report(report)
    if exit_code := exit_code_of(report):
        raise typer.Exit(exit_code)


def exit_code_of(report: dict) -> int:
    """1 when no frame got an answer, 2 when some did not or the source had unusable parts, else 0."""
    if report["answered"] == 0:
        return 1
    return PARTIAL if report["refused"] or report["problems"] else 0


def check_pair(query: Choice, against: Choice, encoder: "Encoder", place_map: "PlaceMap") -> None:
    """Raise at once what would otherwise be the answer to every single query."""
    if query not in encoder.modalities:
        has = " and ".join(encoder.modalities)
        raise ModelError(f"--query {query}: model {encoder.model_id} describes by {has}, not by {query}")
    if against not in place_map.modalities:
        has = " and ".join(place_map.modalities) or "no"
        raise MapError(f"--against {against}: map {place_map.map_id} holds {has} descriptors, none by {against}")


def ask(recognizer: "PlaceRecognizer", frame: "Frame") -> Outcome:
    truth = None if frame.T_odom_base is None else frame.T_odom_base[:3, 3]
    return Outcome(truth, recognizer.recognize(frame))


def evaluate(outcomes: list[Outcome], places) -> dict:
    """The numbers of one run. places: [N, 3] positions of the map's places."""
    from ..core.datatypes import Status

    answered = [outcome for outcome in outcomes if outcome.answer.candidates]
    refusals = [outcome.answer for outcome in outcomes if outcome.answer.status in (Status.BAD_INPUT, Status.NO_MAP)]
    with_truth = [outcome for outcome in outcomes if outcome.truth is not None]
    return {
        "queries": len(outcomes),
        "answered": len(answered),
        "with_truth": len(with_truth),
        "refused": len(refusals),
        "refusals": sorted({answer.message for answer in refusals}),
        **(retrieval(with_truth, places) if with_truth else {}),
        "latency_ms": latency(outcomes),
    }


def retrieval(outcomes: list[Outcome], places) -> dict:
    """Recall at every K and radius, and the precision-recall curve at every radius."""
    import numpy as np

    from ..core.evaluate import distances_to_places, precision_recall, recall_at_k

    truth = np.array([outcome.truth for outcome in outcomes])
    nearest = distances_to_places(truth, places).min(axis=1)
    errors = np.array([candidate_errors(outcome, max(KS)) for outcome in outcomes])
    distances = [outcome.answer.candidates[0].distance if outcome.answer.candidates else np.inf for outcome in outcomes]
    recalls = {radius: recall_at_k(errors, nearest, radius, KS) for radius in RADII}
    curves = {radius: precision_recall(distances, errors[:, 0] <= radius, nearest <= radius) for radius in RADII}
    return {
        **{f"recall_at_{k}": {f"{radius:g}": recalls[radius][k] for radius in RADII} for k in KS},
        "answerable": {f"{radius:g}": int((nearest <= radius).sum()) for radius in RADII},
        "precision_recall": {
            f"{radius:g}": {
                "average_precision": curve.average_precision,
                "max_f1": curve.max_f1,
                "recall_at_full_precision": curve.recall_at_full_precision,
                "curve": np.column_stack([curve.thresholds, curve.precision, curve.recall]),
            }
            for radius, curve in curves.items()
        },
    }


def candidate_errors(outcome: Outcome, count: int) -> list[float]:
    """Metres from the truth to each candidate's place, padded with inf to `count`."""
    import numpy as np

    errors = [
        float(np.linalg.norm(candidate.T_map_base[:3, 3] - outcome.truth)) for candidate in outcome.answer.candidates
    ]
    return errors + [float("inf")] * (count - len(errors))


def latency(outcomes: list[Outcome]) -> dict:
    """{stage: {"p50", "p95"}} in milliseconds; the first query, which warms everything up, is left out."""
    from ..core.evaluate import percentiles

    by_stage = defaultdict(list)
    for outcome in outcomes[1:] or outcomes:
        stages = outcome.answer.stage_ms
        for stage, milliseconds in {**stages, **({"total": sum(stages.values())} if stages else {})}.items():
            by_stage[stage].append(milliseconds)
    return {stage: percentiles(values) for stage, values in by_stage.items()}


def print_report(report: dict) -> None:
    pair = f"{report['query']} against {report['against']}"
    print(f"{pair}: {report['answered']} of {report['queries']} queries answered")
    for message in report["refusals"]:
        print(f"refused: {message}")
    if report["problems"]:
        print(f"unusable parts of {report['source']}: {in_words(report['problems'])}")
    if report["with_truth"]:
        rows = [
            [f"{radius:g} m", *(percent(report[f"recall_at_{k}"][f"{radius:g}"]) for k in KS),
             *(percent(report["precision_recall"][f"{radius:g}"][key])
               for key in ("average_precision", "max_f1", "recall_at_full_precision")),
             str(report["answerable"][f"{radius:g}"])]
            for radius in RADII
        ]  # fmt: skip
        header = ["radius", *(f"recall@{k}" for k in KS), "AP", "max F1", "recall at full precision", "answerable"]
        print_table("retrieval (%)", header, rows)
    else:
        print("no recall: the source has no poses")
    stages = [[stage, f"{ms['p50']:.1f}", f"{ms['p95']:.1f}"] for stage, ms in report["latency_ms"].items()]
    print_table("latency (ms)", ["stage", "p50", "p95"], stages)


def percent(share: float) -> str:
    return "-" if share != share else f"{100 * share:.1f}"
