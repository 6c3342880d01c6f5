"""Small maps whose every value follows from a generation number, and hands that damage a map folder on purpose."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

from vxp_ros.core.datatypes import Place
from vxp_ros.core.map_manifest import digest_of
from vxp_ros.core.place_map import PlaceMap

MODELS = {"camera": "tiny-0123456789ab", "lidar": "tiny-0123456789ab"}
DIMENSION = 8


def pose_at(x: float, y: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    T[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    T[:2, 3] = x, y
    return T


def make_place(i: int, generation: int = 0, cloud_points: int = 3, dimension: int = DIMENSION) -> Place:
    """Place i of a map: stamp, pose, descriptors, cloud and thumbnail all say i and the generation."""
    vector = np.full(dimension, generation, dtype=np.float32)
    vector[0] = i
    return Place(
        stamp_ns=1_000_000 * generation + i,
        T_map_base=pose_at(i, generation),
        descriptors={"camera": vector, "lidar": vector + 0.5} if i % 3 else {"lidar": vector + 0.5},
        T_odom_base=pose_at(i, generation) if i % 2 else None,
        drive=generation,
        cloud=np.full((cloud_points + i, 3), generation, dtype=np.float32) if i else None,
        thumbnail=f"{generation}:{i}".encode() if i else b"",
    )


def make_map(
    generation: int = 0, places: int = 6, cloud_points: int = 3, dimension: int = DIMENSION, models: dict | None = None
) -> PlaceMap:
    place_map = PlaceMap(models or MODELS, rig={"generation": generation})
    for i in range(places):
        place_map.add(make_place(i, generation, cloud_points, dimension))
    return place_map


def assert_same_place(one: Place, other: Place) -> None:
    assert (one.stamp_ns, one.drive, one.thumbnail) == (other.stamp_ns, other.drive, other.thumbnail)
    assert set(one.descriptors) == set(other.descriptors)
    for modality, vector in one.descriptors.items():
        assert vector.dtype == np.float32
        assert np.array_equal(vector, other.descriptors[modality])
    for a, b in [(one.T_map_base, other.T_map_base), (one.T_odom_base, other.T_odom_base), (one.cloud, other.cloud)]:
        assert (a is None) == (b is None)
        assert a is None or np.array_equal(a, b)


def generation_of(place_map: PlaceMap) -> int:
    """The generation that all parts of a map agree on. Raises AssertionError for a mix of two saves."""
    generation = place_map.rig["generation"]
    for i, place in enumerate(place_map.places()):
        cloud_points = 3 if place.cloud is None else len(place.cloud) - i
        assert_same_place(place, make_place(i, generation, cloud_points, place_map.dimensions["lidar"]))
    return generation


def version_folder(path: Path) -> Path:
    return path.resolve(strict=True)


def rebind(path: Path, **changes) -> Path:
    """What somebody does who forges a map: hash the files as they now are, change the manifest, fit the folder's name.

    changes: keys of the manifest to overwrite; a key set to None is left out. Returns `path`, the link.
    """
    folder = version_folder(path)
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in list(manifest["files"]):
        if (folder / name).is_file():
            data = (folder / name).read_bytes()
            manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest.update(changes)
    manifest = {key: value for key, value in manifest.items() if value is not None}
    return rebind_raw(path, json.dumps(manifest).encode())


def rebind_raw(path: Path, manifest: bytes) -> Path:
    """Make these bytes the manifest, and fit the folder's name to their hash."""
    folder = version_folder(path)
    (folder / "manifest.json").write_bytes(manifest)
    renamed = folder.with_name(f"{path.name}.v1-{digest_of(manifest)}")
    folder.rename(renamed)
    path.unlink()
    path.symlink_to(renamed.name)
    return path


def copy_root(source: Path, target: Path) -> Path:
    """A copy of a map root, links kept."""
    return Path(shutil.copytree(source, target, symlinks=True))


def tree_hash(root: Path) -> str:
    """One hash over all names, links and bytes below a folder; lock files, which carry no map, are left out."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.name.endswith(".lock"):
            continue
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        digest.update(repr((path.relative_to(root), content)).encode())
    return digest.hexdigest()
