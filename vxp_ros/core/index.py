"""Nearest descriptors: exact search by FAISS among the vectors of one modality, and FAISS's flat index on disk.

Search takes about 1 ms for 10,000 vectors of 256 numbers and has nothing to train or tune. The vectors lie apart from
the heap: FAISS's own index, which grows with a map for minutes, split what frames need again and again.
"""

import faiss
import numpy as np

from .errors import MapError
from .floors import require
from .memory import new_memory

require("faiss", faiss.__version__)

FLAT_L2 = b"IxF2"  # how FAISS marks a flat L2 index; no other of its parsers ever sees the bytes of a map
FIRST_ROWS = 256  # to have room for; what is not used yet takes no memory
LOOP_LIMIT = 1 << 20  # of repeated fields in a serialised index; ours has none


class VectorIndex:
    """Rows of [D] float32 vectors, numbered in the order in which they were added. Finite vectors only.

    Not safe for concurrent use: adding may move its storage. `PlaceMap` holds a lock around it.
    """

    def __init__(self, dimension: int):
        self._rows, self._length = np.zeros((0, dimension), np.float32), 0

    @property
    def dimension(self) -> int:
        return self._rows.shape[1]

    def __len__(self) -> int:
        return self._length

    def add(self, vectors: np.ndarray) -> None:
        """Append rows [n, D] float32.

        Raises ValueError unless all are finite: NaN would poison every later search. Raises OSError without memory.
        """
        self._append(self._checked(vectors))

    def cut(self, length: int) -> None:
        """Take away the rows from `length` on."""
        self._length = length

    def search(self, vector: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The m = min(k, len) rows nearest to `vector` [D]: rows int64 [m], L2 distances float32 [m], ascending. m > 0.

        Raises ValueError for k < 1, or a vector that is not finite or not of length D.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        # One thread: spinning OpenMP teams make single queries slower on a busy computer, and FAISS's setting counts
        # only for the thread that makes it.
        faiss.omp_set_num_threads(1)
        squared, rows = faiss.knn(self._checked(vector[None]), self.vectors(), min(k, len(self)))
        return rows[0], np.sqrt(np.maximum(squared[0], 0.0))

    def vectors(self) -> np.ndarray:
        """All rows, [n, D] float32: a view."""
        return self._rows[: self._length]

    def to_bytes(self) -> bytes:
        """The index in FAISS's own file format."""
        flat = faiss.IndexFlatL2(self.dimension)
        flat.add(self.vectors())
        return faiss.serialize_index(flat).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes | memoryview, dimension: int, count: int) -> "VectorIndex":
        """The inverse of `to_bytes`, for bytes whose hash has been checked (FAISS has no checksum of its own).

        Raises MapError when FAISS cannot read them, or they hold another index than announced.
        """
        flat = _parse(data)
        if (flat.d, flat.ntotal, flat.metric_type, flat.is_trained) != (dimension, count, faiss.METRIC_L2, True):
            raise MapError(f"the index holds {flat.ntotal} vectors of length {flat.d}, expected {count} of {dimension}")
        index = cls(dimension)
        index._append(flat.reconstruct_n(0, count))
        return index

    def _append(self, vectors: np.ndarray) -> None:
        length = self._length + len(vectors)
        if length > len(self._rows):
            rows = max(length, 2 * len(self._rows), FIRST_ROWS)
            room = np.frombuffer(new_memory(4 * rows * self.dimension), np.float32).reshape(rows, self.dimension)
            room[: self._length] = self.vectors()
            self._rows = room
        self._rows[self._length : length] = vectors
        self._length = length

    def _checked(self, vectors: np.ndarray) -> np.ndarray:
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise ValueError(f"vectors have shape {vectors.shape}, expected [n, {self.dimension}]")
        if not np.isfinite(vectors).all():
            raise ValueError("a vector holds NaN or infinity")
        return vectors


def _parse(data: bytes | memoryview):
    if data[:4] != FLAT_L2:
        raise MapError(f"an index of kind {bytes(data[:4])!r} instead of a flat L2 index")
    faiss.set_deserialization_vector_byte_limit(len(data))
    faiss.set_deserialization_loop_limit(LOOP_LIMIT)
    try:
        index = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
    except RuntimeError as problem:  # how FAISS's C++ exceptions arrive
        raise MapError(f"FAISS {faiss.__version__} cannot read the index: {str(problem).splitlines()[0]}") from problem
    if not isinstance(index, faiss.IndexFlatL2):
        raise MapError(f"an index of kind {type(index).__name__} instead of a flat L2 index")
    return index
