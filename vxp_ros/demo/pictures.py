"""The report's pictures: matches drawn between the drives, latency, and examples a person can judge. PNG files."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np

from .record import MODES, RADIUS_M, Answer, DemoRun

matplotlib.use("Agg")  # no display needed; must come before pyplot

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

RIGHT, WRONG, MAP, QUERY = "#1a936f", "#d1495b", "#8d99ae", "#1d3557"  # told apart by colour-blind people too
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
DRIVE_GAP_M = 100.0
BIRDS_EYE_M = 40.0


@dataclass(frozen=True)
class Pictures:
    """The files of one run. examples: by mode."""

    matches: Path
    latency: Path
    examples: dict[str, list[Path]]


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
        )


def pick_examples(answers: list[Answer]) -> list[Answer]:
    """One right and one wrong answer, where there are such: the middle one of each, so that none is chosen by hand."""
    kinds = [[answer for answer in answers if answer.place is not None and answer.is_right == is_right]
             for is_right in (True, False)]  # fmt: skip
    return [kind[len(kind) // 2] for kind in kinds if kind]


# --- matches between the drives ---------------------------------------------------------------------------------------


def draw_matches(run: DemoRun, path: Path) -> Path:
    """One panel per mode: the map's drives below, the query drives above, a line for every answer."""
    figure, axes = plt.subplots(2, 2, figsize=(10.5, 7.2), layout="constrained")
    layout = DriveLayout(run.place_map.poses[:, :3, 3])
    for axis, mode in zip(axes.flat, MODES, strict=True):
        draw_mode(axis, layout, mode, [answer for answer in run.answers_of(mode) if not answer.is_refusal])
    handles = [
        plt.Line2D([], [], color=MAP, marker="o", markersize=4, lw=1.5, label="map"),
        plt.Line2D([], [], color=QUERY, marker="o", markersize=4, lw=0, label="query"),
        plt.Line2D([], [], color=RIGHT, lw=1.5, label=f"right (within {RADIUS_M:g} m)"),
        plt.Line2D([], [], color=WRONG, lw=1.5, label="wrong"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path)
    plt.close(figure)
    return path


class DriveLayout:
    """Where each drive is drawn: drives lie a kilometre apart, so each gets a cell of its own at one common scale.

    A position keeps its shape within the drive; queries are drawn `LIFT` above the map, so that match lines show.
    """

    COLUMNS = 3
    LIFT = 0.32

    def __init__(self, places: np.ndarray):
        """places: [N, 3] positions in recording order."""
        starts = np.flatnonzero(np.linalg.norm(np.diff(places, axis=0), axis=1) > DRIVE_GAP_M) + 1
        self.drives = np.split(places, starts)
        self.centers = np.array([(drive.min(axis=0) + drive.max(axis=0)) / 2 for drive in self.drives])
        largest = max(float(np.ptp(drive[:, :2], axis=0).max()) for drive in self.drives)
        self.scale = 0.62 / max(largest, 1.0)
        self.axes = [main_axis(drive) for drive in self.drives]

    def drive_of(self, position: np.ndarray) -> int:
        return int(np.linalg.norm(self.centers - position, axis=1).argmin())

    def place(self, position: np.ndarray, lift: float = 0.0) -> np.ndarray:
        """Position [3] in metres -> drawing coordinates [2]; drives run from left to right, sideways is exaggerated."""
        drive = self.drive_of(position)
        along = self.axes[drive] @ (position - self.centers[drive])[:2]
        column, row = drive % self.COLUMNS, drive // self.COLUMNS
        return np.array([column, -row * 1.0]) + self.scale * along + np.array([0.0, lift])


def main_axis(drive: np.ndarray) -> np.ndarray:
    """[2, 2] rotation that turns the drive's direction of travel to the right."""
    direction = drive[-1, :2] - drive[0, :2]
    length = np.linalg.norm(direction)
    x, y = direction / length if length > 1e-6 else np.array([1.0, 0.0])
    return np.array([[x, y], [-y, x]])


def draw_mode(axis: Axes, layout: DriveLayout, mode: str, answers: list[Answer]) -> None:
    for number, drive in enumerate(layout.drives):
        path = np.array([layout.place(position) for position in drive])
        axis.plot(*path.T, color=MAP, marker="o", markersize=3.5, lw=1.5, zorder=2)
        axis.text(path[:, 0].mean(), path[:, 1].min() - 0.1, f"drive {number}", ha="center", va="top", color="#4a5568",
                  fontsize=8)  # fmt: skip
    for answer in sorted(answers, key=lambda entry: entry.is_right):
        query = layout.place(answer.truth[:3, 3], layout.LIFT)
        if answer.place is not None:
            ends = np.array([query, layout.place(answer.place[:3, 3])])
            color, width = (RIGHT, 1.3) if answer.is_right else (WRONG, 0.8)
            axis.plot(*ends.T, color=color, lw=width, alpha=0.9, zorder=3 if answer.is_right else 1)
        axis.plot(*query, color=QUERY, marker="o", markersize=3.5, zorder=4)
    right = sum(answer.is_right for answer in answers)
    query, against = MODES[mode]
    axis.set_title(f"{mode}: {query} against {against} map, {right} of {len(answers)} right")
    axis.set_xlim(-0.5, layout.COLUMNS - 0.5)
    rows = -(-len(layout.drives) // layout.COLUMNS)
    axis.set_ylim(-(rows - 1) - 0.4, 0.6)
    axis.axis("off")


# --- latency ----------------------------------------------------------------------------------------------------------


def draw_latency(run: DemoRun, path: Path) -> Path:
    """A histogram of end-to-end latency per mode, all on one scale."""
    latencies = {
        mode: [answer.end_to_end_ms for answer in run.answers_of(mode) if answer.place is not None] for mode in MODES
    }
    top = max((max(values) for values in latencies.values() if values), default=1.0)
    bins = np.linspace(0.0, top * 1.02, 40)
    figure, axes = plt.subplots(len(MODES), 1, figsize=(8, 5.6), sharex=True, sharey=True, layout="constrained")
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
