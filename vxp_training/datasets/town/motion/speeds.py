"""How fast a careful driver goes along a path, and so when the car is where."""

import numpy as np

CRUISE = 11.0  # m/s
SIDEWAYS = 2.2  # m/s^2 in bends
SPEED_UP, SLOW_DOWN = 1.4, 2.0  # m/s^2
CREEP = 0.5  # m/s at which a stop counts as reached


def travel_times(curvature: np.ndarray, step: float, stops: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Seconds [P] at which the car reaches and leaves each point of a path of points `step` metres apart. curvature:
    [P], 1/m. stops: {point: seconds of waiting there}."""
    limit = np.minimum(CRUISE, np.sqrt(SIDEWAYS / np.maximum(np.abs(curvature), 1e-4)))
    limit[[0, -1, *stops]] = CREEP
    speed = _limit_gain(_limit_gain(limit, SPEED_UP, step)[::-1], SLOW_DOWN, step)[::-1]
    moving = np.concatenate([[0.0], np.cumsum(2 * step / (speed[:-1] + speed[1:]))])
    waiting = np.zeros(len(limit))
    waiting[list(stops)] = list(stops.values())
    leaving = moving + np.cumsum(waiting)
    return leaving - waiting, leaving


def _limit_gain(limit: np.ndarray, acceleration: float, step: float) -> np.ndarray:
    """The fastest speeds below `limit` that gain no more than the acceleration allows."""
    speed = limit.copy()
    for i in range(1, len(speed)):
        speed[i] = min(speed[i], np.sqrt(speed[i - 1] ** 2 + 2 * acceleration * step))
    return speed
