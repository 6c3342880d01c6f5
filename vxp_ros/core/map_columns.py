"""The files of a map folder, format 1: from places to bytes, and from verified bytes back to places.

For N places: id.npy and stamp.npy int64 [N], T_map_base.npy and odometry.npy float64 [N, 4, 4] (NaN where a place has
no odometry), drive.npy int64 [N]. Per modality: has_*.npy bool [N], descriptors_*.npy float32 [N, D] (zeros where a
place has none) and index_*.faiss over the rows that are there. Packed: clouds.npy float32 [P, 3] with
clouds_offsets.npy int64 [N + 1] (place i owns rows offsets[i] to offsets[i + 1]), thumbnails.bin likewise; an empty
cloud comes back as none.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from .datatypes import MODALITIES, Modality, Place
from .errors import MapError
from .geometry import is_rigid
from .index import VectorIndex
from .map_manifest import Data, Manifest, index_file

NO_POSE = np.full((4, 4), np.nan)
NO_CLOUD = np.zeros((0, 3), dtype=np.float32)
HEADER_BYTES = 128  # of each .npy file
Buffers = tuple[Data, ...]


def dimensions_of(places: Sequence[Place]) -> dict[Modality, int]:
    """Length of the descriptors of each modality that some place has."""
    lengths = {modality: len(vector) for place in places for modality, vector in place.descriptors.items()}
    return {modality: lengths[modality] for modality in MODALITIES if modality in lengths}


def to_files(places: Sequence[Place], dimensions: dict[Modality, int]) -> dict[str, Buffers]:
    """File name -> its bytes, in pieces. dimensions: what `dimensions_of` says."""
    columns = {
        "id": np.arange(len(places), dtype=np.int64),
        "stamp": np.array([place.stamp_ns for place in places], dtype=np.int64),
        "T_map_base": np.array([place.T_map_base for place in places], dtype=np.float64),
        "odometry": np.array([NO_POSE if place.T_odom_base is None else place.T_odom_base for place in places]),
        "drive": np.array([place.drive for place in places], dtype=np.int64),
    }
    for modality, dimension in dimensions.items():
        columns[f"has_{modality}"] = np.array([modality in place.descriptors for place in places])
        absent = np.zeros(dimension, dtype=np.float32)
        columns[f"descriptors_{modality}"] = np.array([place.descriptors.get(modality, absent) for place in places])
    clouds = [NO_CLOUD if place.cloud is None else place.cloud for place in places]
    columns["clouds_offsets"] = offsets_of(clouds)
    columns["thumbnails_offsets"] = offsets_of([place.thumbnail for place in places])
    files = {f"{name}.npy": npy_bytes([column]) for name, column in columns.items()}
    files["clouds.npy"] = npy_bytes(clouds)
    files["thumbnails.bin"] = tuple(place.thumbnail for place in places)
    for modality in dimensions:
        index = make_index(columns[f"descriptors_{modality}"][columns[f"has_{modality}"]])
        files[index_file(modality)] = (index.to_bytes(),)
    return files


def from_files(manifest: Manifest, files: dict[str, Data]) -> tuple[list[Place], dict[Modality, VectorIndex]]:
    """The places, and the index of each modality. Raises MapError when the bytes do not say what format 1 asks for.

    Arrays and thumbnails of the places are read-only views of the files' bytes.
    """
    n = manifest.places
    stamps, drives = column(files, "stamp", np.int64, (n,)), column(files, "drive", np.int64, (n,))
    poses = column(files, "T_map_base", np.float64, (n, 4, 4))
    odometry = column(files, "odometry", np.float64, (n, 4, 4))
    has_odometry = ~np.isnan(odometry).all(axis=(1, 2))
    if not (column(files, "id", np.int64, (n,)) == np.arange(n)).all() or stamps.min() < 0:
        raise MapError("id.npy does not count the places from 0, or stamp.npy holds a negative time")
    if not is_rigid(poses) or not is_rigid(odometry[has_odometry]):
        raise MapError("T_map_base.npy or odometry.npy holds a pose that is no rigid transform")
    clouds = column(files, "clouds", np.float32, (None, 3))
    if not np.isfinite(clouds).all():
        raise MapError("clouds.npy holds NaN or infinity")
    cloud_ranges = ranges(files, "clouds_offsets", n, len(clouds))
    thumbnail_ranges = ranges(files, "thumbnails_offsets", n, len(files["thumbnails.bin"]))
    descriptors, indexes = descriptors_of(manifest, files)
    places = [
        Place(
            stamp_ns=int(stamps[i]),
            T_map_base=poses[i],
            descriptors=descriptors[i],
            T_odom_base=odometry[i] if has_odometry[i] else None,
            drive=int(drives[i]),
            cloud=clouds[slice(*cloud_ranges[i])] if cloud_ranges[i][0] < cloud_ranges[i][1] else None,
            thumbnail=files["thumbnails.bin"][slice(*thumbnail_ranges[i])],
        )
        for i in range(n)
    ]
    return places, indexes


def descriptors_of(manifest: Manifest, files: dict[str, Data]) -> tuple[list[dict], dict[Modality, VectorIndex]]:
    """Per place its descriptors, and per modality the index over them. Raises MapError when they do not fit."""
    descriptors: list[dict[Modality, np.ndarray]] = [{} for _ in range(manifest.places)]
    indexes = {}
    for modality, dimension in manifest.dimensions.items():
        vectors = column(files, f"descriptors_{modality}", np.float32, (manifest.places, dimension))
        if not np.isfinite(vectors).all():
            raise MapError(f"descriptors_{modality}.npy holds NaN or infinity")
        rows = np.flatnonzero(column(files, f"has_{modality}", np.bool_, (manifest.places,)))
        if not len(rows):
            raise MapError(f"has_{modality}.npy says that no place has a {modality} descriptor")
        for row in rows:
            descriptors[row][modality] = vectors[row]
        indexes[modality] = index_over(vectors[rows], files.get(index_file(modality)), modality)
    if not all(descriptors):
        raise MapError("the map holds a place without any descriptor")
    return descriptors, indexes


def index_over(vectors: np.ndarray, data: Data | None, modality: Modality) -> VectorIndex:
    """The index of these bytes, or a new one when the map brings none. Raises MapError when they do not fit."""
    if data is None:
        return make_index(vectors)
    try:
        index = VectorIndex.from_bytes(data, vectors.shape[1], len(vectors))
    except MapError as problem:
        raise MapError(f"{index_file(modality)}: {problem}") from None
    if not np.array_equal(index.vectors(), vectors):
        raise MapError(f"{index_file(modality)} holds other vectors than descriptors_{modality}.npy")
    return index


def make_index(vectors: np.ndarray) -> VectorIndex:
    """A new index over the rows of [n, D] float32."""
    index = VectorIndex(vectors.shape[1])
    index.add(vectors)
    return index


def offsets_of(parts: Iterable[np.ndarray | Data]) -> np.ndarray:
    """Where each part starts when they are packed, and where the last one ends: [N + 1] int64."""
    return np.cumsum([0, *map(len, parts)], dtype=np.int64)


def ranges(files: dict[str, Data], name: str, places: int, end: int) -> np.ndarray:
    """[N, 2] start and end of each place's part. Raises MapError unless the parts cover 0 to `end` in order."""
    offsets = column(files, name, np.int64, (places + 1,))
    if offsets[0] != 0 or offsets[-1] != end or (offsets[1:] < offsets[:-1]).any():
        raise MapError(f"{name}.npy does not divide {end} entries among {places} places")
    return np.stack([offsets[:-1], offsets[1:]], axis=1)


def npy_bytes(parts: Sequence[np.ndarray]) -> Buffers:
    """The .npy file of some C-contiguous arrays, one below the other: header, then their data without a copy."""
    shape = (sum(map(len, parts)), *parts[0].shape[1:])
    data = (memoryview(part.reshape(-1).view(np.uint8)) for part in parts if part.size)
    return npy_header(parts[0].dtype, shape), *data


def npy_header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """The one header that format 1 gives to an array; numpy writes the same, with padding that its versions vary."""
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    length = HEADER_BYTES - 10
    return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.ljust(length - 1).encode() + b"\n"


def column(files: dict[str, Data], name: str, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
    """The array of NAME.npy, a read-only view of its bytes. `shape` may start with None for any length.

    Raises MapError unless the file is exactly what format 1 writes for that type and shape. Headers are compared, not
    parsed: numpy's parser evaluates Python literals, and a forged one raises all kinds of errors.
    """
    data, dtype = files[f"{name}.npy"], np.dtype(dtype)
    row_bytes = dtype.itemsize * math.prod(shape[1:])
    shape = (max(0, len(data) - HEADER_BYTES) // row_bytes if shape[0] is None else shape[0], *shape[1:])
    if data[:HEADER_BYTES] != npy_header(dtype, shape) or len(data) != HEADER_BYTES + shape[0] * row_bytes:
        found = bytes(data[10:HEADER_BYTES]).decode("latin1").strip()
        raise MapError(f"{name}.npy is no {dtype} array of shape {shape}; its {len(data)} bytes begin with {found!r}")
    return np.frombuffer(data, dtype=dtype, offset=HEADER_BYTES).reshape(shape)
