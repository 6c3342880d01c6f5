"""The localizer's publishers: each answer on all the topics that somebody may read it from."""

from geometry_msgs.msg import PoseArray, PoseWithCovarianceStamped
from nav_msgs.msg import Path
from rclpy.lifecycle import LifecycleNode
from visualization_msgs.msg import MarkerArray

from vxp_ros.msg import GlobalDescriptor, LocalizationStatus, PlaceCandidates

from ..core.config import LocalizerSettings
from ..core.datatypes import Recognition, Status
from ..core.place_map import PlaceMap
from .publishers import (
    candidate_poses_message,
    candidates_message,
    descriptor_message,
    map_path_message,
    markers_message,
    pose_message,
    status_message,
)
from .qos import latched_qos, overridable, result_qos


class AnswerPublisher:
    """Publishes answers, the map's poses and the state of localization. Silent while the node is not active."""

    def __init__(self, node: LifecycleNode):
        def publisher(message_type, topic, qos):
            return node.create_lifecycle_publisher(message_type, topic, qos, qos_overriding_options=overridable())

        self._clock = node.get_clock()
        self._candidates = publisher(PlaceCandidates, "~/candidates", result_qos())
        self._pose = publisher(PoseWithCovarianceStamped, "~/pose", result_qos())
        self._candidate_poses = publisher(PoseArray, "~/candidate_poses", result_qos(1))
        self._markers = publisher(MarkerArray, "~/markers", latched_qos())
        self._map_poses = publisher(Path, "~/map_poses", latched_qos())
        self._descriptor = publisher(GlobalDescriptor, "~/descriptor", result_qos())
        self._status = publisher(LocalizationStatus, "~/status", latched_qos())

    def publish(self, answer: Recognition, map_id: str, settings: LocalizerSettings) -> None:
        """Every answer goes to ~/candidates; a pose only when it is accepted."""
        frames, output = settings.frames, settings.output
        self._candidates.publish(candidates_message(answer, map_id, frames, output))
        self._candidate_poses.publish(candidate_poses_message(answer, frames))
        if answer.status == Status.OK:
            self._pose.publish(pose_message(answer, frames, output))
        if output.publish_markers:
            self._markers.publish(markers_message(answer, frames))
        if output.publish_descriptor and answer.descriptor is not None:
            self._descriptor.publish(descriptor_message(answer.descriptor, answer.stamp_ns, frames.base))

    def publish_map(self, place_map: PlaceMap, settings: LocalizerSettings) -> None:
        self._map_poses.publish(map_path_message(place_map, self._now_ns(), settings.frames))

    def publish_status(
        self, state: int, reason: str, places: int, accepted: Recognition | None, settings: LocalizerSettings
    ) -> None:
        self._status.publish(status_message(state, reason, places, accepted, self._now_ns(), settings.frames))

    def _now_ns(self) -> int:
        return self._clock.now().nanoseconds
