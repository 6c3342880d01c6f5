"""The report's pictures: matches drawn on the map, latency, and examples a person can judge. PNG files."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np

from .loops import LoopAct, metres_off
from .record import MODES, Answer, DemoRun

matplotlib.use("Agg")  # no display needed; must come before pyplot

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

# Told apart by colour-blind people too.
RIGHT, WRONG, MAP, QUERY, UNKNOWN = "#1a936f", "#d1495b", "#c3c9d4", "#1d3557", "#e9b44c"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#b8bec9",
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": "#4a5568",
    "ytick.color": "#4a5568",
    "figure.facecolor": "white",
    "savefig.dpi": 150,
}
# Positions farther apart than this in time order belong to another drive.
DRIVE_GAP_M = 30.0
BIRDS_EYE_M = 40.0


@dataclass(frozen=True)
class Pictures:
    """The files of one run. examples: by mode; loops: None without a second act."""

    matches: Path
    latency: Path
    examples: dict[str, list[Path]]
    loops: Path | None


def draw_all(run: DemoRun, folder: Path) -> Pictures:
    """Draw everything into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        return Pictures(
            matches=draw_matches(run, folder / "matches.png"),
            latency=draw_latency(run, folder / "latency.png"),
            examples={
                mode: [
                    draw_example(run, answer, folder / f"example_{mode}_{'right' if answer.is_right else 'wrong'}.png")
                    for answer in pick_examples(run.answers_of(mode))
                ]
                for mode in MODES
            },
            loops=draw_loops(run.act, folder / "loops.png") if run.act else None,
        )


def pick_examples(answers: list[Answer]) -> list[Answer]:
    """One right and one wrong answer, where there are such: the middle one of each, so that none is chosen by hand."""
    kinds = [[answer for answer in answers if answer.place is not None and answer.is_right == is_right]
             for is_right in (True, False)]  # fmt: skip
    return [kind[len(kind) // 2] for kind in kinds if kind]


# --- matches on the map -----------------------------------------------------------------------------------------------


def draw_matches(run: DemoRun, path: Path) -> Path:
    """One panel per mode: the map from above, every query where it truly was, a line to the place it was taken for."""
    places = run.place_map.poses[:, :2, 3]
    figure, axes = plt.subplots(2, 3, figsize=(14.0, 8.4), layout="constrained", sharex=True, sharey=True)
    for axis, mode in zip(axes.flat, MODES, strict=False):
        draw_mode(axis, places, mode, [answer for answer in run.answers_of(mode) if not answer.is_refusal])
    handles = [
        plt.Line2D([], [], color=MAP, lw=2.5, label="mapped drive"),
        plt.Line2D([], [], color=RIGHT, marker="o", markersize=5, lw=0, label="right, believed"),
        plt.Line2D([], [], color=RIGHT, marker="o", markersize=5, lw=0, mfc="white", label="right, not believed"),
        plt.Line2D([], [], color=WRONG, marker="o", markersize=5, lw=1.0, label="wrong, believed"),
        plt.Line2D([], [], color=QUERY, marker="o", markersize=5, lw=0, mfc="white", label="wrong, not believed"),
        plt.Line2D([], [], color=UNKNOWN, lw=6, alpha=0.35, label="not on the map"),
    ]
    figure.get_layout_engine().set(h_pad=0.1)  # inches; the titles above would touch the edge
    axes[0, 2].tick_params(labelbottom=True)  # there is no panel below it
    axes[1, 2].axis("off")
    axes[1, 2].legend(handles=handles, loc="center", frameon=False)
    figure.savefig(path)
    plt.close(figure)
    return path


def draw_mode(axis: Axes, places: np.ndarray, mode: str, answers: list[Answer]) -> None:
    axis.plot(*with_gaps(places).T, color=MAP, lw=2.5, zorder=1)
    for answer in sorted(answers, key=lambda entry: entry.is_right):
        here = answer.truth[:2, 3]
        if not answer.is_known:
            axis.plot(*here, color=UNKNOWN, marker="o", markersize=11, alpha=0.35, mew=0, zorder=0)
        if answer.is_accepted and not answer.is_right:
            axis.plot(*np.array([here, answer.place[:2, 3]]).T, color=WRONG, lw=0.6, alpha=0.6, zorder=2)
        color = RIGHT if answer.is_right else WRONG if answer.is_accepted else QUERY
        axis.plot(*here, color=color, marker="o", markersize=4, mfc=color if answer.is_accepted else "white", zorder=3)
    known = [answer for answer in answers if answer.is_known]
    right = sum(answer.is_right for answer in known)
    query, against = MODES[mode]
    what = "camera and LiDAR at once" if mode == "fused" else f"{query} on {against} map"
    axis.set_title(f"{mode}: {what}, {right} of {len(known)} right")
    axis.set_aspect("equal")
    axis.set_xlabel("metres")


def with_gaps(places: np.ndarray) -> np.ndarray:
    """Positions [N, 2] with a row of NaN wherever the drive jumps, so that no line is drawn there."""
    jumps = np.flatnonzero(np.linalg.norm(np.diff(places, axis=0), axis=1) > DRIVE_GAP_M) + 1
    return np.insert(places.astype(np.float64), jumps, np.nan, axis=0)


# --- latency ----------------------------------------------------------------------------------------------------------


def draw_latency(run: DemoRun, path: Path) -> Path:
    """A histogram of end-to-end latency per mode, all on one scale."""
    latencies = {
        mode: [answer.end_to_end_ms for answer in run.answers_of(mode) if answer.place is not None] for mode in MODES
    }
    top = max((max(values) for values in latencies.values() if values), default=1.0)
    bins = np.linspace(0.0, top * 1.02, 40)
    figure, axes = plt.subplots(len(MODES), 1, figsize=(8, 6.8), sharex=True, sharey=True, layout="constrained")
    for axis, (mode, values) in zip(axes, latencies.items(), strict=True):
        axis.hist(values, bins=bins, color=QUERY, alpha=0.85, rwidth=0.9)
        if values:
            middle = float(np.median(values))
            axis.axvline(middle, color=WRONG, lw=1.2)
            axis.annotate(f"median {middle:.0f} ms", (middle, 1.02), xycoords=("data", "axes fraction"), color=WRONG)
        axis.set_title(mode)
        axis.set_ylabel("answers")
        axis.locator_params(axis="y", integer=True, nbins=4)
    axes[-1].set_xlabel("milliseconds from the publishing of the last sensor message to the receipt of the answer")
    figure.savefig(path)
    plt.close(figure)
    return path


# --- examples ---------------------------------------------------------------------------------------------------------


def draw_example(run: DemoRun, answer: Answer, path: Path) -> Path:
    """What the robot saw beside what the map offered: pictures above, bird's-eye clouds below."""
    moment = next(moment for moment in run.moments if moment.stamp_ns == answer.stamp_ns)
    place = run.place_map.place(answer.place_id)
    color = RIGHT if answer.is_right else WRONG
    figure, axes = plt.subplots(2, 2, figsize=(9, 5.35), layout="constrained", height_ratios=(1, 2.45))
    axes[0, 0].imshow(shrink(moment.image, 620), aspect="equal")
    axes[0, 1].imshow(decode(place.thumbnail), aspect="equal")
    for axis, title, points in (
        (axes[1, 0], "query", moment.points),
        (axes[1, 1], f"place {answer.place_id} of the map", place.cloud),
    ):
        draw_birds_eye(axis, points, color if axis is axes[1, 1] else QUERY)
        axis.set_title(f"{title}, seen from above")
    axes[0, 0].set_title("query: what the robot saw")
    away, verdict = (
        f"{answer.error_m:.{1 if answer.error_m < 100 else 0}f} m away",
        "right" if answer.is_right else "wrong",
    )
    axes[0, 1].set_title(f"best candidate: {away}, {verdict}", color=color)
    for axis in axes[0]:
        axis.set_axis_off()
    figure.savefig(path)
    plt.close(figure)
    return path


def draw_birds_eye(axis: Axes, points: np.ndarray | None, color: str) -> None:
    """Points [N, 3] of the base frame from above, x (forward) up, y (left) to the left; higher points are darker."""
    axis.set_aspect("equal")
    axis.set(xlim=(BIRDS_EYE_M, -BIRDS_EYE_M), ylim=(-BIRDS_EYE_M / 2, BIRDS_EYE_M), xticks=[], yticks=[])
    axis.set_facecolor("#f6f7f9")
    if points is None or not len(points):
        axis.text(0, 0, "no cloud kept", ha="center")
        return
    shade = np.clip((points[:, 2] + 2.0) / 3.0, 0.2, 1.0)
    size = np.clip(60_000 / len(points), 0.5, 3.0)  # the map keeps fewer points than the sensor gives
    axis.scatter(points[:, 1], points[:, 0], s=size, c=color, alpha=shade, linewidths=0, rasterized=True)
    axis.plot(0, 0, marker=(3, 0, 0), color="#111827", markersize=8)
    axis.plot([BIRDS_EYE_M - 5, BIRDS_EYE_M - 15], [-BIRDS_EYE_M / 2 + 3] * 2, color="#111827", lw=2)
    axis.text(BIRDS_EYE_M - 10, -BIRDS_EYE_M / 2 + 4.5, "10 m", ha="center", fontsize=8)


def shrink(pixels: np.ndarray, width: int) -> np.ndarray:
    height = round(pixels.shape[0] * width / pixels.shape[1])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def decode(jpeg: bytes) -> np.ndarray:
    """JPEG bytes -> [H, W, 3] RGB; a grey field where the map kept no picture."""
    if not jpeg:
        return np.full((96, 320, 3), 220, dtype=np.uint8)
    return cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


# --- the second act ---------------------------------------------------------------------------------------------------


def draw_loops(act: LoopAct, path: Path) -> Path:
    """The drive from above by odometry and by the pose graph, each over the truth; how far off both are on the way."""
    figure, axes = plt.subplot_mosaic("ab;cc", figsize=(11.0, 8.6), layout="constrained", height_ratios=(2.4, 1))
    draw_trajectory(axes["a"], act, act.odometry, "before: odometry alone")
    draw_trajectory(axes["b"], act, act.path, "after: with loop closures")
    for closure in act.closures:
        ends = act.path[[closure.first, closure.second], :2, 3]
        axes["b"].plot(*ends.T, color=RIGHT if closure.is_right else WRONG, lw=1.2, marker="o", markersize=3, zorder=4)
    draw_distances(axes["c"], act)
    handles = [
        plt.Line2D([], [], color=MAP, lw=5, label="true drive"),
        plt.Line2D([], [], color=QUERY, lw=1.2, label="trajectory"),
        plt.Line2D([], [], color=RIGHT, lw=1.2, marker="o", markersize=3, label="loop closure, right"),
        plt.Line2D([], [], color=WRONG, lw=1.2, marker="o", markersize=3, label="loop closure, wrong"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path)
    plt.close(figure)
    return path


def draw_trajectory(axis: Axes, act: LoopAct, poses: np.ndarray, title: str) -> None:
    axis.plot(*act.truth[:, :2, 3].T, color=MAP, lw=5, zorder=1)
    axis.plot(*poses[:, :2, 3].T, color=QUERY, lw=1.2, zorder=3)
    axis.plot(*poses[-1, :2, 3], color=QUERY, marker="s", markersize=6, zorder=5)
    axis.annotate("end", poses[-1, :2, 3], xytext=(7, 5), textcoords="offset points", color=QUERY)
    axis.set_title(title)
    axis.set_aspect("equal")
    axis.set_xlabel("metres")


def draw_distances(axis: Axes, act: LoopAct) -> None:
    way = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(act.truth[:, :3, 3], axis=0), axis=1)))
    for poses, color, label in ((act.odometry, WRONG, "odometry alone"), (act.path, RIGHT, "with loop closures")):
        axis.plot(way, metres_off(poses, act.truth), color=color, lw=1.6, label=label)
    for closure in act.closures:
        axis.plot(way[closure.second], 0, color=RIGHT if closure.is_right else WRONG, marker="|", markersize=9)
    axis.set_title("distance from the truth; a tick where a loop was closed")
    axis.set(xlabel="metres driven", ylabel="metres off", xlim=(0, way[-1]), ylim=(0, None))
    axis.legend(frameon=False, loc="upper left")
