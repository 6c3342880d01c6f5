"""Hours of replay through a localizer and a loop closer: python scripts/benchmark_soak.py BAG --map MAP --minutes 120

The bag is looped at --rate (10) times its speed; both nodes are processes of their own, with the shipped model. Once a
minute the localizer loads its map again, a parameter is set, and the loop closer's map, which grows with the drive, is
cleared. In the warm-up both nodes are held three times until their queues are full: how much those take is bounded, and
would show by chance later. Memory, threads and open files are read from /proc every five seconds; the slope of the
resident sets after the warm-up is fitted by least squares over blocks of --block seconds, the loop closer's at an equal
number of places; so is that of the blocks in use on the nodes' heaps, where a leak shows even while it fills holes. The
naive control is a node in the same replay that keeps each odometry message: the same fit must call it a leak, and the
nodes' own samples with 2 MB/h added to them. `--again FILE` judges a result file anew.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from origin import origin_of
from soak_fit import accounts
from soak_report import NODES, make_report, samples_of
from soak_watch import Watch, keep_every_message, memory_of

from vxp_ros.core.json_file import write_json
from vxp_ros.demo.data import read_moments, rig_parameters
from vxp_ros.demo.processes import Processes, interruptible

SAMPLE_S, MINUTE_S = 5.0, 60.0
HELD_AT_MINUTES, HELD_S = (5, 10, 15), 4.0  # at ten times the speed 40 clouds come meanwhile, and queues hold ten
REMAPPINGS = ("image/compressed:=/camera/image_raw/compressed", "camera_info:=/camera/camera_info")


def main() -> None:
    options = parse_options()
    if options.leak:
        return keep_every_message()
    if options.again:
        report = json.loads(options.again.read_text())
        try:
            samples = samples_of(report)
        except ValueError as problem:
            sys.exit(f"{options.again}: {problem}")
        return finish(options.again, make_report(samples, report | {"block_s": options.block}))
    os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randrange(102))
    with tempfile.TemporaryDirectory() as folder, interruptible():
        logs = options.logs or Path(folder)
        with Processes(
            logs, {"PYTHONPATH": f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}"}
        ) as processes:
            report = soak(options, processes)
    finish(options.out, report)


def finish(path: Path, report: dict) -> None:
    write_json(path, report)
    print(json.dumps({key: value for key, value in report.items() if key != "samples"}, indent=1))
    sys.exit(not report["passed"])


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bag", type=Path, nargs="?", help="a compressed camera, /points and /odom, as `vxp town` makes")
    parser.add_argument("--map", type=Path, help="for the localizer")
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--warmup", type=float, default=30.0, help="minutes that the fit leaves out (default 30)")
    parser.add_argument("--block", type=float, default=300.0, help="seconds that one point of the fit is the mean of")
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path("docs/reliability/soak.json"))
    parser.add_argument("--logs", type=Path, help="folder for the nodes' output")
    parser.add_argument("--again", type=Path, metavar="FILE", help="no soak: judge this result file and rewrite it")
    parser.add_argument("--leak", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def soak(options: argparse.Namespace, processes: Processes) -> dict:
    origin = origin_of(Path(__file__).parents[1])
    rig = rig_parameters(options.bag, read_moments(options.bag)[0])
    children = {name: start_node(processes, name, options, rig) for name in NODES}
    children["leak"] = processes.start("leak", "benchmark_soak", "--leak")
    watch = Watch(children, NODES, options.map.name)
    try:
        watch.wait_for_nodes(600)
        children["player"] = processes.start(
            "player", "vxp_ros.ros.bag_player", options.bag, "--rate", options.rate, "--loop", "--clock", "100",
            "--wait-for-subscribers", "300", "--log", processes.logs / "published.csv",
        )  # fmt: skip
        start, samples = run_for(60 * options.minutes, watch, children)
        offered = (processes.logs / "published.csv").read_text().count("/points")
        exit_codes = {"player": processes.stop(children["player"])}
        watch.spin(3.0)
        counters = {name: accounts(watch.values[name]) for name in NODES}
        exit_codes |= {name: processes.stop(children[name]) for name in NODES}
    finally:
        watch.close()
    facts = {
        "command": " ".join(["python", *sys.argv]),
        **origin,
        "warmup_minutes": options.warmup,
        "block_s": options.block,
        "rate": options.rate,
        "chores": dict(watch.chores),
        "exit_codes": exit_codes,
        "clouds_offered": offered,
        "counters_start": start,
        "counters_end": counters,
    }
    return make_report(samples, facts)


def start_node(processes: Processes, name: str, options: argparse.Namespace, rig: dict):
    settings = rig | {
        "use_sim_time": True,
        "model.weights": "vxp_view",
        "model.device": "cpu",
        "input.max_rate": 0.0,
        "input.max_age": 60.0,  # simulated seconds go ten times as fast as the computer
        "qos.sensor_depth": 10,
    }
    if name == "localizer":
        settings |= {"map.root": str(options.map.absolute().parent), "map.path": options.map.name}
    arguments = [word for key, value in settings.items() for word in ("-p", f"{key}:={json.dumps(value)}")]
    remappings = [word for remapping in REMAPPINGS for word in ("-r", remapping)]
    return processes.start(name, f"vxp_ros.ros.{name}", "--autostart", "--ros-args", *arguments, *remappings)


def run_for(seconds: float, watch: Watch, children: dict) -> tuple[dict, list[dict]]:
    """The counters after the first sample, and one sample each five seconds. Raises ProcessError when a node dies."""
    began, samples, counters, minute = time.monotonic(), [], {}, 0
    while (now := time.monotonic() - began) < seconds:
        if now >= MINUTE_S * (minute + 1):
            minute += 1
            watch.do_chores()
            if minute in HELD_AT_MINUTES:
                watch.hold(HELD_S)
        watch.spin(max(0.0, began + SAMPLE_S * (len(samples) + 1) - time.monotonic()))
        watch.check_alive()
        moment = {name: memory_of(child.process.pid) for name, child in children.items() if name != "player"}
        for name in NODES:
            moment[name]["used_mb"] = watch.used_mb(name)
        samples.append({"t": round(time.monotonic() - began, 1), **moment, **watch.moment()})
        counters = counters or {name: accounts(watch.values[name]) for name in NODES}
    return counters, samples


if __name__ == "__main__":
    main()
