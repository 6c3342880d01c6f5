"""Frames to descriptors: preprocessing and network of one model, for whatever sensors the frame has."""

import logging
from pathlib import Path

import numpy as np
import torch

from .config import MAX_POINTS
from .datatypes import Camera, Descriptor, Frame, Image, Modality
from .errors import BadInput, ModelError
from .geometry import transform_points
from .model_store import Model, load_model
from .preprocessing.image import to_tensor
from .preprocessing.pixels import is_calibrated
from .preprocessing.pointcloud import limit
from .preprocessing.projection import usable_intrinsics, view_from_lidar
from .stopwatch import Stopwatch

logger = logging.getLogger(__name__)


class Encoder:
    """One model, ready to describe frames. Not meant for several threads at a time.

    modalities: what it can describe. device: where the networks run. calibration: how likely answers by its descriptors
    are right.
    """

    def __init__(self, model: Model, device: torch.device, threads: int = 1):
        self.recipe, self.model_id, self.calibration = model.recipe, model.model_id, model.calibration
        self.network = model.network.to(device).eval().requires_grad_(False)
        self.modalities: tuple[Modality, ...] = tuple(model.recipe.modalities)
        self.device = str(device)
        self.threads = threads
        self._said: set[str] = set()

    @classmethod
    def load(cls, name_or_path: str | Path, device: str = "auto", threads: int = 1) -> "Encoder":
        """Load a model folder or a shipped model. device: auto (CUDA when there is one), cpu, cuda or cuda:N.

        threads: CPU threads of torch, for this whole process. Raises ModelError.
        """
        encoder = cls(load_model(name_or_path), choose_device(device), threads)
        logger.info("model %s on %s, %d thread(s)", encoder.model_id, encoder.device, threads)
        return encoder

    def length_of(self, modality: Modality) -> int:
        """Length of its descriptors."""
        return self.recipe.length_of(modality)

    @torch.inference_mode()
    def describe(self, frame: Frame, modality: Modality, stage_ms: dict[str, float] | None = None) -> Descriptor:
        """The frame's descriptor by one sensor, or by all. stage_ms: gets the wall milliseconds of each stage.

        Raises BadInput: "no_sensor", "bad_image", "no_point_in_view", "bad_descriptor", "bad_camera_info".
        """
        if torch.get_num_threads() != self.threads:  # a setting of each thread, and nodes describe in a worker
            torch.set_num_threads(self.threads)
        if modality not in self.modalities:
            raise BadInput("no_sensor", f"the model {self.model_id} cannot describe a frame by {modality}")
        watch = Stopwatch()
        describe = {"camera": self._describe_image, "lidar": self._describe_points, "fused": self._describe_frame}
        vector = (self._describe_frame if self.recipe.sees_rig else describe[modality])(frame, watch)
        if stage_ms is not None:
            stage_ms.update(watch.stage_ms)
        return Descriptor(self._checked(vector, modality), modality, self.model_id)

    def _describe_image(self, frame: Frame, watch: Stopwatch) -> np.ndarray:
        if not frame.images:
            raise BadInput("no_sensor", "the frame holds no image")
        with watch.stage("image"):
            pixels = first_image(frame).pixels
            antialias = not self.recipe.paper_compat.resize_no_antialias
            image = to_tensor(pixels, self.recipe.image, antialias).to(self.device)
        with watch.stage("image_encoder"):
            return self.network.camera(image[None])[0].cpu().numpy()

    def _describe_points(self, frame: Frame, watch: Stopwatch) -> np.ndarray:
        if frame.points is None:
            raise BadInput("no_sensor", "the frame holds no point cloud")
        with watch.stage("points"):
            T_view_lidar, intrinsics = self._view(frame)
            points = limit(frame.points, MAX_POINTS).copy()
            points[:, :3] = transform_points(T_view_lidar, points[:, :3])
            inputs = self.network.lidar.prepare(points, intrinsics, self.device)
        with watch.stage("lidar_encoder"):
            vectors, is_valid = self.network.lidar(*inputs)
            if not is_valid[0]:
                raise BadInput("no_point_in_view", "no LiDAR point lies in the camera's view: check the extrinsics")
            return vectors[0].cpu().numpy()

    def _describe_frame(self, frame: Frame, watch: Stopwatch) -> np.ndarray:
        with watch.stage("views"):
            inputs = self.network.prepare_frame(frame, self.device)
        with watch.stage("fused_encoder"):
            return self.network.fuse(*inputs)[0].cpu().numpy()

    def _view(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """Where the LiDAR network looks from: T_view_lidar [4, 4] and the normalised intrinsics [4].

        From the frame's first camera with known intrinsics and extrinsics; without one, from the LiDAR, straight ahead.
        """
        camera = first_calibrated(frame)
        if camera is None:
            self._say_once(
                "no calibrated camera: the LiDAR is described by the model's nominal view along its own x axis"
            )
            return np.eye(4), np.array(self.recipe.lidar.nominal_view)
        if camera.distortion.any():
            self._say_once("the image is not rectified: its distortion is ignored where LiDAR meets the image")
        return view_from_lidar(camera.T_base_camera, frame.T_base_lidar), usable_intrinsics(camera)

    def _checked(self, vector: np.ndarray, modality: Modality) -> np.ndarray:
        if vector.shape != (self.length_of(modality),) or not np.isfinite(vector).all():
            raise BadInput("bad_descriptor", f"the model {self.model_id} gave a descriptor that holds NaN or infinity")
        return vector

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            logger.warning("%s", text)


def first_image(frame: Frame) -> Image | None:
    """The image that stands for the frame: the first of a calibrated camera, as the LiDAR is seen; else the first."""
    images = list(frame.images.values())
    return next((image for image in images if is_calibrated(image.camera)), images[0] if images else None)


def first_calibrated(frame: Frame) -> Camera | None:
    """The first camera whose place relative to the LiDAR is known."""
    cameras = [*(image.camera for image in frame.images.values()), *frame.cameras.values()]
    if frame.T_base_lidar is None:
        return None
    return next((camera for camera in cameras if is_calibrated(camera)), None)


def choose_device(name: str) -> torch.device:
    """auto: CUDA when there is one. Raises ModelError for a device that this computer or this torch does not have."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as problem:
        raise ModelError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}") from problem
    if device.type not in ("cpu", "cuda"):
        raise ModelError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(f"device {name} is not there: this torch sees {torch.cuda.device_count()} CUDA devices")
    return device
