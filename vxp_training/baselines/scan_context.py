"""ScanContext (Kim and Kim, IROS 2018): a LiDAR scan as largest heights per ring and sector, compared at all shifts."""

from collections.abc import Sequence

import numpy as np

RINGS, SECTORS = 20, 60
RING_M = 4.0
NEAREST_M = 2.0  # closer than this the car sees itself
# Heights count from below the road, so that a cell with a point on the road is not an empty one.
BELOW_ROAD_M = 2.0


def scan_context(points: np.ndarray, lidar_height: float) -> np.ndarray:
    """[RINGS, SECTORS] float32 of points [N, 3 or more] in a level LiDAR frame; 0 where a cell is empty."""
    x, y, z = points[:, 0], points[:, 1], points[:, 2] + (lidar_height + BELOW_ROAD_M)
    distance = np.hypot(x, y)
    ring = (distance / RING_M).astype(np.int64)
    sector = ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * SECTORS).astype(np.int64) % SECTORS
    is_inside = (distance > NEAREST_M) & (ring < RINGS)
    context = np.zeros((RINGS, SECTORS), dtype=np.float32)
    np.maximum.at(context, (ring[is_inside], sector[is_inside]), z[is_inside])
    return context


def similarities(queries: Sequence[np.ndarray], places: Sequence[np.ndarray]) -> np.ndarray:
    """[Q, N] in [-1, 1]: the mean cosine of two contexts' columns, over columns that both see, at the best shift.

    All shifts at once: the sum of columns' products over a shift is a circular correlation along the sectors.
    """
    query_columns, query_seen = transformed(queries)
    place_columns, place_seen = transformed(places)
    best = np.empty((len(queries), len(places)), dtype=np.float32)
    for row in range(len(queries)):
        products = np.einsum("rf,nrf->nf", query_columns[row].conj(), place_columns)
        total = np.fft.irfft(products, SECTORS)
        seen = np.fft.irfft(query_seen[row].conj() * place_seen, SECTORS)
        best[row] = (total / np.maximum(seen, 1.0)).max(axis=1)
    return best


def transformed(contexts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Spectra along the sectors: of columns with norm 1 [N, RINGS, F], and of which columns have any point [N, F]."""
    stack = np.array(contexts, dtype=np.float32)
    norm = np.linalg.norm(stack, axis=1, keepdims=True)
    columns = np.divide(stack, norm, out=np.zeros_like(stack), where=norm > 0)
    return np.fft.rfft(columns, axis=2), np.fft.rfft((norm[:, 0] > 0).astype(np.float32), axis=1)
