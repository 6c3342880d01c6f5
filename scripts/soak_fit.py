"""From the samples of benchmark_soak.py to its numbers. Plain numpy."""

import numpy as np

NO_SLOPE = {"mb_per_hour": float("nan"), "standard_error": float("nan"), "blocks": 0}


def memory_slope(samples: list[dict], name: str, block_s: float) -> dict:
    """Least-squares slope of a process' memory in MiB per hour, with its standard error, over blocks of time.

    Neighbouring samples are not independent, block means nearly are: so the error is not flattered.
    """
    hours, sizes = block_sizes(samples, name, block_s)
    if len(hours) < 3:
        return {**NO_SLOPE, "blocks": len(hours)}
    slope, error = least_squares(hours, sizes)
    return {"mb_per_hour": round(slope, 3), "standard_error": round(error, 3), "blocks": len(hours)}


def block_sizes(samples: list[dict], name: str, block_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Hours and MiB of each whole block: the mean of the process' resident set and the least that its children had.

    The registration process lives as long as its node; its forks last a second each, share its pages and would count
    those again, by chance of the moment.
    """
    times, blocks = blocks_of(samples, block_s)
    own = np.array([sample[name]["rss_mb"] for sample in samples])
    children = np.array([sample[name]["children_mb"] for sample in samples])
    spacing = np.median(np.diff(times)) if len(times) > 1 else 0.0
    members = [blocks == block for block in range(int((times[-1] - times[0] + spacing + 0.5) // block_s))]
    return (
        np.array([times[member].mean() / 3600 for member in members]),
        np.array([own[member].mean() + children[member].min() for member in members]),
    )


def at_an_equal_map(samples: list[dict], name: str, block_s: float) -> list[dict]:
    """The same samples, less what the map of this node takes at the moment, by how many places it holds.

    What a place takes is fitted within blocks, while the map grows and is cleared: a leak moves whole blocks and stays.
    """
    _, blocks = blocks_of(samples, block_s)
    places, sizes = np.array([(sample["places"], sample[name]["rss_mb"]) for sample in samples], float).T
    for block in np.unique(blocks):
        places[blocks == block] -= places[blocks == block].mean()
        sizes[blocks == block] -= sizes[blocks == block].mean()
    cost = places @ sizes / max(places @ places, 1.0)
    return [
        {**sample, name: {**sample[name], "rss_mb": sample[name]["rss_mb"] - cost * sample["places"]}}
        for sample in samples
    ]


def in_use(samples: list[dict], name: str) -> list[dict]:
    """The same samples with what a node's heaps have in use in place of what it takes from the computer.

    A leak that fills holes of the heaps shows here only. What a map keeps lies apart from them, but for small things.
    """
    return [{**sample, name: {"rss_mb": sample[name]["used_mb"], "children_mb": 0.0}} for sample in samples]


def blocks_of(samples: list[dict], block_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of each sample, and the number of its block."""
    times = np.array([sample["t"] for sample in samples])
    return times, ((times - times[0]) // block_s).astype(int)


def least_squares(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """(slope, its standard error) of y over x, both [N], N > 2."""
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    residuals = y - y.mean() - slope * centred
    return slope, float(np.sqrt(residuals @ residuals / (len(x) - 2) / (centred @ centred)))


def per_thousand_places(samples: list[dict]) -> dict:
    """What the loop closer's map costs: least squares of its memory over the places it holds."""
    places = np.array([sample["places"] for sample in samples], float)
    sizes = np.array([sample["loop_closer"]["rss_mb"] for sample in samples])
    if len(places) < 3 or np.ptp(places) == 0:
        return {}
    slope, error = least_squares(places / 1000, sizes)
    return {
        "mb_per_1000_places": round(slope, 2),
        "mb_per_1000_places_standard_error": round(error, 2),
        "most_places": int(places.max()),
    }


def extent(samples: list[dict], name: str, key: str) -> dict:
    values = [sample[name][key] for sample in samples]
    return {"first": round(values[0], 1), "last": round(values[-1], 1), "min": round(min(values), 1),
            "max": round(max(values), 1)}  # fmt: skip


def quantile_ratio(samples: list[dict]) -> float:
    """The localizer's 95 % latency over the last tenth of the time, as a multiple of the first tenth's."""
    values = [sample["total_ms_p95"] for sample in samples]
    tenth = max(1, len(values) // 10)
    return round(float(np.nanmean(values[-tenth:]) / np.nanmean(values[:tenth])), 3)


def accounts(reports: dict[str, dict]) -> dict:
    """stream -> received, processed, dropped by reason, in flight, and whether they add up, from diagnostics."""
    result = {}
    for report, values in reports.items():
        prefix = "frames_" if report == "sync" else ""
        if f"{prefix}received" not in values:
            continue
        counts = {key.removeprefix(prefix): int(value) for key, value in values.items() if is_count(key, prefix)}
        dropped = sum(value for key, value in counts.items() if key.startswith("dropped_"))
        balance = counts["processed"] + dropped + counts["in_flight"]
        result[report] = {**counts, "is_balanced": counts["received"] == balance}
    return result


def is_count(key: str, prefix: str) -> bool:
    name = key.removeprefix(prefix)
    return key.startswith(prefix) and (name in ("received", "processed", "in_flight") or name.startswith("dropped_"))
