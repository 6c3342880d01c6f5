"""What the soak of hours calls passed: samples and counts that are made up stand for those of two hours."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from soak_report import NODES, judged, make_report, samples_of

RESULTS = Path(__file__).parents[1] / "docs" / "reliability"


def soak(
    drift=0.0,
    noise=3.0,
    frames=900,
    chores=20,
    leaked_files=0,
    early=0.0,
    loop_closer=0.0,
    registrations=130,
    in_use=None,
) -> tuple[dict, list[dict]]:
    """(report, samples) of two hours at five seconds; drift and loop_closer: of the nodes in MB/h; noise: in MB;
    leaked_files: by its end; early: MB that it takes in the first half hour, which the fit leaves out.
    in_use: MB/h of nodes' blocks that fill holes of their heaps; drifts widen the holes.
    The loop closer's map takes 100 MB for 1,000 places, and grows faster on a computer that has less to do."""
    rng, in_use = np.random.default_rng(0), in_use or {}

    def process(mb, slope, t, hidden):
        children = 60.0 + 70.0 * (rng.random() < 0.4)  # a fork now and then
        size = round(mb + slope * t / 3600 + float(rng.normal(0, noise)), 3)
        files = 25 + int(leaked_files * t / 7200)
        used = round(250 + hidden * t / 3600 + float(rng.normal(0, noise)), 3)
        return {"rss_mb": size, "used_mb": used, "children_mb": children, "threads": 20, "files": files}

    samples = []
    for t in np.arange(5.0, 7205.0, 5.0).tolist():
        start = 600 + early * min(1.0, t / 1800)
        places = int((10 + 3 * np.sin(t / 1500)) * (t % 60))
        sizes = {
            "localizer": (start, drift, t, in_use.get("localizer", 0.0)),
            "loop_closer": (560 + 0.1 * places, loop_closer, t, in_use.get("loop_closer", 0.0)),
            "leak": (370, 83, t, 0.0),
        }
        moment = {name: process(*size) for name, size in sizes.items()}
        samples.append({"t": t, **moment, "places": places, "total_ms_p95": 300.0})
    counters = [{name: {"sync": {"processed": n, "is_balanced": True}} for name in NODES} for n in (10, 10 + frames)]
    facts = {
        "warmup_minutes": 30, "block_s": 300, "exit_codes": {}, "counters_start": counters[0],
        "counters_end": counters[1], "chores": {"set_done": chores, "load_done": chores, "clear_done": chores,
                                                "registrations": registrations},
    }  # fmt: skip
    return make_report(samples, facts), samples


def failed(report) -> list[str]:
    assert report["passed"] == all(report["checks"].values())
    return [name for name, is_good in report["checks"].items() if not is_good]


def test_nodes_that_work_and_do_not_grow_pass():
    report, _ = soak()
    assert failed(report) == []
    for name in NODES:
        added = report["with_added_leak"][name]["mb_per_hour"] - report["nodes"][name]["mb_per_hour"]
        assert added == pytest.approx(2.0, abs=0.01)


def test_a_file_is_judged_as_the_soak_was():
    report = json.loads(json.dumps(soak()[0]))
    again = make_report(samples_of(report), report)
    assert again == report and again["passed"]


@pytest.mark.parametrize(
    "options, check",
    [
        ({"frames": 0}, "frames processed"),
        ({"frames": 100}, "frames processed"),
        ({"chores": 0}, "chores done"),
        ({"registrations": 100}, "registrations"),
        ({"drift": 2.0}, "slopes below the limit"),
        ({"loop_closer": 2.0}, "slopes below the limit"),
        ({"in_use": {"localizer": 2.0}}, "blocks in use below the limit"),
        ({"in_use": {"loop_closer": 2.0}}, "blocks in use below the limit"),
        ({"in_use": {"loop_closer": -5.0}}, "2 MB/h more are called a leak"),
        ({"leaked_files": 9}, "no more threads and files at the end"),
        ({"early": 100.0}, "at the end at most 1.05 times the memory"),
        ({"drift": -5.0}, "2 MB/h more are called a leak"),
        ({"loop_closer": -5.0}, "2 MB/h more are called a leak"),
    ],
)
def test_idle_growing_and_unsure_ones_do_not(options, check):
    assert failed(soak(**options)[0]) == [check]


def test_a_file_of_one_sample_is_judged_and_fails():
    report, samples = soak()
    assert failed(judged(report, samples[-1:])) == ["2 MB/h more are called a leak"]


def test_the_loop_closer_is_judged_at_an_equal_map():
    node = soak(loop_closer=0.5)[0]["nodes"]["loop_closer"]
    assert node["mb_per_hour"] == pytest.approx(0.5, abs=0.3)
    assert node["standard_error"] < 0.3 < node["with_map_error"]  # the control: with its map no leak of 1 MB/h shows
    assert node["mb_per_1000_places"] == pytest.approx(100, abs=2)


def test_too_much_noise_proves_nothing():
    assert "slopes below the limit" in failed(soak(noise=60.0)[0])


def test_blocks_in_use_that_are_not_known_prove_nothing():
    report, samples = soak()
    samples[-1]["localizer"]["used_mb"] = 0.0
    assert "blocks in use below the limit" in failed(make_report(samples, report))


@pytest.mark.parametrize("path", sorted(RESULTS.glob("soak_*.json")), ids=lambda path: path.name)
def test_a_file_of_an_older_soak_is_not_judged_anew(path):
    with pytest.raises(ValueError, match="older soak"):
        samples_of(json.loads(path.read_text()))


def test_the_soak_that_is_told_of_passed():
    report = json.loads((RESULTS / "soak.json").read_text())
    assert failed(make_report(samples_of(report), report)) == []
    assert report["minutes"] >= 120 and report["passed"]
