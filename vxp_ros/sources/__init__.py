"""Recorded sensor data as frames: rosbag2, KITTI and nuScenes. Needs no ROS."""

from ..core.errors import SourceError
from .source import Source

__all__ = ["Source", "open_source"]

FORMS = "bag:PATH, kitti:ROOT:SEQUENCE or nuscenes:ROOT[:SCENE]"


def open_source(text: str, **options) -> Source:
    """The source that `text` names: bag:PATH, kitti:ROOT:SEQUENCE or nuscenes:ROOT[:SCENE].

    options: keyword arguments of BagSource, KittiSource or NuscenesSource, e.g. a bag's topic names.
    Raises SourceError for another form, and what the sources raise.
    """
    kind, _, rest = text.partition(":")
    if not rest:
        raise SourceError(f"source {text!r} is not understood; write {FORMS}")
    if kind == "bag":
        from .bag import BagSource

        return BagSource(rest, **options)
    if kind == "kitti" and ":" in rest:
        from .kitti import KittiSource

        root, _, sequence = rest.rpartition(":")
        return KittiSource(root, sequence, **options)
    if kind == "nuscenes":
        from .nuscenes import NuscenesSource

        root, _, scene = rest.partition(":")
        return NuscenesSource(root, scene or None, **options)
    raise SourceError(f"source {text!r} is not understood; write {FORMS}")
