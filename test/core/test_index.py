"""The vector index against distances worked out with numpy."""

import threading

import faiss
import numpy as np
import pytest

from vxp_ros.core.errors import MapError
from vxp_ros.core.index import VectorIndex


def filled(vectors: np.ndarray) -> VectorIndex:
    index = VectorIndex(vectors.shape[1])
    index.add(vectors)
    return index


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)


def test_search_gives_the_true_distances_in_order(vectors):
    index, query = filled(vectors), vectors[7] + 0.1
    rows, distances = index.search(query, 5)
    truth = np.linalg.norm(vectors.astype(np.float64) - query, axis=1)
    assert rows.tolist() == np.argsort(truth)[:5].tolist()
    np.testing.assert_allclose(distances, np.sort(truth)[:5], rtol=1e-5)
    assert (rows.dtype, distances.dtype) == (np.int64, np.float32)


def test_distances_are_not_squared():
    assert filled(np.array([[3.0, 4.0]], np.float32)).search(np.zeros(2, np.float32), 1)[1].tolist() == [5.0]


def test_adding_one_by_one_equals_adding_all(vectors):
    index = VectorIndex(16)
    for vector in vectors:
        index.add(vector[None])
    assert np.array_equal(index.vectors(), vectors)
    assert np.array_equal(index.search(vectors[3], 10)[0], filled(vectors).search(vectors[3], 10)[0])


def test_k_may_exceed_the_size(vectors):
    rows, _ = filled(vectors[:3]).search(vectors[0], 10)
    assert sorted(rows) == [0, 1, 2]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_value_that_is_not_finite_gets_in(vectors, value, record_property):
    index, rng = filled(vectors), np.random.default_rng(1)
    for _ in range(500):
        bad = rng.normal(size=16).astype(np.float32)
        bad[rng.integers(16)] = value
        with pytest.raises(ValueError, match="NaN or infinity"):
            index.add(bad[None])
        with pytest.raises(ValueError, match="NaN or infinity"):
            index.search(bad, 1)
    assert len(index) == 300
    record_property("vectors refused", 1000)


def test_wrong_shapes_are_refused(vectors):
    index = filled(vectors)
    for bad in (vectors[:, :15], vectors[0]):
        with pytest.raises(ValueError, match="expected"):
            index.add(bad)
    with pytest.raises(ValueError, match="expected"):
        index.search(vectors[0, :15], 1)


def test_bytes_and_back(vectors):
    index = filled(vectors)
    again = VectorIndex.from_bytes(index.to_bytes(), 16, 300)
    assert np.array_equal(again.vectors(), vectors)
    assert again.to_bytes() == index.to_bytes()
    again.add(vectors[:1])
    assert len(again) == 301


@pytest.mark.parametrize("dimension, count", [(15, 300), (16, 299), (300, 16)])
def test_bytes_of_another_size_than_announced_are_refused(vectors, dimension, count):
    with pytest.raises(MapError, match=f"300 vectors of length 16, expected {count} of {dimension}"):
        VectorIndex.from_bytes(filled(vectors).to_bytes(), dimension, count)


@pytest.mark.parametrize(
    "make", [faiss.IndexFlatIP, lambda d: faiss.IndexHNSWFlat(d, 4), lambda d: faiss.IndexLSH(d, 8)]
)
def test_other_kinds_of_index_are_refused_unparsed(make):
    with pytest.raises(MapError, match="instead of a flat L2 index"):
        VectorIndex.from_bytes(faiss.serialize_index(make(16)).tobytes(), 16, 0)


def test_cut_bytes_are_refused(vectors):
    data = filled(vectors).to_bytes()
    for size in [0, 3, 4, 20, 40, len(data) // 2, len(data) - 1]:
        with pytest.raises(MapError):
            VectorIndex.from_bytes(data[:size], 16, 300)


def test_faiss_is_told_how_many_bytes_there_are(vectors, monkeypatch):
    """Else a forged header makes it allocate as much as the header says."""
    limits, real = [], faiss.set_deserialization_vector_byte_limit
    monkeypatch.setattr(
        faiss, "set_deserialization_vector_byte_limit", lambda limit: (limits.append(limit), real(limit))
    )
    data = filled(vectors).to_bytes()
    VectorIndex.from_bytes(data, 16, 300)
    assert limits == [len(data)]


@pytest.mark.parametrize("k", [0, -3])
def test_at_least_one_neighbour_must_be_asked_for(vectors, k):
    with pytest.raises(ValueError, match="k must be at least 1"):
        filled(vectors).search(vectors[0], k)


def test_searching_uses_one_thread_whatever_thread_searches(vectors):
    threads = []

    def search():
        filled(vectors).search(vectors[0], 1)
        threads.append(faiss.omp_get_max_threads())

    worker = threading.Thread(target=search)
    worker.start()
    worker.join()
    assert threads == [1]
