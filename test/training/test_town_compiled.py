"""How inner loops are compiled: with literals as plain numbers, kept on disk where that is possible."""

import numba.core.caching
from numba import njit

from vxp_training.datasets.town.compiled import inner, kernel


@inner
def scaled(x, factor):
    return x * factor


def call_with_literals(x):
    return scaled(x, 2) + scaled(x, 3) + scaled(x, 4)


def test_one_compilation_for_all_literals():
    before = len(scaled.overloads)
    assert njit(call_with_literals)(1.5) == 13.5
    assert len(scaled.overloads) - before == 1


def test_without_a_folder_to_keep_it_in_a_kernel_works_all_the_same(monkeypatch):
    """As for a user without a home who may not write where the package lies."""
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    assert kernel(call_with_literals)(1.0) == 9.0
