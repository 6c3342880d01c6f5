"""What the diagnostics say about sensors, pairing, transforms and the encoder: facts to levels and sentences."""

from dataclasses import dataclass, field
from enum import IntEnum

from .sensors import SensorInput
from .streams import Stream
from .timings import Timings
from .transforms import Transforms

# Transforms may be late at start-up; after this many seconds they are missing.
TF_PATIENCE = 5.0
# The share of messages that find a partner below which the sensors do not belong together.
FEWEST_PAIRED = 0.5


class Level(IntEnum):
    """The numbers of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Report:
    """One diagnostic status. values: what people and tools read, by stable keys."""

    name: str
    level: Level
    message: str
    values: dict[str, object] = field(default_factory=dict)


def sensor_reports(sensors: SensorInput, seen: dict[str, dict]) -> list[Report]:
    """One per sensor. seen: the accounts at the last report, by stream name; updated here."""
    return [sensor_report(sensors, stream, seen) for stream in sensors.streams.values()]


def sensor_report(sensors: SensorInput, stream: Stream, seen: dict[str, dict]) -> Report:
    name = report_name(sensors, stream)
    if stream.subscription is None:
        return Report(name, Level.STALE, f"not listening to {stream.topic}: the node is not active")
    account = sensors.account(stream)
    before, seen[stream.name] = seen.get(stream.name, {}).get("dropped", {}), account
    level, message = sensor_level(sensors, stream, new_faults(before, account["dropped"]))
    values = {
        "topic": stream.subscription.topic,
        "rate_hz": f"{stream.rate():.2f}",
        "age_s": f"{stream.age():.2f}",
        "publishers": stream.subscription.count_publishers(),
        "reliability": stream.subscription.reliability,
        **account_values(account),
        **calibration_values(sensors, stream),
    }
    return Report(name, level, message, values)


def report_name(sensors: SensorInput, stream: Stream) -> str:
    """lidar, camera, or camera NAME when there are several."""
    if stream.name == "lidar":
        return "lidar"
    return "camera" if len(sensors.calibrations) == 1 else f"camera {stream.name}"


def sensor_level(sensors: SensorInput, stream: Stream, faults: dict[str, int]) -> tuple[Level, str]:
    problem = stream.subscription.problem()
    if problem:
        return Level.ERROR, problem
    if stream.is_silent():
        others_speak = any(not other.is_silent() for other in sensors.streams.values())
        return Level.WARN if others_speak and not sensors.needs_all else Level.ERROR, silence(stream)
    if faults:
        counts = ", ".join(f"{number} {reason}" for reason, number in faults.items())
        return Level.WARN, f"messages dropped since the last report: {counts}"
    return Level.OK, f"{stream.rate():.1f} messages per second"


def silence(stream: Stream) -> str:
    """The sentence about a silent sensor, for diagnostics and console."""
    subscription = stream.subscription
    return (
        f"no message for {stream.age():.1f} s on {subscription.topic} "
        f"({subscription.count_publishers()} publishers; this node listens as {subscription.reliability})"
    )


def new_faults(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    """Drops since the last report that a working sensor does not cause."""
    harmless = {"unpaired", "reset", "late"}
    fresh = {reason: number - before.get(reason, 0) for reason, number in now.items() if reason not in harmless}
    return {reason: number for reason, number in fresh.items() if number > 0}


def account_values(account: dict) -> dict[str, object]:
    """The identity received == processed + sum(dropped_*) + in_flight, as keys and values."""
    dropped = {f"dropped_{reason}": number for reason, number in sorted(account["dropped"].items()) if number}
    return {
        "received": account["received"],
        "processed": account["processed"],
        "in_flight": account["in_flight"],
        **dropped,
    }


def calibration_values(sensors: SensorInput, stream: Stream) -> dict[str, object]:
    calibration = sensors.calibrations.get(stream.name)
    if calibration is None:
        return {}
    dropped = calibration.ledger.snapshot()["dropped"]
    return {
        "camera_info": "received" if stream.name in sensors.cameras else "none",
        "camera_info_dropped": sum(dropped.values()),
    }


def sync_report(sensors: SensorInput, seen: dict[str, dict], has_clock: bool) -> Report:
    """Do the sensors' messages find each other? seen: counts at the last report; updated here."""
    pairer = sensors.pairer
    offsets = {name: pairer.median_offset_ns(name) / 1e9 for name in list(sensors.streams)[1:]}
    share = paired_share(sensors, seen)
    bundles = sensors.bundles.snapshot()
    values = {f"offset_{name}_s": f"{offset:.4f}" for name, offset in offsets.items()}
    values |= {"tolerance_s": sensors.inputs.sync_tolerance, "resets": pairer.resets}
    values |= {f"frames_{key}": value for key, value in account_values(bundles).items()}
    slowest = max(offsets.values(), key=abs, default=0.0)
    if not has_clock:
        return Report("sync", Level.WARN, "use_sim_time is true but nobody publishes /clock", values)
    if sensors.odom.subscription is None:
        return Report("sync", Level.STALE, "the node is not active", values)
    if share is not None and share < FEWEST_PAIRED:
        message = f"only {share:.0%} of the messages find a partner within input.sync_tolerance"
        return Report("sync", Level.ERROR, message, values)
    if abs(slowest) > sensors.inputs.sync_tolerance / 2:
        message = f"stamps differ by {slowest:.3f} s (median), more than half of input.sync_tolerance"
        return Report("sync", Level.WARN, message, values)
    return Report("sync", Level.OK, f"{bundles['received']} frames so far", values)


def paired_share(sensors: SensorInput, seen: dict[str, dict]) -> float | None:
    """Of the rarest sensor's messages since the last report, the share that became part of a frame; None: too few."""
    pairer = sensors.pairer
    now = {name: (pairer.received[name], pairer.paired[name]) for name in sensors.streams}
    before, seen["pairs"] = seen.get("pairs", now), now
    received = min(now[name][0] - before[name][0] for name in now)
    paired = min(now[name][1] - before[name][1] for name in now)
    return paired / received if received >= 3 else None


def transform_report(transforms: Transforms, missing_for: float) -> Report:
    values = {"tf2_ros": "used" if transforms.has_tf else "not installed"}
    if transforms.problem:
        level = Level.ERROR if missing_for > TF_PATIENCE else Level.WARN
        return Report("tf", level, transforms.problem, values)
    return Report("tf", Level.OK, "all sensor positions needed so far are known", values)


def encoder_report(encoder, timings: Timings, errors: list[BaseException], heap_bytes: int) -> Report:
    values = {"model_id": encoder.model_id, "device": encoder.device, "heap_in_use_mb": f"{heap_bytes / 2**20:.3f}"}
    values |= {key: f"{value:.2f}" for key, value in timings.percentiles().items()}
    if errors:
        return Report("encoder", Level.ERROR, f"internal error: {errors[-1]!r}; see the node's log", values)
    return Report("encoder", Level.OK, f"{encoder.model_id} on {encoder.device}", values)
