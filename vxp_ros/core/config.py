"""Every setting of the nodes, once: default, unit, meaning and limits. A ROS parameter is its dataclass path.

`ros/parameters.py` declares ROS parameters from these classes and the YAML files in config/ hold only what differs,
so a default can never exist twice. Settings of a network live with its weights, in model.yaml (`models/recipe.py`).
"""

from dataclasses import dataclass, field

from .settings import setting

MAX_POINTS = 300_000  # three times a dense scan of 64 rings; larger clouds cost time and tell nothing more


@dataclass(frozen=True)
class ModelSettings:
    weights: str = setting(
        "", "model folder (model.yaml + model.safetensors), or the name of a shipped one", fixed=True
    )
    device: str = setting("auto", "auto (CUDA when there is one), cpu, cuda or cuda:N", fixed=True)
    threads: int = setting(1, "CPU threads of the networks; more than one hurts on a busy computer", 1, 256, fixed=True)


@dataclass(frozen=True)
class MapRootSettings:
    """Of nodes that save maps."""

    root: str = setting("~/.ros/vxp_maps", "the one folder under which services load and save maps by name", fixed=True)


@dataclass(frozen=True)
class MapSettings(MapRootSettings):
    """Of nodes that load one."""

    path: str = setting("", "map to load when the node is configured: a folder, or a name under map.root", fixed=True)
    allow_model_mismatch: bool = setting(
        False, "accept a map whose descriptors another model made (they will not match)", fixed=True
    )


@dataclass(frozen=True)
class MapFrameSettings:
    """Of nodes that know poses only."""

    map: str = setting("map", "frame of the reported poses", fixed=True)
    odom: str = setting("odom", "odometry frame", fixed=True)


@dataclass(frozen=True)
class FrameSettings(MapFrameSettings):
    """Of nodes that know where the sensors are."""

    base: str = setting("base_link", "the robot's base frame (REP-105)", fixed=True)
    transform_timeout: float = setting(0.2, "seconds to wait for a late transform", 0.0, 10.0)


@dataclass(frozen=True)
class ExtrinsicSettings:
    lidar: list[float] = setting([], "T_base_lidar as x y z qx qy qz qw; empty: from TF")
    cameras: list[float] = setting(
        [], "T_base_camera (optical frames), seven numbers per entry of input.cameras; empty: from TF"
    )


@dataclass(frozen=True)
class InputSettings:
    modality: str = setting("both", "which sensors the rig has", choices=("camera", "lidar", "both"), fixed=True)
    cameras: list[str] = setting(
        ["camera"], "camera names; one camera listens to image, several to NAME/image", fixed=True
    )
    image_transport: str = setting(
        "raw", "raw images, or compressed (JPEG, PNG)", choices=("raw", "compressed"), fixed=True
    )
    sync_tolerance: float = setting(0.05, "largest stamp difference in seconds inside one frame", 0.0, 5.0, fixed=True)
    max_age: float = setting(2.0, "drop frames whose stamp is older than this many seconds", 0.01, 3600.0)
    max_future: float = setting(
        0.5, "drop messages stamped further ahead of the clock than this many seconds", 0.0, 3600.0
    )
    max_rate: float = setting(2.0, "queries per second at most; 0: no limit", 0.0, 1000.0)
    min_travel: float = setting(0.0, "metres of odometry between queries; 0: no gate", 0.0, 1000.0)
    min_points: int = setting(1000, "fewer finite LiDAR points than this: bad input", 1, 10_000_000)
    max_points: int = setting(MAX_POINTS, "larger clouds are thinned evenly to this many points", 1000, 100_000_000)


@dataclass(frozen=True)
class QosSettings:
    sensor_reliability: str = setting(
        "auto", "auto: reliable only if all publishers are", choices=("auto", "best_effort", "reliable"), fixed=True
    )
    sensor_depth: int = setting(5, "history depth of sensor subscriptions", 1, 1000, fixed=True)


@dataclass(frozen=True)
class SearchSettings:
    """What is compared with what."""

    query: str = setting(
        "auto",
        "descriptor of the query; auto: of fused, lidar and camera what most places have",
        choices=("auto", "camera", "lidar", "fused"),
    )
    against: str = setting(
        "auto",
        "descriptors of the map to search; auto: same as the query's, else the other",
        choices=("auto", "camera", "lidar", "fused"),
    )
    max_distance: float = setting(
        1e9, "a best candidate farther than this (L2 between descriptors) is no match", 0.0, 1e9
    )


@dataclass(frozen=True)
class MatchSettings(SearchSettings):
    """And when the best is believed."""

    top_k: int = setting(5, "candidates per query", 1, 100)
    min_margin: float = setting(
        0.0, "below this distance gap to the best other place the answer is ambiguous", 0.0, 1e9
    )
    min_probability: float = setting(
        0.7,
        "below this probability of the best candidate the answer is ambiguous; 0: no limit; of a model without a "
        "calibration for this pair of sensors max_distance and min_margin alone decide",
        0.0,
        1.0,
    )
    exclusion_radius: float = setting(
        10.0, "metres within which two candidates count as one place for the margin; calibrations hold for 10", 0.0, 1e6
    )


@dataclass(frozen=True)
class OutputSettings:
    publish_descriptor: bool = setting(False, "publish every query's descriptor")
    publish_markers: bool = setting(True, "publish markers for RViz")
    continuous: bool = setting(True, "answer every frame; false: only on request")
    position_sigma: float = setting(5.0, "standard deviation in metres of an unregistered place pose", 0.001, 1e6)
    yaw_sigma: float = setting(3.14, "standard deviation in radians of its heading", 0.001, 6.3)
    publish_initialpose: bool = setting(
        False, "publish initialpose once enough verified poses, or recognised places, agree"
    )
    initialpose_once: bool = setting(True, "once until ~/clear or another map; false: at each pose that agrees")
    publish_tf: bool = setting(False, "broadcast map->odom once enough verified poses agree; needs tf2_ros")
    min_consistent: int = setting(
        3,
        "verified poses in a row, at least 2 m apart and over 10 m, that must agree through odometry, for initialpose "
        "and map->odom; 1: each is acted upon at once",
        1,
        100,
    )
    min_consistent_places: int = setting(
        0,
        "likewise, of recognised places at least 4 m apart and over 25 m, for initialpose where no cloud can verify "
        "them; 4 was measured; 0: never",
        0,
        100,
    )


@dataclass(frozen=True)
class KeyframeSettings:
    min_travel: float = setting(1.0, "a new place after this many metres", 0.0, 1000.0)
    min_turn: float = setting(0.5, "or after this many radians", 0.0, 6.3)
    cloud_voxel: float = setting(
        0.3, "voxel size in metres of the small cloud kept for verification; 0: keep none", 0.0, 10.0
    )
    thumbnail_width: int = setting(320, "width in pixels of the JPEG kept for people; 0: keep none", 0, 4096)
    pose: str = setting(
        "odom", "where keyframe poses come from: the odom topic, or TF map->base", choices=("odom", "tf"), fixed=True
    )
    save_as: str = setting(
        "", "save the map under this name when the node shuts down; empty: only on request", fixed=True
    )


@dataclass(frozen=True)
class RegistrationSettings:
    """Fitted on town-val (docs/benchmark.md) and frozen; no node has parameters for them yet."""

    sure_inlier_ratio: float = setting(0.6, "below this the thorough global search runs too", 0.0, 1.0)
    min_inlier_ratio: float = setting(0.5, "share of source points with a partner within 1 m", 0.0, 1.0)
    min_overlap: float = setting(0.33, "share of points off the ground with a partner within 0.5 m", 0.0, 1.0)
    min_eigenvalue: float = setting(2.5, "of the Hessian per inlier; below it the scene is degenerate", 0.0, 1e6)
    min_flip_margin: float = setting(0.1, "how much fewer inliers the pose must have when turned round", 0.0, 1.0)
    inflation: float = setting(1000.0, "of the covariance that the Hessian gives", 0.0, 1e9)
    position_floor: float = setting(0.05, "least standard deviation in metres along each axis", 0.0, 100.0)
    rotation_floor: float = setting(0.003, "least standard deviation in radians about each axis", 0.0, 6.3)


@dataclass(frozen=True)
class TrialSettings:
    """Which candidates are held against the point clouds, and how often."""

    enable: bool = setting(True, "confirm candidates by the point clouds, where there are any")
    candidates: int = setting(2, "how many of the best candidates to try", 1, 20)
    max_rate: float = setting(1.0, "verifications per second at most; 0: no limit", 0.0, 100.0)


@dataclass(frozen=True)
class VerifySettings(TrialSettings):
    """And which of those that they confirm are believed."""

    min_probability: float = setting(
        0.7,
        "a confirmed candidate of less probability stays ambiguous: many houses are alike; 0: the clouds decide alone",
        0.0,
        1.0,
    )


@dataclass(frozen=True)
class LoopSettings:
    """Candidates of the recent past are no loops; a verified closure waits until others agree with it."""

    min_time_gap: float = setting(30.0, "seconds that must lie between the two keyframes of a closure", 0.0, 1e6)
    min_travel: float = setting(20.0, "metres of the path that must lie between them", 0.0, 1e6)
    min_probability: float = setting(
        0.2,
        "candidates of less probability are not held against the clouds: few would be confirmed; 0: all are",
        0.0,
        1.0,
    )
    reverse: bool = setting(
        True, "recognise streets driven the other way too, by the LiDAR turned round: describes each keyframe once more"
    )
    follow: float = setting(
        20.0,
        "metres of odometry from a published closure, at most, that give a first guess of the next one's pose",
        0.0,
        1e3,
    )
    min_agreeing: int = setting(2, "closures, this one included, that must agree with each other by odometry", 1, 20)
    window: float = setting(100.0, "metres of the path within which closures are compared with each other", 1.0, 1e5)
    drift: float = setting(0.02, "odometry's error to reckon with, in metres per metre of the path", 0.0, 1.0)
    turn_drift: float = setting(0.0002, "and in radians per metre", 0.0, 0.1)


@dataclass(frozen=True)
class AlignmentSettings:
    """Of `vxp map merge`; no node has parameters for them."""

    spacing: float = setting(5.0, "metres of the path between the places that are looked for", 0.0, 1e6)
    queries: int = setting(100, "at most so many places, evenly over the drive", 1, 100_000)
    candidates: int = setting(2, "how many of the best candidates of each place to try", 1, 20)
    min_agreeing: int = setting(3, "places that must agree about the maps' relative pose", 2, 100)
    max_second: float = setting(0.5, "share of these that may agree about another pose", 0.0, 1.0)
    drift: float = setting(0.03, "what a map may be bent, in metres per metre between two places", 0.0, 1.0)
    turn_drift: float = setting(0.0005, "and in radians per metre", 0.0, 0.1)


@dataclass(frozen=True)
class GraphSettings:
    """How far the pose graph trusts odometry, step by step, and when it takes a closure for wrong."""

    way_ratio: float = setting(0.02, "odometry's error in metres per metre, 1 sigma", 0.0, 1.0, fixed=True)
    way_floor: float = setting(0.01, "and at least so many metres", 1e-6, 10.0, fixed=True)
    turn_per_m: float = setting(0.0005, "its error of the heading in radians per metre, 1 sigma", 0.0, 0.1, fixed=True)
    turn_ratio: float = setting(0.01, "in radians per radian turned", 0.0, 1.0, fixed=True)
    turn_floor: float = setting(0.0005, "and at least so many radians", 1e-9, 1.0, fixed=True)
    probability: float = setting(
        0.99, "of right closures, how many lie within the bound for doubt", 0.5, 0.999999, fixed=True
    )


@dataclass(frozen=True)
class GraphOutputSettings:
    save_to: str = setting(
        "", "folder for graph.g2o and trajectory.tum, written at the end and on ~/save; empty: none", fixed=True
    )
    period: float = setting(1.0, "seconds between optimisations at least", 0.1, 3600.0, fixed=True)
    publish_tf: bool = setting(False, "broadcast map->odom; needs tf2_ros", fixed=True)


@dataclass(frozen=True)
class HealthSettings:
    period: float = setting(1.0, "seconds between diagnostics", 0.1, 60.0, fixed=True)
    timeout: float = setting(5.0, "seconds without a sensor before the console warns", 0.5, 600.0)


@dataclass(frozen=True)
class LocalizerSettings:
    """Parameters of the `localizer` node."""

    model: ModelSettings = field(default_factory=ModelSettings)
    map: MapSettings = field(default_factory=MapSettings)
    frames: FrameSettings = field(default_factory=FrameSettings)
    extrinsics: ExtrinsicSettings = field(default_factory=ExtrinsicSettings)
    input: InputSettings = field(default_factory=InputSettings)
    qos: QosSettings = field(default_factory=QosSettings)
    match: MatchSettings = field(default_factory=MatchSettings)
    verify: VerifySettings = field(default_factory=VerifySettings)
    output: OutputSettings = field(default_factory=OutputSettings)
    diagnostics: HealthSettings = field(default_factory=HealthSettings)


@dataclass(frozen=True)
class MapperSettings:
    """Parameters of the `mapper` node."""

    model: ModelSettings = field(default_factory=ModelSettings)
    map: MapRootSettings = field(default_factory=MapRootSettings)
    frames: FrameSettings = field(default_factory=FrameSettings)
    extrinsics: ExtrinsicSettings = field(default_factory=ExtrinsicSettings)
    input: InputSettings = field(default_factory=InputSettings)
    qos: QosSettings = field(default_factory=QosSettings)
    keyframe: KeyframeSettings = field(default_factory=KeyframeSettings)
    diagnostics: HealthSettings = field(default_factory=HealthSettings)


@dataclass(frozen=True)
class LoopCloserSettings(MapperSettings):
    """Parameters of the `loop_closer` node."""

    match: SearchSettings = field(default_factory=SearchSettings)
    verify: TrialSettings = field(default_factory=TrialSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)


@dataclass(frozen=True)
class PoseGraphSettings:
    """Parameters of the `pose_graph` node."""

    frames: MapFrameSettings = field(default_factory=MapFrameSettings)
    graph: GraphSettings = field(default_factory=GraphSettings)
    output: GraphOutputSettings = field(default_factory=GraphOutputSettings)
