"""report.html: one file without external parts, for a phone, a screen and a printer."""

import base64
from pathlib import Path

import cv2
import jinja2
import numpy as np

from .pictures import Pictures
from .record import MODES, RADIUS_M, DemoRun
from .template import TEMPLATE

# In the order in which a frame meets them; whatever else a node measures comes after.
STAGES = (
    "end_to_end", "total", "convert", "image", "image_encoder", "voxels", "lidar_encoder", "search", "publish",
)  # fmt: skip


def write_report(run: DemoRun, pictures: Pictures, path: Path) -> None:
    """Render the run into `path`."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
                                     lstrip_blocks=True)  # fmt: skip
    environment.filters.update(percent=percent, number=number, picture=as_data_uri)
    html = environment.from_string(TEMPLATE).render(
        summary=run.summary, modes=MODES, radius=RADIUS_M, pictures=pictures, stages=stage_names(run.summary)
    )
    path.write_text(html, encoding="utf-8")


def stage_names(summary: dict) -> list[str]:
    """All stages that any mode measured, in the order of `STAGES`."""
    names = list(dict.fromkeys(stage for stages in summary["latency_ms_by_mode"].values() for stage in stages))
    return [name for name in STAGES if name in names] + [name for name in names if name not in STAGES]


def percent(share: float | None) -> str:
    return "-" if share is None or share != share else f"{100 * share:.0f} %"


def number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None or value != value else f"{value:.{digits}f}"


def as_data_uri(path: Path) -> str:
    """The picture inside the page itself. Photographs as JPEG, a tenth of the size of their PNG."""
    if not path.name.startswith("example"):
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    pixels = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
    jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
