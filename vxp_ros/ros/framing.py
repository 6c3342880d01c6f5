"""From a bundle to a Frame: decodes the messages and finds where the sensors sit. Runs on the worker's thread."""

import logging
from dataclasses import replace

import numpy as np
from sensor_msgs.msg import CompressedImage

from ..core.datatypes import Camera, Frame, Image
from ..core.errors import BadInput
from .conversions import compressed_to_pixels, to_pixels, to_points
from .ledger import LogLimiter
from .sensors import Bundle, SensorInput
from .transforms import Transforms
from .wire import decode

logger = logging.getLogger(__name__)


class FrameMaker:
    """Makes frames of one node's bundles."""

    def __init__(self, sensors: SensorInput, transforms: Transforms):
        self._sensors = sensors
        self._transforms = transforms
        self._limiter = LogLimiter(period=60.0)

    def make(self, bundle: Bundle, stamp_ns: int, T_odom_base: np.ndarray | None) -> Frame:
        """Raises BadInput, whose reason names the first part that cannot be used."""
        points, rings, T_base_lidar = self._lidar(bundle)
        images = {name: self._image(name, bundle) for name in bundle.messages if name != "lidar"}
        silent = {name: camera for name, camera in self._sensors.cameras.items() if name not in images}
        return Frame(
            stamp_ns=stamp_ns,
            images=images,
            points=points,
            rings=rings,
            T_base_lidar=T_base_lidar,
            T_odom_base=T_odom_base,
            cameras={name: self._placed(name, camera, bundle) for name, camera in silent.items()},
        )

    def _lidar(self, bundle: Bundle) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        if "lidar" not in bundle.messages:
            return None, None, None
        inputs = self._sensors.inputs
        cloud = decode(bundle.messages["lidar"], self._sensors.streams["lidar"].message_type)
        points, rings = to_points(cloud, inputs.max_points, inputs.min_points)
        return points, rings, self._transforms.sensor("lidar", cloud.header.frame_id, bundle.stamps["lidar"])

    def _image(self, name: str, bundle: Bundle) -> Image:
        message = decode(bundle.messages[name], self._sensors.streams[name].message_type)
        pixels = compressed_to_pixels(message) if isinstance(message, CompressedImage) else to_pixels(message)
        camera = self._sensors.cameras.get(name)
        if camera is None:
            self._warn(name, f"camera {name} has sent no camera_info: its images are used without calibration")
            return Image(pixels)
        height, width = pixels.shape[:2]
        if (camera.width, camera.height) != (width, height):
            calibrated = f"its camera_info is for {camera.width} x {camera.height}"
            raise BadInput("bad_camera_info", f"camera {name} sends {width} x {height} pixels, but {calibrated}")
        return Image(pixels, self._placed(name, camera, bundle))

    def _placed(self, name: str, camera: Camera, bundle: Bundle) -> Camera:
        """The camera with the place where it sits on the robot. A rig without a LiDAR does not need to know it."""
        frame_id, stamp_ns = self._sensors.camera_frames[name], max(bundle.stamps.values())
        try:
            return replace(camera, T_base_camera=self._transforms.sensor(name, frame_id, stamp_ns))
        except BadInput:
            if "lidar" in self._sensors.streams:
                raise
            return camera

    def _warn(self, key: str, message: str) -> None:
        text = self._limiter.text(key, message)
        if text:
            logger.warning(text)
