"""Everything the nodes say: answers, keyframes, status and markers as messages.

Every field is cast explicitly, because generated setters no longer check types: a numpy float32 in a float64 field is
sent as nonsense, silently.
"""

import array
import math
from collections.abc import Iterable

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseArray,
    PoseStamped,
    PoseWithCovariance,
    PoseWithCovarianceStamped,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
from nav_msgs.msg import Path
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from vxp_ros.msg import GlobalDescriptor, Keyframe, LocalizationStatus, PlaceCandidate, PlaceCandidates
from vxp_ros.msg import LoopClosure as LoopClosureMsg

from ..core.config import FrameSettings, OutputSettings
from ..core.datatypes import Candidate, Descriptor, LoopClosure, Place, Recognition, Status
from ..core.geometry import matrix_to_quaternion
from ..core.place_map import PlaceMap
from ..core.pose_graph import PoseGraph

MODALITY_NUMBERS = {
    "camera": PlaceCandidates.MODALITY_CAMERA,
    "lidar": PlaceCandidates.MODALITY_LIDAR,
    "fused": PlaceCandidates.MODALITY_FUSED,
}
# Roll and pitch of a ground robot differ little between two visits; this keeps them from looking exactly known.
TILT_SIGMA = 0.2
STATUS_COLORS = {Status.OK: (0.1, 0.8, 0.2), Status.AMBIGUOUS: (1.0, 0.7, 0.0), Status.NO_MATCH: (0.9, 0.2, 0.1)}


def make_header(stamp_ns: int, frame_id: str) -> Header:
    return Header(stamp=ns_to_stamp(stamp_ns), frame_id=frame_id)


def candidates_message(answer: Recognition, map_id: str, frames: FrameSettings, output: OutputSettings):
    """The answer to one query as PlaceCandidates; stamped with the query sensor's time."""
    return PlaceCandidates(
        header=make_header(answer.stamp_ns, frames.map),
        reference_frame=frames.base,
        modality=MODALITY_NUMBERS[answer.modality],
        status=int(answer.status),
        message=answer.message,
        metric="l2",
        candidates=[candidate_message(candidate, map_id, frames, output) for candidate in answer.candidates],
        processing_time=to_duration(sum(answer.stage_ms.values())),
    )


def candidate_message(candidate: Candidate, map_id: str, frames: FrameSettings, output: OutputSettings):
    return PlaceCandidate(
        header=make_header(candidate.stamp_ns, frames.map),
        place_id=int(candidate.place_id),
        map_id=map_id,
        distance=float(candidate.distance),
        score=float(candidate.score),
        margin=float(candidate.margin),
        probability=float(candidate.probability),
        pose_type=PlaceCandidate.POSE_REGISTERED if candidate.is_registered else PlaceCandidate.POSE_OF_PLACE,
        pose=with_covariance(candidate, output),
        verified=bool(candidate.is_verified),
        inlier_ratio=float(candidate.inlier_ratio),
        rmse=float(candidate.rmse),
    )


def with_covariance(candidate: Candidate, output: OutputSettings) -> PoseWithCovariance:
    """The candidate's pose with its own covariance, or a wide one when it is only the pose of a place."""
    known = candidate.covariance
    covariance = place_covariance(output) if known is None else [float(value) for value in known.ravel()]
    return PoseWithCovariance(pose=to_pose_msg(candidate.T_map_base), covariance=covariance)


def place_covariance(output: OutputSettings) -> list[float]:
    """[36] covariance of "somewhere near this place"; zeros mean "unknown" to some readers, "certain" to others."""
    sigmas = [output.position_sigma] * 3 + [TILT_SIGMA] * 2 + [output.yaw_sigma]
    return [float(value) for value in np.diag(np.square(sigmas)).ravel()]


def pose_message(answer: Recognition, frames: FrameSettings, output: OutputSettings) -> PoseWithCovarianceStamped:
    """The best candidate's pose at the query's stamp: of the robot if registered, else of the place."""
    pose = with_covariance(answer.candidates[0], output)
    return PoseWithCovarianceStamped(header=make_header(answer.stamp_ns, frames.map), pose=pose)


def transform_message(T_parent_child: np.ndarray, stamp_ns: int, parent: str, child: str) -> TransformStamped:
    """T_parent_child: [4, 4]."""
    pose = to_pose_msg(T_parent_child)
    x, y, z = pose.position.x, pose.position.y, pose.position.z
    transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=pose.orientation)
    return TransformStamped(header=make_header(stamp_ns, parent), child_frame_id=child, transform=transform)


def candidate_poses_message(answer: Recognition, frames: FrameSettings) -> PoseArray:
    poses = [to_pose_msg(candidate.T_map_base) for candidate in answer.candidates]
    return PoseArray(header=make_header(answer.stamp_ns, frames.map), poses=poses)


def descriptor_message(descriptor: Descriptor, stamp_ns: int, frame_id: str) -> GlobalDescriptor:
    return GlobalDescriptor(
        header=make_header(stamp_ns, frame_id),
        modality=MODALITY_NUMBERS[descriptor.modality],
        model_id=descriptor.model_id,
        descriptor=to_float32_array(descriptor.vector),
    )


def keyframe_message(place_id: int, place: Place, model_id: str, frames: FrameSettings) -> Keyframe:
    """A place just added to a map, with the pose it was given there."""
    descriptors = [Descriptor(vector, modality, model_id) for modality, vector in place.descriptors.items()]
    return Keyframe(
        header=make_header(place.stamp_ns, frames.map),
        id=int(place_id),
        pose=to_pose_msg(place.T_map_base),
        reference_frame=frames.base,
        descriptors=[descriptor_message(entry, place.stamp_ns, frames.base) for entry in descriptors],
    )


def closure_message(closure: LoopClosure, frames: FrameSettings) -> LoopClosureMsg:
    """A closure, or its withdrawal, between base poses; stamped with the newer keyframe's time."""
    return LoopClosureMsg(
        header=make_header(closure.to_stamp_ns, frames.base),
        from_id=int(closure.from_id),
        to_id=int(closure.to_id),
        from_stamp=ns_to_stamp(closure.from_stamp_ns),
        to_stamp=ns_to_stamp(closure.to_stamp_ns),
        frame_id_sensor=frames.base,
        has_transform=True,
        verified=True,
        retract=bool(closure.is_retracted),
        transform=PoseWithCovariance(
            pose=to_pose_msg(closure.T_from_to), covariance=[float(value) for value in closure.covariance.ravel()]
        ),
        score=float(closure.score),
        inlier_ratio=float(closure.inlier_ratio),
    )


def closures_marker(closures: Iterable[LoopClosure], place_map: PlaceMap, frames: FrameSettings) -> MarkerArray:
    """A line from each closure's older keyframe to its newer one, where the map has them."""
    closures = list(closures)
    newest_ns = max((closure.to_stamp_ns for closure in closures), default=0)
    marker = Marker(header=make_header(newest_ns, frames.map), ns="closures", type=Marker.LINE_LIST, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale.x = 0.3
    marker.color = ColorRGBA(r=0.1, g=0.8, b=0.2, a=0.9)
    ends = [place_id for closure in closures for place_id in (closure.from_id, closure.to_id)]
    marker.points = [
        Point(**dict(zip("xyz", map(float, place_map.place(i).T_map_base[:3, 3]), strict=True))) for i in ends
    ]
    return MarkerArray(markers=[marker])


def status_message(
    state: int, reason: str, places: int, last: Recognition | None, stamp_ns: int, frames: FrameSettings
):
    """Where localization stands; `last` is the last accepted answer."""
    return LocalizationStatus(
        header=make_header(stamp_ns, frames.map),
        state=int(state),
        reason=reason,
        map_places=int(places),
        last_score=float(last.candidates[0].score) if last else 0.0,
        last_accept=ns_to_stamp(last.stamp_ns if last else 0),
    )


def map_path_message(place_map: PlaceMap, stamp_ns: int, frames: FrameSettings) -> Path:
    """All places of the map, in the order they were driven."""
    header = make_header(stamp_ns, frames.map)
    return Path(header=header, poses=[PoseStamped(header=header, pose=to_pose_msg(T)) for T in place_map.poses])


def graph_path_message(graph: PoseGraph, frames: FrameSettings) -> Path:
    """The keyframes of a pose graph as they stand, each with its own stamp."""
    stamped = zip(graph.stamps_ns, graph.poses, strict=True)
    poses = [PoseStamped(header=make_header(stamp, frames.map), pose=to_pose_msg(T)) for stamp, T in stamped]
    return Path(header=make_header(graph.stamps_ns[-1], frames.map), poses=poses)


def markers_message(answer: Recognition, frames: FrameSettings) -> MarkerArray:
    """Spheres on the candidates, the best one largest and coloured by status; older ones are cleared first."""
    color = STATUS_COLORS.get(answer.status, (0.5, 0.5, 0.5))
    header = make_header(answer.stamp_ns, frames.map)
    clear = Marker(header=header, action=Marker.DELETEALL)
    spheres = [sphere(header, rank, entry, color) for rank, entry in enumerate(answer.candidates)]
    return MarkerArray(markers=[clear, *spheres])


def sphere(header: Header, rank: int, candidate: Candidate, color: tuple[float, float, float]) -> Marker:
    marker = Marker(header=header, ns="candidates", id=rank, type=Marker.SPHERE, action=Marker.ADD)
    x, y, z = candidate.T_map_base[:3, 3]
    marker.pose = Pose(position=Point(x=float(x), y=float(y), z=float(z)))
    marker.scale.x = marker.scale.y = marker.scale.z = 3.0 if rank == 0 else 1.5
    marker.color = ColorRGBA(r=color[0], g=color[1], b=color[2], a=0.9 if rank == 0 else 0.4)
    return marker


def to_duration(milliseconds: float) -> Duration:
    fraction, seconds = math.modf(milliseconds / 1000)
    return Duration(sec=int(seconds), nanosec=int(fraction * 1e9))


def ns_to_stamp(stamp_ns: int) -> Time:
    seconds, nanoseconds = divmod(int(stamp_ns), 1_000_000_000)
    return Time(sec=seconds, nanosec=nanoseconds)


def to_pose_msg(T: np.ndarray) -> Pose:
    """T: [4, 4]."""
    x, y, z = map(float, T[:3, 3])
    qx, qy, qz, qw = map(float, matrix_to_quaternion(T[:3, :3]))
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def to_float32_array(values: np.ndarray) -> array.array:
    """[n] of any float dtype, in the form that a float32[] field takes without an element loop."""
    return array.array("f", np.ascontiguousarray(values, dtype="<f4").tobytes())
