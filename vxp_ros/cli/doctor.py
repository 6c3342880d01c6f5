"""`vxp doctor`: is everything there that the nodes need, and if not, how to mend it."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..core.errors import VxpError
from ..core.floors import FLOORS, Floor, parse_version
from ..core.resources import find_config
from .output import DeviceOption, JsonOption, write_json
from .source_options import BaseFrameOption, ImageTopicOption, PointsTopicOption, open_with_topics

# Every process with our Fast DDS profile takes a segment of 64 MiB; localizer, player, recorder and RViz take four.
SHARED_MEMORY_BYTES = 4 * 64 * 2**20


@dataclass(frozen=True)
class Finding:
    """One line of the report. fix: what to do about it, empty when all is well."""

    level: Literal["OK", "WARN", "FAIL"]
    name: str
    text: str
    fix: str = ""


def doctor(
    model: Annotated[str, typer.Option(help="Also check this model folder (or shipped name).")] = "",
    map_path: Annotated[Path | None, typer.Option("--map", help="Also check this map, and that MODEL fits it.")] = None,
    topics: Annotated[bool, typer.Option(help="Also list live sensor topics: publishers, QoS, rate.")] = False,
    overlay: Annotated[str, typer.Option(metavar="SOURCE", help="Also draw the LiDAR on the images of a recording "
                                         "(bag:PATH, kitti:ROOT:SEQ, nuscenes:ROOT[:SCENE]).")] = "",
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="The picture to make.")] = Path("overlay.png"),
    image_topic: ImageTopicOption = None,
    points_topic: PointsTopicOption = None,
    base_frame: BaseFrameOption = None,
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:  # fmt: skip
    """Check devices, packages, ROS, how model and map fit, and the calibration. Exit code 1 if anything fails."""
    findings = []
    checks = [examine(model, map_path, device, topics)]
    if overlay:
        checks.append(check_overlay(overlay, out, image_topic, points_topic, base_frame))
    for finding in chain(*checks):
        findings.append(finding)
        print_finding(finding)
    write_json(json_file, {"findings": [asdict(finding) for finding in findings]})
    if any(finding.level == "FAIL" for finding in findings):
        raise typer.Exit(1)


def examine(model: str, map_path: Path | None, device: str, topics: bool) -> Iterator[Finding]:
    yield check_python(sys.version_info)
    for package in ("torch", "safetensors"):  # faiss, which has several distributions, is imported below
        yield check_floor(FLOORS[package])
    yield check_device(device)
    yield check_spconv()
    yield check_import("faiss", "vxp_ros.core.index", "the map's search")
    yield check_import("OpenCV", "cv2", "images")
    yield from check_ros()
    if model or map_path:
        yield from check_model_and_map(model, map_path, device)
    if topics:
        yield from check_topics()


def print_finding(finding: Finding) -> None:
    color = {"OK": typer.colors.GREEN, "WARN": typer.colors.YELLOW, "FAIL": typer.colors.RED}[finding.level]
    typer.echo(f"{typer.style(finding.level.ljust(4), fg=color)}  {finding.name}: {finding.text}")
    if finding.fix:
        typer.echo(f"      fix: {finding.fix}")


def check_python(running) -> Finding:
    text = f"{running[0]}.{running[1]} at {sys.executable}"
    if (3, 10) <= tuple(running[:2]) <= (3, 13):
        return Finding("OK", "Python", text)
    return Finding("FAIL", "Python", text, "use Python 3.10 to 3.13: spconv has no wheels for others")


def check_floor(floor: Floor) -> Finding:
    """A dependency must not be older than the release that closed its last known hole."""
    fix = f"{sys.executable} -m pip install '{floor.distribution}>={floor.version}'"
    try:
        installed = version(floor.distribution)
    except PackageNotFoundError:
        return Finding("FAIL", floor.distribution, "not installed", fix)
    if parse_version(installed) >= parse_version(floor.version):
        return Finding("OK", floor.distribution, installed)
    text = f"{installed} is too old: releases before {floor.version} {floor.reason}"
    return Finding("FAIL", floor.distribution, text, fix)


def check_device(device: str) -> Finding:
    """device: as --device says."""
    try:
        import torch

        from ..core.encoder import choose_device
    except ImportError as problem:
        return Finding("FAIL", "device", f"torch does not import: {problem}", "install torch as named above")
    try:
        choose_device(device)
    except VxpError as problem:
        return Finding("FAIL", "device", str(problem), "--device auto, or a torch and a driver with CUDA")
    if torch.cuda.is_available():
        return Finding("OK", "device", f"CUDA: {torch.cuda.get_device_name()}; {os.cpu_count()} CPU cores")
    return Finding("OK", "device", f"CPU with {os.cpu_count()} cores; no CUDA device (none is needed)")


def check_spconv() -> Finding:
    """The networks run without spconv, so its absence is no failure."""
    fix = f"{sys.executable} -m pip install 'vxp_ros[cpu]' (or [cuda])"
    try:
        from ..core.models import sparse
    except ImportError as problem:
        return Finding("FAIL", "spconv", f"needed by LiDAR networks, but: {problem}", fix)
    if sparse.spconv_ops is not None:
        return Finding("OK", "spconv", "works (LiDAR networks)")
    state = "not installed" if importlib.util.find_spec("spconv") is None else f"broken ({sparse.spconv_problem})"
    return Finding("WARN", "spconv", f"{state}: the slow fallback in plain torch is used", fix)


def check_import(name: str, module: str, purpose: str) -> Finding:
    """Import the one module of ours that uses the package, so that a broken build of it shows here."""
    try:
        importlib.import_module(module)
    except ImportError as problem:
        fix = f"{sys.executable} -m pip install 'vxp_ros[cpu]' (or [cuda])"
        return Finding("FAIL", name, f"needed by {purpose}, but: {problem}", fix)
    return Finding("OK", name, f"works ({purpose})")


def check_ros() -> Iterator[Finding]:
    """Everything of ROS that can be checked without a running graph."""
    if importlib.util.find_spec("rclpy") is None:
        fix = "source /opt/ros/DISTRO/setup.bash, or install ROS 2 from PyPI with scripts/setup.sh"
        yield Finding("WARN", "rclpy", "not found: the command line works, the nodes do not", fix)
        return
    try:
        from ..ros.topic_check import middleware

        rmw = middleware()
    except ImportError as problem:
        yield Finding("FAIL", "rclpy", f"found but broken: {problem}", "install ros-rmw-fastrtps-cpp beside ros-rclpy")
        return
    yield Finding("OK", "rclpy", f"ROS 2 {os.environ.get('ROS_DISTRO', '(ROS_DISTRO is not set)')}, {rmw}")
    yield check_messages()
    if "fastrtps" in rmw:
        yield check_profile(os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE", ""))
        yield check_shared_memory(Path("/dev/shm"))


def check_messages() -> Finding:
    try:
        for module in ("vxp_ros.msg", "vxp_ros.srv"):
            importlib.import_module(module)
    except ImportError as problem:
        return Finding("FAIL", "messages", f"not built, or their workspace is not sourced: {problem}",
                       "colcon build --symlink-install, then source install/local_setup.bash")  # fmt: skip
    return Finding("OK", "messages", "vxp_ros.msg and vxp_ros.srv are built")


def check_profile(path: str) -> Finding:
    """Fast DDS loses large best-effort messages with its own defaults (rmw_fastrtps issues 576, 739)."""
    fix = f"export FASTDDS_DEFAULT_PROFILES_FILE={find_config('fastdds_large_data.xml')} in every terminal"
    if not path:
        return Finding("WARN", "Fast DDS profile", "not set: best-effort clouds and images will be lost", fix)
    if not Path(path).is_file():
        return Finding("FAIL", "Fast DDS profile", f"{path} does not exist", fix)
    return Finding("OK", "Fast DDS profile", path)


def check_shared_memory(folder: Path) -> Finding:
    if not folder.is_dir():
        return Finding("WARN", "shared memory", f"{folder} does not exist", "messages go through UDP: use wired links")
    info = os.statvfs(folder)
    total, free = info.f_blocks * info.f_frsize, info.f_bavail * info.f_frsize
    text = f"{free / 2**20:.0f} of {total / 2**20:.0f} MiB free in {folder}"
    if free >= SHARED_MEMORY_BYTES:
        return Finding("OK", "shared memory", text)
    fix = "docker run --ipc=host or --shm-size=1g; remove files fastdds_* that killed processes left behind"
    return Finding("WARN", "shared memory", f"{text}, every process needs 64 MiB", fix)


def check_model_and_map(model: str, map_path: Path | None, device: str) -> Iterator[Finding]:
    encoder = None
    if model:
        from ..core.encoder import Encoder

        try:
            encoder = Encoder.load(model, device)
            what = f"{encoder.model_id}: {encoder.recipe.lengths_in_words()}"
            yield Finding("OK", "model", f"{what}, on {encoder.device}")
        except VxpError as problem:
            yield Finding("FAIL", "model", str(problem), "vxp model init vxp_lite --out DIR, or give another folder")
    if map_path:
        yield check_map_file(map_path, encoder)


def check_map_file(path: Path, encoder) -> Finding:
    from ..core.map_store import load_map

    try:
        place_map = load_map(path, models=encoder and dict.fromkeys(encoder.modalities, encoder.model_id))
    except VxpError as problem:
        return Finding("FAIL", "map", str(problem), "build the map again with this model: vxp map build --overwrite")
    fit = f", fits {encoder.model_id}" if encoder else ""
    return Finding("OK", "map", f"{place_map.map_id}: {len(place_map)} places{fit}")


def check_topics() -> Iterator[Finding]:
    if importlib.util.find_spec("rclpy") is None:
        yield Finding("FAIL", "topics", "cannot be listed without rclpy", "source ROS 2 first")
        return
    from ..ros.topic_check import watch_topics

    reports = watch_topics()
    if not reports:
        fix = "start the drivers or a bag; compare ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE"
        yield Finding("WARN", "topics", "no image, cloud or odometry is published in this ROS_DOMAIN_ID", fix)
    for report in reports:
        text = f"{report.type}, {report.publishers} publisher(s), {report.reliability}, {report.rate_hz:.1f} Hz"
        is_heard = report.rate_hz > 0
        fix = "" if is_heard else "the publisher sends nothing, or large messages are lost: see Fast DDS profile above"
        yield Finding("OK" if is_heard else "WARN", f"topic {report.topic}", text, fix)


def check_overlay(
    source: str, out: Path, image_topic: str | None, points_topic: str | None, base_frame: str | None
) -> Iterator[Finding]:
    """Whether a calibration is right only people see; that a camera sees no point at all is told."""
    from .overlay import draw_overlay, write_picture

    try:
        overlay = draw_overlay(open_with_topics(source, image_topic, points_topic, None, base_frame))
        write_picture(overlay.picture, out)
    except VxpError as problem:
        yield Finding("FAIL", "overlay", str(problem), "a source with calibrated cameras and LiDAR points")
        return
    except OSError as problem:
        yield Finding("FAIL", "overlay", f"cannot write {out}: {problem.strerror or problem}", "another --out")
        return
    counts = ", ".join(f"{count} in {name}" for name, count in overlay.seen.items())
    yield Finding("OK", "overlay", f"{out}: LiDAR points {counts}; do they lie on the things in the picture?")
    blind = [name for name, count in overlay.seen.items() if count == 0]
    if blind:
        fix = "check where camera and LiDAR sit (/tf_static, extrinsics); optical frames look along z, x to the right"
        yield Finding("WARN", "overlay", f"no LiDAR point falls into the image of {' and '.join(blind)}", fix)
