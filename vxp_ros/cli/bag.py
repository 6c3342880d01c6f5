"""`vxp bag`: write a rosbag2 from KITTI, look into one."""

from pathlib import Path
from typing import Annotated

import typer

from .output import PARTIAL, JsonOption, write_json

app = typer.Typer(no_args_is_help=True, help="Write and inspect rosbag2 files; works without ROS.")


@app.command("from-kitti")
def from_kitti(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="Holds sequences/NN and poses/NN.txt.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The bag's folder.")],
    sequences: Annotated[str, typer.Option(metavar="00,01,..", help="Which sequences, 1 km apart in the map.")] = "00",
    frames: Annotated[str, typer.Option(metavar="A:B:STEP", help="Which frames of each, as in Python.")] = ":",
    compressed: Annotated[bool, typer.Option(help="JPEG images instead of raw ones.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace the bag.")] = False,
    json_file: JsonOption = None,
) -> None:
    """Write KITTI odometry sequences as one rosbag2 (mcap): camera, LiDAR, odometry, extrinsics and ground truth."""
    from ..sources.bag_writer import write_kitti_bag

    path = write_kitti_bag(root, sequences.split(","), out, parse_slice(frames), compressed, overwrite)
    show(path, json_file)


@app.command("info")
def info(
    bag: Annotated[Path, typer.Argument(metavar="BAG", help="Folder with metadata.yaml, or a .mcap or .db3 file.")],
    json_file: JsonOption = None,
) -> None:
    """List a bag's topics with their counts, types and quality of service. Exit code 2 when the bag is damaged."""
    if show(bag, json_file):
        raise typer.Exit(PARTIAL)


def show(path: Path, json_file: Path | None) -> int:
    """Print the table; return how many damaged parts were met."""
    from ..sources.raw_bag import RawBag

    with RawBag(path) as bag:
        topics = [bag.topics[name] for name in sorted(bag.topics)]
        report = {
            "path": str(path),
            "start_ns": bag.start_ns,
            "duration_s": (bag.end_ns - bag.start_ns) / 1e9,
            "topics": [describe(topic) for topic in topics],
            "damaged": bag.problems["damaged"],
        }
    write_json(json_file, report)
    typer.echo(f"{path}: {report['duration_s']:.1f} s, {sum(entry['count'] for entry in report['topics'])} messages")
    for entry in report["topics"]:  # no table: it would shorten the names that people want to copy
        typer.echo(f"  {entry['count']:7d}  {entry['name']}  {entry['type']}  {entry['qos']}")
    return report["damaged"]


def describe(topic) -> dict:
    qos = "reliable" if topic.qos.is_reliable else "best effort"
    qos += ", transient local" if topic.qos.is_transient_local else ""
    return {"name": topic.name, "type": topic.type, "count": topic.count, "qos": qos}


def parse_slice(text: str) -> slice:
    """slice(A, B, STEP) of "A:B:STEP"; parts may be left out."""
    try:
        start, stop, *step = [int(part) if part else None for part in text.split(":")]
        if len(step) > 1 or (step and step[0] is not None and step[0] < 1):
            raise ValueError
        return slice(start, stop, *step)
    except ValueError:
        raise typer.BadParameter(f"--frames must be A:B or A:B:STEP with whole numbers, got {text!r}") from None
