"""Minutes of a drive at its own speed through localizer and loop closer: python scripts/benchmark_live.py BAG --map MAP

The bag, sensors at 10 Hz, is played in a loop; both nodes are processes of their own, with the shipped model and their
default settings but the rig's. Measured: answers, verifications and keyframes per second, what waits (`in_flight`) once
every five seconds, and the loop closer's memory over the places that it holds.
"""

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path

from benchmark_soak import NODES, REMAPPINGS
from soak_fit import accounts, extent, per_thousand_places
from soak_watch import Watch, memory_of

from vxp_ros.core.json_file import write_json
from vxp_ros.demo.data import read_moments, rig_parameters
from vxp_ros.demo.processes import Processes, interruptible

SAMPLE_S = 5.0


def main() -> None:
    options = parse_options()
    os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randrange(102))
    with (
        tempfile.TemporaryDirectory() as folder,
        interruptible(),
        Processes(options.logs or Path(folder), {}) as processes,
    ):
        report = drive(options, processes)
    write_json(options.out, report)
    print(json.dumps(report, indent=1))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bag", type=Path, help="a compressed camera, /points and /odom, as `vxp town --rate 10` makes")
    parser.add_argument("--map", type=Path, required=True, help="for the localizer")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--logs", type=Path, help="folder for the nodes' output")
    return parser.parse_args()


def drive(options: argparse.Namespace, processes: Processes) -> dict:
    rig = rig_parameters(options.bag, read_moments(options.bag)[0])
    children = {name: start_node(processes, name, options, rig) for name in NODES}
    watch = Watch(children, NODES, options.map.name)
    try:
        watch.wait_for_nodes(300)
        children["player"] = processes.start(
            "player", "vxp_ros.ros.bag_player", options.bag, "--loop", "--clock", "100",
            "--wait-for-subscribers", "300", "--log", processes.logs / "published.csv",
        )  # fmt: skip
        samples = sample_for(60 * options.minutes, watch, children)
        processes.stop(children["player"])
        watch.spin(3.0)
        reports = {name: dict(watch.values[name]) for name in NODES}
        exit_codes = {name: processes.stop(children[name]) for name in NODES}
    finally:
        watch.close()
    return summary(samples, reports, exit_codes)


def start_node(processes: Processes, name: str, options: argparse.Namespace, rig: dict):
    settings = rig | {"use_sim_time": True, "model.weights": "vxp_view", "model.device": "cpu"}
    if name == "localizer":
        settings |= {"map.root": str(options.map.absolute().parent), "map.path": options.map.name}
    arguments = [word for key, value in settings.items() for word in ("-p", f"{key}:={json.dumps(value)}")]
    remappings = [word for remapping in REMAPPINGS for word in ("-r", remapping)]
    return processes.start(name, f"vxp_ros.ros.{name}", "--autostart", "--ros-args", *arguments, *remappings)


def sample_for(seconds: float, watch: Watch, children: dict) -> list[dict]:
    """Raises ProcessError when a node dies."""
    began, samples = time.monotonic(), []
    while time.monotonic() - began < seconds:
        watch.spin(max(0.0, began + SAMPLE_S * (len(samples) + 1) - time.monotonic()))
        watch.check_alive()
        counts = {name: accounts(watch.values[name]) for name in NODES}
        waiting = {name: sum(account["in_flight"] for account in counts[name].values()) for name in NODES}
        processed = {name: counts[name].get("sync", {}).get("processed", 0) for name in NODES}
        memory = {name: memory_of(children[name].process.pid) for name in NODES}
        samples.append({"t": time.monotonic() - began, "waiting": waiting, "processed": processed, **memory,
                        **watch.moment()})  # fmt: skip
    return samples


def summary(samples: list[dict], reports: dict, exit_codes: dict) -> dict:
    first, last = samples[0], samples[-1]
    seconds = last["t"] - first["t"]
    tenth = max(1, len(samples) // 10)
    nodes = {}
    for name in NODES:
        waiting = [sample["waiting"][name] for sample in samples]
        nodes[name] = {
            "processed_per_s": round((last["processed"][name] - first["processed"][name]) / seconds, 3),
            "waiting_first_tenth": round(sum(waiting[:tenth]) / tenth, 2),
            "waiting_last_tenth": round(sum(waiting[-tenth:]) / tenth, 2),
            "waiting_most": max(waiting),
            "rss_mb": extent(samples, name, "rss_mb"),
            "accounts": accounts(reports[name]),
        }
    nodes["loop_closer"] |= per_thousand_places(samples)
    return {"minutes": round(last["t"] / 60, 1), "nodes": nodes, "reports": reports, "exit_codes": exit_codes}


if __name__ == "__main__":
    main()
