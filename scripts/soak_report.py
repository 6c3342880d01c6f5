"""From the samples and counts of benchmark_soak.py to its report, and to whether it passed."""

from statistics import median

from soak_fit import NO_SLOPE, at_an_equal_map, extent, in_use, memory_slope, per_thousand_places, quantile_ratio

NODES = ("localizer", "loop_closer")
MAPPING = "loop_closer"  # its map grows with the drive, and is cleared
LIMIT_MB_PER_HOUR = 1.0
LIMIT_GROWTH = 1.05  # of the resident set, from the first tenth to the last
ADDED_MB_PER_HOUR = 2.0  # to the nodes' own samples: a leak that the fit must see
LEAST_FRAMES_PER_MINUTE = 1.0  # of each node; an idle one keeps its memory without effort
LEAST_REGISTRATIONS_PER_MINUTE = 1.0  # of the loop closer
CHORES = ("set", "load", "clear")


def make_report(samples: list[dict], facts: dict) -> dict:
    """facts: command, warmup_minutes, rate, block_s, exit_codes, counters and chores."""
    late = after_warmup(samples, facts)
    nodes = {name: describe(late, name, facts["block_s"]) for name in (*NODES, "leak")}
    nodes[MAPPING] |= {**at_equal_map_slope(late, facts), **per_thousand_places(late)}
    report = {
        **facts,
        "minutes": round(samples[-1]["t"] / 60, 1),
        "limit_mb_per_hour": LIMIT_MB_PER_HOUR,
        "nodes": nodes,
        "blocks_in_use": slopes_in_use(late, facts),
        "latency_p95_last_over_first": quantile_ratio(late),
        "samples": columns(samples),
    }
    return judged(report, samples)


def judged(report: dict, samples: list[dict]) -> dict:
    """The report with its verdict."""
    late = after_warmup(samples, report)
    sensitivity = {
        "localizer": memory_slope(with_leak(late, "localizer"), "localizer", report["block_s"]),
        MAPPING: at_equal_map_slope(with_leak(late, MAPPING), report),
        "blocks_in_use": slopes_in_use(with_leak(with_leak(late, "localizer"), MAPPING), report),
    }
    added = [sensitivity[name] for name in NODES] + list(sensitivity["blocks_in_use"].values())
    slopes = {name: report["nodes"][name] for name in (*NODES, "leak")}
    counters, codes = report["counters_end"], report["exit_codes"]
    checks = {
        "control is called a leak": is_leak(slopes["leak"]),
        f"{ADDED_MB_PER_HOUR:g} MB/h more are called a leak": all(map(is_leak, added)),
        "slopes below the limit": all(is_flat(slopes[name]) for name in NODES),
        "blocks in use below the limit": all(is_flat(slope) for slope in report["blocks_in_use"].values()),
        f"at the end at most {LIMIT_GROWTH:g} times the memory": all(
            last_over_first(samples, name, "rss_mb") <= LIMIT_GROWTH for name in NODES
        ),
        "no more threads and files at the end": all(
            last_over_first(samples, name, key) <= 1 for name in NODES for key in ("threads", "files")
        ),
        "accounts balance": all(entry["is_balanced"] for node in counters.values() for entry in node.values()),
        "exit codes 0": not any(codes.values()),
        "frames processed": all(frames_per_minute(report, name) >= LEAST_FRAMES_PER_MINUTE for name in NODES),
        "registrations": report["chores"].get("registrations", 0) >= LEAST_REGISTRATIONS_PER_MINUTE * report["minutes"],
        "chores done": all(was_done(report["chores"], chore) for chore in CHORES),
    }
    return {**report, "with_added_leak": sensitivity, "checks": checks, "passed": all(checks.values())}


def after_warmup(samples: list[dict], facts: dict) -> list[dict]:
    return [sample for sample in samples if sample["t"] >= 60 * facts["warmup_minutes"]]


def describe(late: list[dict], name: str, block_s: float) -> dict:
    keys = ("rss_mb", "children_mb", "threads", "files")
    return {**memory_slope(late, name, block_s), **{key: extent(late, name, key) for key in keys}}


def slopes_in_use(late: list[dict], facts: dict) -> dict:
    """Of what the nodes' heaps have in use. A computer that does not tell gives no slope, and no pass."""
    if not all(sample[name]["used_mb"] > 0 for sample in late for name in NODES):
        return dict.fromkeys(NODES, NO_SLOPE)
    return {
        "localizer": memory_slope(in_use(late, "localizer"), "localizer", facts["block_s"]),
        MAPPING: at_equal_map_slope(in_use(late, MAPPING), facts),
    }


def at_equal_map_slope(late: list[dict], facts: dict) -> dict:
    """Of the loop closer, whose map grows as it should; of its memory with the map beside it."""
    with_map = memory_slope(late, MAPPING, facts["block_s"])
    slope = memory_slope(at_an_equal_map(late, MAPPING, facts["block_s"]), MAPPING, facts["block_s"])
    return {**slope, "with_map_mb_per_hour": with_map["mb_per_hour"], "with_map_error": with_map["standard_error"]}


def with_leak(samples: list[dict], name: str) -> list[dict]:
    """The same samples of a node that loses ADDED_MB_PER_HOUR."""
    return [
        {
            **sample,
            name: {
                **sample[name],
                **{key: sample[name][key] + ADDED_MB_PER_HOUR * sample["t"] / 3600 for key in ("rss_mb", "used_mb")},
            },
        }
        for sample in samples
    ]


def last_over_first(samples: list[dict], name: str, key: str) -> float:
    """The median of the last tenth of all time as a multiple of that from one tenth of it to two: start-up left out."""
    values, tenth = [sample[name][key] for sample in samples], max(1, len(samples) // 10)
    return median(values[-tenth:]) / median(values[tenth : 2 * tenth] or values)


def frames_per_minute(report: dict, name: str) -> float:
    """Frames that a node has processed since the start. An account that is missing counts as none."""
    ends = (report[counters][name].get("sync", {}) for counters in ("counters_start", "counters_end"))
    first, last = (end.get("processed", 0) for end in ends)
    return (last - first) / report["minutes"]


def was_done(chores: dict, name: str) -> bool:
    """Half of those asked for: a load may be told "busy", and the answer to the last is still on its way."""
    return chores.get(f"{name}_done", 0) >= max(1, chores.get(f"{name}_asked", 0) / 2)


def is_leak(slope: dict) -> bool:
    return slope["blocks"] > 2 and slope["mb_per_hour"] - 2 * slope["standard_error"] > LIMIT_MB_PER_HOUR


def is_flat(slope: dict) -> bool:
    """A slope that is too uncertain proves nothing."""
    return slope["blocks"] > 2 and slope["mb_per_hour"] + 2 * slope["standard_error"] < LIMIT_MB_PER_HOUR


def columns(samples: list[dict]) -> dict:
    """For the file: the samples by name, as they were taken."""
    return {
        key: columns([sample[key] for sample in samples])
        if isinstance(value, dict)
        else [round(sample[key], 3) for sample in samples]
        for key, value in samples[0].items()
    }


def samples_of(report: dict) -> list[dict]:
    """Of a result file. Raises ValueError when it lacks what soaks are judged by now."""
    if not isinstance(report["samples"], dict) or "used_mb" not in report["samples"][MAPPING]:
        raise ValueError("an older soak: judge it by this script as of its commit")
    return rows(report["samples"])


def rows(columns: dict) -> list[dict]:
    """The inverse of `columns`."""
    parts = {key: rows(value) if isinstance(value, dict) else value for key, value in columns.items()}
    return [dict(zip(parts, row, strict=True)) for row in zip(*parts.values(), strict=True)]
