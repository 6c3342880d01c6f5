"""How the town's inner loops are compiled: by numba, once per machine, and kept until one of their files changes."""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from numba import njit, types


def inner(function):
    """Compile a function that only compiled functions call. Division follows numpy: x / 0 is inf, not an exception.

    It may not make arrays: without the counting of references, which took half of a picture's time, it only borrows.
    """
    return _for_all_numbers(
        njit(error_model="numpy", _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    )


def kernel(function):
    """Compile a function that Python calls, and keep the machine code on disk."""
    dispatcher = njit(error_model="numpy", nogil=True)(function)
    with suppress(RuntimeError):  # no folder to keep it in: compiled anew by every process
        dispatcher.enable_caching()
        _watch_all_sources(dispatcher)
    return dispatcher


def _for_all_numbers(dispatcher):
    """numba compiles a function anew for each constant passed to it: 25 s of noise(x, y, 1), noise(x, y, 2), ..."""
    template = dispatcher.get_call_template

    def template_for_types(args, kws):
        return template([types.unliteral(arg) for arg in args], kws)

    dispatcher.get_call_template = template_for_types
    return dispatcher


def _watch_all_sources(dispatcher) -> None:
    """numba drops kept code when the file of the function itself changes, but a kernel calls into other files too."""
    kept = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if hasattr(kept, "_source_stamp"):
        kept._source_stamp = _stamp_of_sources()


@lru_cache(maxsize=1)
def _stamp_of_sources() -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of each file that holds compiled functions."""
    files = [file for file in sorted(Path(__file__).parent.rglob("*.py")) if "compiled import" in file.read_text()]
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
