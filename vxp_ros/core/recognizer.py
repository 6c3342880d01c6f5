"""The middle of the design's picture: frame in, descriptor, search, answer out. All that localizes calls this."""

from dataclasses import replace

import cv2
import numpy as np

from .candidates import find_candidates, judge, refusal, with_probabilities
from .config import MAX_POINTS, KeyframeSettings, MatchSettings
from .datatypes import Frame, Image, Modality, Place, Recognition, Status
from .encoder import Encoder, first_image
from .errors import BadInput, MapError
from .geometry import HALF_TURN, invert, transform_points
from .place_map import PlaceMap
from .preprocessing.pointcloud import limit, thin
from .preprocessing.views import is_blank
from .stopwatch import Stopwatch

BEST_FIRST: tuple[Modality, ...] = ("fused", "lidar", "camera")
NEARLY_ALL = 0.9  # a few places that lack a sensor do not make all queries do without it


class PlaceRecognizer:
    """Recognises frames on a place map, and makes the places of a new one.

    encoder: the network. place_map: the map to search; None until one is loaded. settings: what to match against what.
    """

    def __init__(self, encoder: Encoder, place_map: PlaceMap | None = None, settings: MatchSettings | None = None):
        self.encoder = encoder
        self.place_map = place_map
        self.settings = settings or MatchSettings()

    def recognize(self, frame: Frame) -> Recognition:
        """Answer "where is this frame?". Never raises on data: bad input is an answer too."""
        place_map, settings, watch = self.place_map, self.settings, Stopwatch()
        modality = self.query_modality(frame)
        if place_map is None or len(place_map) == 0:
            return refusal(frame.stamp_ns, modality, Status.NO_MAP, "no map is loaded, or it is empty")
        try:
            against = self.map_modality(modality, place_map)
            descriptor = self.encoder.describe(frame, modality, watch.stage_ms)
            with watch.stage("search"):
                candidates = find_candidates(place_map, descriptor.vector, against, settings)
        except BadInput as problem:
            if problem.reason == "no_point_in_view" and settings.query == "auto" and shows(frame, "camera"):
                return self.recognize(replace(frame, points=None))  # a LiDAR that is covered is as good as none
            return refusal(frame.stamp_ns, modality, Status.BAD_INPUT, str(problem))
        except MapError as problem:
            return refusal(frame.stamp_ns, modality, Status.NO_MAP, str(problem))
        candidates = with_probabilities(candidates, self.encoder.calibration, modality, against)
        status, message = judge(candidates, settings)
        message += self.fallback(modality, place_map)
        return Recognition(frame.stamp_ns, modality, status, message, candidates, descriptor, watch.stage_ms)

    def query_modality(self, frame: Frame) -> Modality:
        """What to describe the frame by: as set, else, of what frame, model and, if possible, map share, the best that
        nearly as many of the map's places have as any. Where `against` is set, that is what they need to have."""
        place_map, query, against = self.place_map, self.settings.query, self.settings.against
        if query != "auto":
            return query
        able = [
            modality
            for modality in sorted(BEST_FIRST, key=lambda modality: modality != against)  # its own kind finds most
            if modality in self.encoder.modalities
            and shows(frame, modality)
            and meet(modality, against)
            and self._fits(modality if against == "auto" else against)
        ]
        places = {} if place_map is None else place_map.counts
        found = {modality: places.get(modality if against == "auto" else against, 0) for modality in able}
        enough = NEARLY_ALL * max(found.values(), default=0)
        return next((modality for modality in able if found[modality] >= enough), "camera")

    def _fits(self, modality: Modality) -> bool:
        """Whether the map's descriptors are as long as the model's: an older one's, let in on purpose, may not be."""
        lengths = {} if self.place_map is None else self.place_map.dimensions
        return lengths.get(modality) in (None, self.encoder.length_of(modality))

    def fallback(self, modality: Modality, place_map: PlaceMap) -> str:
        """Tells of an automatic query by one sensor that would be fused if the frame, or more of the map's places, had
        both; "" otherwise."""
        counts, can_fuse = place_map.counts, "fused" in self.encoder.modalities
        is_asked = self.settings.query == "auto" and meet("fused", self.settings.against)
        if modality == "fused" or not (is_asked and can_fuse and "fused" in counts):
            return ""
        if counts["fused"] < NEARLY_ALL * counts.get(modality, 0):
            return f", by {modality} alone: only {counts['fused']} places of the map are fused"
        return f", by {modality} alone: no {'image that shows anything' if modality == 'lidar' else 'point cloud'}"

    def map_modality(self, query: Modality, place_map: PlaceMap) -> Modality:
        """Which descriptors to search: as set, else the query's own kind, else what the map has (one shared space)."""
        wanted = query if self.settings.against == "auto" else self.settings.against
        if wanted in place_map.modalities and meet(query, wanted):
            return wanted
        others = [modality for modality in place_map.modalities if meet(query, modality)]
        if self.settings.against == "auto" and others:
            return others[0]
        raise MapError(f"the map holds {' and '.join(place_map.modalities) or 'no'} descriptors, but none by {wanted}")

    def describe_rear(self, frame: Frame) -> np.ndarray | None:
        """[D] float32: the LiDAR's descriptor of the view backwards, which resembles that of a place where the street
        was driven in the other direction. None without points there, or for a model that does not describe points."""
        if frame.points is None or "lidar" not in self.encoder.modalities:
            return None
        try:
            return self.encoder.describe(turned_round(frame), "lidar").vector
        except BadInput:
            return None

    def make_place(self, frame: Frame, T_map_base: np.ndarray, keyframe: KeyframeSettings, drive: int = 0) -> Place:
        """A place for a map, with a descriptor of every sensor that the frame and the model share.

        T_map_base: [4, 4]. Raises BadInput when no sensor gives a usable descriptor.
        """
        modalities = available_modalities(frame, self.encoder)
        return Place(
            stamp_ns=frame.stamp_ns,
            T_map_base=T_map_base,
            descriptors={modality: self.encoder.describe(frame, modality).vector for modality in modalities},
            T_odom_base=frame.T_odom_base,
            drive=drive,
            cloud=small_cloud(frame, keyframe.cloud_voxel),
            thumbnail=thumbnail(first_image(frame), keyframe.thumbnail_width),
        )


def turned_round(frame: Frame) -> Frame:
    """The frame with its points turned by 180 degrees about the base's z axis: what lay behind lies ahead."""
    T_lidar_base = np.eye(4) if frame.T_base_lidar is None else invert(frame.T_base_lidar)
    points = frame.points.copy()
    points[:, :3] = transform_points(T_lidar_base @ HALF_TURN @ invert(T_lidar_base), points[:, :3])
    return replace(frame, points=points)


def has(frame: Frame, modality: Modality) -> bool:
    """Whether the frame has what this descriptor is made of."""
    has_camera, has_lidar = bool(frame.images), frame.points is not None
    return {"camera": has_camera, "lidar": has_lidar, "fused": has_camera and has_lidar}[modality]


def meet(query: Modality, against: str) -> bool:
    """Camera and LiDAR descriptors share a space; fused ones have their own."""
    return against == "auto" or (query == "fused") == (against == "fused")


def shows(frame: Frame, modality: Modality) -> bool:
    """As `has`, but a black image is none: what is left finds more alone than fused with nothing."""
    is_blind = all(is_blank(image.pixels) for image in frame.images.values())
    return has(frame, modality) and not (is_blind and modality != "lidar")


def available_modalities(frame: Frame, encoder: Encoder) -> list[Modality]:
    """What this frame can be described by. Raises BadInput when there is nothing, or nothing but black images."""
    modalities = [modality for modality in encoder.modalities if shows(frame, modality)]
    if not modalities:
        is_dark = any(has(frame, modality) for modality in encoder.modalities)
        lack = "only images that show nothing, and no other thing" if is_dark else "nothing"
        raise BadInput("no_sensor", f"the frame holds {lack} that the model {encoder.model_id} can describe")
    return modalities


def small_cloud(frame: Frame, voxel: float) -> np.ndarray | None:
    """The frame's points in the base frame, thinned to one per voxel of `voxel` metres: [M, 3] float32.

    None without points, and where nobody knows how the LiDAR sits on the base.
    """
    if frame.points is None or frame.T_base_lidar is None or voxel == 0:
        return None
    return transform_points(frame.T_base_lidar, thin(limit(frame.points[:, :3], MAX_POINTS), voxel))


def thumbnail(image: Image | None, width: int) -> bytes:
    """A JPEG `width` pixels wide for people to look at; empty without an image, or when OpenCV cannot make one.

    At most four times as high as wide: a taller image is squashed.
    """
    if image is None or image.pixels.size == 0 or width == 0:
        return b""
    height = min(max(1, round(image.pixels.shape[0] * width / image.pixels.shape[1])), 4 * width)
    small = cv2.resize(image.pixels, (width, height), interpolation=cv2.INTER_AREA)
    is_encoded, data = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data.tobytes() if is_encoded else b""
