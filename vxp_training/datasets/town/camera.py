"""The camera: draws a day of the town from any pose, through any lens, and measures depth along exact rays."""

import cv2
import numpy as np

from vxp_ros.core.datatypes import Camera
from vxp_ros.core.geometry import interpolate, invert

from .paint.materials import looks_of
from .render.lens import Lens, make_lens, rays_of
from .render.light import make_lamps, make_light, make_spots
from .render.patches import make_patches
from .render.probe import nearest_hits
from .render.raster import CLUSTER, Clusters, draw, make_clusters, visible_clusters
from .render.sensor import develop
from .render.shade import Stage, shade
from .render.shadows import make_contact_map, make_sky_map, make_sun_map
from .render.wet import mirror_in_puddles
from .scene import Mesh, Scene, empty_mesh

SHARP = 0.6  # pixels of motion that need no blur


class CameraSimulator:
    """Takes pictures of a scene. Set-up (clusters, shadow maps) takes some seconds; use one per day and process."""

    def __init__(self, scene: Scene, samples: int = 2) -> None:
        """samples: per pixel and axis; 2 gives 2 x 2 supersampling."""
        self.scene = scene
        self.samples = samples
        self._looks = looks_of(scene)
        self._clusters = make_clusters(scene.mesh)
        self._light = make_light(scene.day)
        self._sun_map = make_sun_map(scene.mesh, scene.day)
        self._sky_map = make_sky_map(scene.mesh)
        self._lamps = make_lamps(scene.lamps, scene.day)
        self._far = 4.6 / max(scene.day.fog, 1e-3)  # beyond, haze hides all but 1 %
        self._lenses: dict[bytes, Lens] = {}

    def picture(
        self,
        camera: Camera,
        T_world_base: np.ndarray,
        moving: Mesh | None = None,
        seed: int = 0,
        T_world_base_end: np.ndarray | None = None,
        noise: bool = True,
    ) -> np.ndarray:
        """The picture from a pose of the base, [H, W, 3] uint8 RGB.

        moving: what moves, as it stands now. seed: of exposure error, drops and noise; the same gives the same picture,
        bit for bit on one machine. Between machines, other last digits of exp or sin may change a pixel by a level or
        two.
        T_world_base_end: where the base is when the shutter closes, for motion blur. noise: False for an ideal sensor.
        """
        light = self.light(camera, T_world_base, moving, T_world_base_end)
        return develop(light, self.scene.day, seed, noise)

    def light(
        self,
        camera: Camera,
        T_world_base: np.ndarray,
        moving: Mesh | None = None,
        T_world_base_end: np.ndarray | None = None,
    ) -> np.ndarray:
        """The light on the sensor [H, W, 3] float32, through the lens, before exposure."""
        moving = empty_mesh() if moving is None else moving
        lens = self._lens(camera)
        poses = _shutter_poses(camera, lens, T_world_base, T_world_base_end)
        light = self._draw(lens, poses[0], poses[0] @ _mount(camera), moving)
        for pose in poses[1:]:
            light += self._draw(lens, pose, pose @ _mount(camera), moving)
        light *= np.float32(1.0 / len(poses))
        if lens.map_x is None:
            return light
        return cv2.remap(light, lens.map_x, lens.map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)

    def depth(self, camera: Camera, T_world_base: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Depth (metres along the camera's z, inf for sky) [N] float32 of the exact rays through sub-pixel positions
        u, v [N, 2], lens distortion included: of the faces drawn around each position, the nearest that its ray hits.
        NaN outside the lens's field. Only what stands still."""
        lens, T_world_camera = self._lens(camera), T_world_base @ _mount(camera)
        ids, _ = self._rasterise(lens, invert(T_world_camera), None)
        rays = rays_of(camera, pixels)
        view = lens.view
        place = (rays * view[:2] + view[2:4] + 0.5) * self.samples - 0.5
        return nearest_hits(self.scene.mesh, ids, place, rays, T_world_camera)

    def _lens(self, camera: Camera) -> Lens:
        key = repr((camera.width, camera.height, camera.distortion_model)).encode()
        key += np.asarray(camera.K, np.float64).tobytes() + np.asarray(camera.distortion, np.float64).tobytes()
        if key not in self._lenses:
            self._lenses[key] = make_lens(camera)
        return self._lenses[key]

    def _rasterise(
        self, lens: Lens, T_camera_world: np.ndarray, moving: Clusters | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ids [H, W] int32 and 1 / depth [H, W] float32 at the samples of the pinhole image; moving faces come last."""
        width, height = lens.size
        shape = (height * self.samples, width * self.samples)
        ids, nearness = np.full(shape, -1, np.int32), np.zeros(shape, np.float32)
        first = 0
        for clusters in (self._clusters, moving):
            if clusters is not None and len(clusters.faces):
                chosen = visible_clusters(clusters, T_camera_world, lens.view, self._far)
                draw(
                    clusters.corners, clusters.faces, chosen, CLUSTER, first, T_camera_world, lens.view, self.samples,
                    ids, nearness,
                )  # fmt: skip
            first += len(self.scene.mesh)
        return ids, nearness

    def _draw(self, lens: Lens, T_world_base: np.ndarray, T_world_camera: np.ndarray, moving: Mesh) -> np.ndarray:
        """Light in the pinhole image, [H, W, 3] float32."""
        day = self.scene.day
        ids, nearness = self._rasterise(lens, invert(T_world_camera), make_clusters(moving))
        eye = T_world_camera[:3, 3]
        stage = Stage(
            self._looks.patches, make_patches(moving), self._looks.ground, self._looks.weather, self._light,
            self._sun_map, make_sun_map(moving, day, eye), self._sky_map, make_contact_map(moving, eye), self._lamps,
            make_spots(T_world_base, moving, day),
        )  # fmt: skip
        width, height = lens.size
        picture = np.empty((height, width, 3), np.float32)
        is_wet = day.wetness > 0
        wet = np.zeros((height, width, 2) if is_wet else (0, 0, 2), np.float32)
        T_world_camera = np.ascontiguousarray(T_world_camera)
        shade(ids, self.samples, stage, T_world_camera, lens.view, picture, wet)
        if is_wet:
            mirror_in_puddles(self._light, wet, nearness, self.samples, T_world_camera, lens.view, picture)
        return picture


def _mount(camera: Camera) -> np.ndarray:
    if camera.T_base_camera is None:
        raise ValueError("the camera needs T_base_camera, its pose in the base frame, to take pictures")
    return np.asarray(camera.T_base_camera, np.float64)


def _shutter_poses(camera: Camera, lens: Lens, T_start: np.ndarray, T_end: np.ndarray | None) -> list[np.ndarray]:
    """One pose, or two or three evenly within the exposure, by how many pixels the picture of the road shifts."""
    T_start = np.asarray(T_start, np.float64)
    if T_end is None:
        return [T_start]
    T_camera_camera = invert(T_end @ _mount(camera)) @ T_start @ _mount(camera)
    points = np.array([[x, y, z] for z in (5.0, 15.0) for x in (-0.5 * z, 0.5 * z) for y in (-1.0, 1.6)])
    moved = points @ T_camera_camera[:3, :3].T + T_camera_camera[:3, 3]
    shift = np.abs(moved[:, :2] / moved[:, 2:] - points[:, :2] / points[:, 2:]) * lens.view[:2]
    count = 1 if shift.max() < SHARP else (2 if shift.max() < 2.5 * SHARP else 3)
    return [interpolate(T_start, np.asarray(T_end, np.float64), (k + 0.5) / count) for k in range(count)]
