"""YAML files of a model's folder, which may come from a stranger: small, flat and without aliases, or refused."""

import errno
from pathlib import Path

import yaml

from .errors import ModelError
from .plain_file import read_plain_file

MAX_BYTES = 1 << 16  # a real one has two kilobytes
MAX_DEPTH = 8
FAST_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # with other words for its errors
MAX_EVENTS = 2000  # keys, values and brackets; a real one has 170. The parser takes 0.1 ms for each


def read_yaml(path: Path, kind: str = "model.yaml") -> object:
    """What the file holds. kind: what it is to be, for the errors. Raises ModelError with one sentence."""
    try:
        text = read_plain_file(path, MAX_BYTES)
        _check_structure(text, path, kind)
        return yaml.safe_load(text)
    except OSError as problem:
        what = f": that is no {kind}" if problem.errno == errno.EFBIG else ""
        raise ModelError(f"cannot read {path}: {problem.strerror}{what}") from problem
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as problem:
        raise ModelError(f"{path} is not valid YAML: {' '.join(str(problem).split())}") from problem


def _check_structure(text: bytes, path: Path, kind: str) -> None:
    if fault := structure_fault(text, MAX_EVENTS, MAX_DEPTH):
        raise ModelError(f"{path} {fault}: that is no {kind}")


def structure_fault(text: bytes, most_events: int, most_depth: int, loader: type = yaml.SafeLoader) -> str:
    """What a few bytes can blow up: aliases of aliases, nesting that costs the parser minutes, endless keys; else "".

    most_events: of keys, values and brackets. Raises YAMLError, and what else a parser raises for bytes that are none.
    """
    depth = 0
    for number, event in enumerate(yaml.parse(text, loader)):
        if number > most_events:
            return f"holds more than {most_events // 2} values"
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > most_depth:
            return f"is nested more than {most_depth} levels deep"
        if isinstance(event, yaml.AliasEvent):
            return "uses YAML aliases instead of values"
    return ""
