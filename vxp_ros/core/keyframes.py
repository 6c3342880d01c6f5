"""When a frame becomes a place of the map. One rule for the mapper node and for `vxp map build`."""

import numpy as np

from .config import KeyframeSettings
from .geometry import rotation_angle


def is_keyframe(T_last: np.ndarray | None, T_now: np.ndarray, settings: KeyframeSettings) -> bool:
    """True when the base has travelled or turned enough since the last place, or there is none yet. Poses [4, 4]."""
    if T_last is None:
        return True
    travel = float(np.linalg.norm(T_now[:3, 3] - T_last[:3, 3]))
    turn = rotation_angle(T_last[:3, :3].T @ T_now[:3, :3])
    return travel >= settings.min_travel or turn >= settings.min_turn
