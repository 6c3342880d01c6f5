"""report.html: one file without external parts, for a phone, a screen and a printer."""

import base64
from pathlib import Path

import cv2
import jinja2
import numpy as np

from .pictures import Pictures
from .record import MODES, DemoRun
from .template import TEMPLATE

# In the order in which a frame meets them; whatever else a node measures comes after.
STAGES = (
    "end_to_end", "total", "convert", "image", "image_encoder", "points", "lidar_encoder", "search", "publish",
)  # fmt: skip

# Of the processes of a phase; the node is the mapper, the localizer or the loop closer.
ROLES = ("node", "graph", "recorder", "player")


def write_report(run: DemoRun, pictures: Pictures, path: Path) -> None:
    """Render the run into `path`."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
                                     lstrip_blocks=True)  # fmt: skip
    environment.filters.update(percent=percent, share=share, number=number, picture=as_data_uri)
    html = environment.from_string(TEMPLATE).render(
        summary=run.summary,
        modes=MODES,
        pictures=pictures,
        stages=stage_names(run.summary),
        roles=ROLES,
        costs=processes_by_phase(run.summary),
    )
    path.write_text(html, encoding="utf-8")


def stage_names(summary: dict) -> list[str]:
    """All stages that any mode measured, in the order of `STAGES`."""
    names = list(dict.fromkeys(stage for stages in summary["latency_ms_by_mode"].values() for stage in stages))
    return [name for name in STAGES if name in names] + [name for name in names if name not in STAGES]


def processes_by_phase(summary: dict) -> dict[str, dict[str, str]]:
    """{phase: {role: name of the process}}; a phase may have none."""
    phases: dict[str, dict[str, str]] = {phase: {} for phase in summary["seconds"]}
    for name in summary["cpu"]:
        phase, _, kind = name.rpartition(".")
        phases.setdefault(phase, {})[kind if kind in ROLES else "node"] = name
    return phases


def percent(ratio: float | None) -> str:
    return "-" if ratio is None or ratio != ratio else f"{100 * ratio:.0f} %"


def share(hundredths: float | None) -> str:
    return "-" if hundredths is None else f"{hundredths:.0f} %"


def number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None or value != value else f"{value:.{digits}f}"


def as_data_uri(path: Path) -> str:
    """The picture inside the page itself. Photographs as JPEG, a tenth of the size of their PNG."""
    if not path.name.startswith("example"):
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    pixels = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
    jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
