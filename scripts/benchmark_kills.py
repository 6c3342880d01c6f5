"""Kills `vxp train` at random moments and resumes it: python scripts/benchmark_kills.py --data DIR... --validate DIR

One unbroken run, then one that is killed (SIGKILL) --kills times and finished. Prints whether each step's loss and the
final weights are the same. RECIPE must be short: every resume starts a new process.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vxp_ros.core.json_file import write_json
from vxp_ros.core.model_store import load_model


def main() -> None:
    options = parse_options()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder, "whole"), Path(folder, "broken")
        began = time.monotonic()
        start(options, whole).wait()
        seconds = time.monotonic() - began
        kills = kill_until_done(options, broken, seconds)
        report = {
            "steps": len(losses(whole)),
            "kills": kills,
            "unbroken_s": round(seconds, 1),
            "same_losses": losses(whole) == losses(broken),
            "same_model": load_model(whole / "model").model_id == load_model(broken / "model").model_id,
        }
    print(json.dumps(report, indent=2))
    if options.json:
        write_json(options.json, report)
    sys.exit(not (report["same_losses"] and report["same_model"] and len(kills) == options.kills))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="training recipe: a name or a YAML file")
    parser.add_argument("--data", nargs="+", required=True, metavar="DIR", help="prepared folders to train on")
    parser.add_argument("--validate", nargs="*", default=[], metavar="DIR", help="prepared folders to validate on")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def start(options: argparse.Namespace, out: Path) -> subprocess.Popen:
    folders = [*(f"--data={folder}" for folder in options.data), *(f"--validate={x}" for x in options.validate)]
    command = [sys.executable, "-m", "vxp_ros.cli.main", "train", options.recipe, f"--out={out}", *folders]
    return subprocess.Popen([*command, "--device=cpu"], stderr=subprocess.DEVNULL)


def kill_until_done(options: argparse.Namespace, out: Path, seconds: float) -> list[dict]:
    """Each run may go on for a random part of what an unbroken one takes from its start to the end, spread so that
    there is work left for every kill. Returns where the run stood at each kill."""
    kills = []
    while len(kills) < options.kills:
        process = start(options, out)
        before = len(losses(out))
        while process.poll() is None and len(losses(out)) == before:  # start-up; a kill here would test nothing
            time.sleep(0.01)
        time.sleep(random.uniform(0, seconds / options.kills / 4))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills.append({"steps_logged": len(losses(out)), "stage": stages(out)[-1] if stages(out) else ""})
    start(options, out).wait()
    return kills


def stages(out: Path) -> list[str]:
    return sorted(file.parent.name for file in out.glob("*/log.jsonl"))


def losses(out: Path) -> list[float]:
    """Of all steps that the logs hold, stage after stage; half a line, as a kill may leave it, does not count."""
    values = []
    for stage in stages(out):
        for line in (out / stage / "log.jsonl").read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry["kind"] == "step":
                values.append(entry["loss"])
    return values


if __name__ == "__main__":
    main()
