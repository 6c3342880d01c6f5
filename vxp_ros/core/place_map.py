"""The place map in memory: places with their descriptors and poses, and the search for the nearest of them."""

import threading
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from .datatypes import MODALITIES, Modality, Place
from .errors import BadInput, MapError
from .geometry import is_rigid
from .index import VectorIndex
from .memory import LastingMemory


class PlaceMap:
    """Places, numbered 0, 1, 2... in the order in which they were added, and one vector index per modality.

    models: modality -> model_id of the encoder that makes its descriptors. map_frame, base_frame: names of the frames
    of `T_map_base`. rig: what is known about the sensors, JSON-able. name and map_id are empty until the map is saved
    or loaded (`map_store`). A place that lacks a modality is not in that modality's index, so no search there finds it.
    Adding and searching may happen in different threads.
    """

    def __init__(
        self,
        models: dict[Modality, str],
        map_frame: str = "map",
        base_frame: str = "base_link",
        rig: dict | None = None,
    ):
        unknown = set(models) - set(MODALITIES)
        if unknown or not models:
            raise ValueError(f"models must name some of {', '.join(MODALITIES)}, got {sorted(models)}")
        self.models = dict(models)
        self.map_frame, self.base_frame, self.rig = map_frame, base_frame, dict(rig or {})
        self.name = self.map_id = ""
        self._places: list[Place] = []
        self._indexes: dict[Modality, VectorIndex] = {}
        self._ids: dict[Modality, list[int]] = {}  # place id of each index row
        self._poses: np.ndarray | None = None
        self._memory = LastingMemory()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._places)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Those with at least one descriptor in the map."""
        return tuple(modality for modality in MODALITIES if modality in self._indexes)

    @property
    def counts(self) -> dict[Modality, int]:
        """How many places have a descriptor of each modality in the map."""
        with self._lock:
            return {modality: len(self._ids[modality]) for modality in self.modalities}

    @property
    def dimensions(self) -> dict[Modality, int]:
        """Length of the descriptors of each modality in the map."""
        return {modality: self._indexes[modality].dimension for modality in self.modalities}

    @property
    def poses(self) -> np.ndarray:
        """[N, 4, 4] float64 `T_map_base` of all places, read-only."""
        with self._lock:
            if self._poses is None:
                self._poses = np.array([place.T_map_base for place in self._places]).reshape(-1, 4, 4)
                self._poses.flags.writeable = False
            return self._poses

    def add(self, place: Place) -> int:
        """Append a copy of the place and return its id.

        Raises MapError, and changes nothing, when the place is not sound or there is no memory for it.
        """
        place = with_stored_types(place)
        with self._lock:
            self._check(place)
            place_id = len(self._places)
            try:
                place = self._lasting(place)
                for modality, vector in place.descriptors.items():
                    self._indexes.setdefault(modality, VectorIndex(len(vector))).add(vector[None])
            except (OSError, MemoryError) as problem:
                self._cut_indexes()
                raise MapError(f"no memory for another place: {problem}") from None
            for modality in place.descriptors:
                self._ids.setdefault(modality, []).append(place_id)
            self._places.append(place)
            self._poses = None
        return place_id

    def place(self, place_id: int) -> Place:
        """The place of that id. Raises MapError when there is none."""
        if not 0 <= place_id < len(self._places):
            raise MapError(f"the map holds places 0 to {len(self._places) - 1}, not {place_id}")
        return self._places[place_id]

    def places(self) -> tuple[Place, ...]:
        """All places as they are now; later additions do not change it."""
        with self._lock:
            return tuple(self._places)

    def search(self, vector: np.ndarray, modality: Modality, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The m <= k places whose `modality` descriptors are nearest to `vector` [D] float32.

        Returns ids int64 [m] and L2 distances float32 [m], ascending. Raises MapError when the map has no such
        descriptors or they are of another dimension, BadInput when the vector is not finite.
        """
        if modality not in self._indexes:
            raise MapError(f"the map holds {' and '.join(self.modalities) or 'no'} descriptors, but none by {modality}")
        dimension = self._indexes[modality].dimension
        if np.shape(vector) != (dimension,):
            raise MapError(f"the map's {modality} descriptors have dimension {dimension}, the query {np.shape(vector)}")
        if not np.isfinite(vector).all():
            raise BadInput("bad_descriptor", "the query's descriptor holds NaN or infinity")
        with self._lock:
            rows, distances = self._indexes[modality].search(vector, k)
            ids = self._ids[modality]
            return np.array([ids[row] for row in rows], dtype=np.int64), distances

    def merge(self, other: "PlaceMap", T_map_other: np.ndarray | None = None) -> None:
        """Append copies of the places of `other`; they get new ids and drive numbers.

        T_map_other: [4, 4] of the other's frame in this map's; None when they share one. Raises MapError, and changes
        nothing, when models, dimensions or, without T_map_other, frames differ.
        """
        self.check_like(other)
        if T_map_other is None and other.map_frame != self.map_frame:
            raise MapError(f"maps of different frames cannot be merged: {self.map_frame} and {other.map_frame}")
        places = other.places()
        first_drive = 1 + max((place.drive for place in self.places()), default=-1)
        for place in places:
            T_map_base = place.T_map_base if T_map_other is None else T_map_other @ place.T_map_base
            self.add(replace(place, T_map_base=T_map_base, drive=place.drive + first_drive))

    def check_like(self, other: "PlaceMap") -> None:
        """Raises MapError when places of `other` cannot be places of this map, wherever they are."""
        if other.models != self.models:
            raise MapError(f"maps of different models cannot be merged: {self.models} and {other.models}")
        if other.base_frame != self.base_frame:
            raise MapError(f"maps of different frames cannot be merged: {self.base_frame} and {other.base_frame}")
        for modality, dimension in other.dimensions.items():
            self._check_dimension(modality, dimension)

    def restore(self, places: Iterable[Place], indexes: dict[Modality, VectorIndex]) -> None:
        """Fill an empty map with places that were checked when read, and the indexes over their descriptors."""
        assert not self._places
        self._places = list(places)
        self._indexes = dict(indexes)
        self._ids = {
            modality: [i for i, place in enumerate(self._places) if modality in place.descriptors]
            for modality in indexes
        }

    def _lasting(self, place: Place) -> Place:
        """The place with copies of its arrays apart from the heap, which the work on frames uses."""
        return replace(
            place,
            T_map_base=self._memory.copy(place.T_map_base),
            T_odom_base=None if place.T_odom_base is None else self._memory.copy(place.T_odom_base),
            descriptors={key: self._memory.copy(vector) for key, vector in place.descriptors.items()},
            cloud=None if place.cloud is None else self._memory.copy(place.cloud),
            thumbnail=self._memory.copy_bytes(place.thumbnail),
        )

    def _cut_indexes(self) -> None:
        """Take back the rows of a place that was not added."""
        for modality, index in list(self._indexes.items()):
            index.cut(len(self._ids.get(modality, ())))
            if not len(index):
                del self._indexes[modality]

    def _check(self, place: Place) -> None:
        if not place.descriptors:
            raise MapError("a place needs at least one descriptor")
        for modality, vector in place.descriptors.items():
            if modality not in self.models:
                raise MapError(f"the map is made for {' and '.join(self.models)} descriptors, not {modality}")
            if vector.ndim != 1 or vector.size == 0 or not np.isfinite(vector).all():
                raise MapError(f"a {modality} descriptor must be a vector of finite numbers")
            self._check_dimension(modality, len(vector))
        if not 0 <= place.stamp_ns < 1 << 63:
            raise MapError(f"a place's stamp must be nanoseconds from 0 to 2^63, got {place.stamp_ns}")
        if not is_rigid(place.T_map_base) or not (place.T_odom_base is None or is_rigid(place.T_odom_base)):
            raise MapError("a place's pose must be a rigid transform of finite numbers")
        if place.cloud is not None and not is_finite_cloud(place.cloud):
            raise MapError(f"a place's cloud must be finite and [M, 3], got shape {np.shape(place.cloud)}")

    def _check_dimension(self, modality: Modality, dimension: int) -> None:
        known = self.dimensions.get(modality, dimension)
        if dimension != known:
            raise MapError(f"the map's {modality} descriptors have dimension {known}, a new one {dimension}")


def with_stored_types(place: Place) -> Place:
    """The place with arrays of the types that a map stores."""
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, and is refused for that
        return replace(
            place,
            T_map_base=np.asarray(place.T_map_base, dtype=np.float64),
            T_odom_base=None if place.T_odom_base is None else np.asarray(place.T_odom_base, dtype=np.float64),
            descriptors={key: np.asarray(vector, dtype=np.float32) for key, vector in place.descriptors.items()},
            cloud=None if place.cloud is None else np.asarray(place.cloud, dtype=np.float32),
        )


def is_finite_cloud(cloud: np.ndarray) -> bool:
    return cloud.ndim == 2 and cloud.shape[1] == 3 and bool(np.isfinite(cloud).all())
