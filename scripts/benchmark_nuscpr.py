"""Seconds of `vxp nuscpr` on made-up tables as large as nuScenes trainval: python scripts/benchmark_nuscpr.py

34,149 keyframes of 850 scenes in 68 drives. With --sweeps 5 the tables have 2.5 million rows of sample_data, as
many as the real ones; without, keyframes only. Reading is timed apart, because both schemes do it.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "test/training"))

from nuscpr_world import TRAINVAL, VERSION, write_tables

from vxp_training.datasets.nusc_pr.compat import NuscPrCompat
from vxp_training.datasets.nusc_pr.infos import read_tables
from vxp_training.datasets.nusc_pr.make import FOLDERS, make_split
from vxp_training.datasets.nusc_pr.read import read_infos, read_split
from vxp_training.protocols.trial import parse_switches

KEYFRAMES = 34_149


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=0, help="rows between two keyframes, per sensor")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_tables(root / "data", TRAINVAL, KEYFRAMES, options.sweeps, street_m=3000.0)
        megabytes = sum(path.stat().st_size for path in (root / "data" / VERSION).iterdir()) / 1e6
        print(f"tables of {megabytes:.0f} MB; {os.cpu_count()} cores, one thread each")
        timed("read the tables", lambda: read_tables(root / "data", VERSION))
        for rule, switches in (("leak-free", ""), ("published", "all")):
            compat = parse_switches(NuscPrCompat, switches)
            for scheme in FOLDERS:
                out = root / rule
                facts = timed(f"{scheme}, {rule}, whole command",
                              lambda scheme=scheme, out=out, compat=compat:
                              make_split(scheme, root / "data", VERSION, out, compat=compat))  # fmt: skip
                for name, numbers in facts["districts"].items():
                    print(f"  {name:4} {numbers}")
                timed("  read_split", lambda scheme=scheme, out=out: read_split(out / FOLDERS[scheme]))
                timed("  read_infos", lambda scheme=scheme, out=out: read_infos(out / FOLDERS[scheme]))


def timed(name: str, run):
    """Says CPU time too, in which a busy machine matters little."""
    start, cpu = time.monotonic(), time.process_time()
    result = run()
    print(f"{name}: {time.monotonic() - start:.1f} s, CPU {time.process_time() - cpu:.1f} s", flush=True)
    return result


if __name__ == "__main__":
    main()
