"""YAML files of a model's folder, which may come from a stranger: small, flat and without aliases, or refused."""

from pathlib import Path

import yaml

from .errors import ModelError

MAX_BYTES = 1 << 16  # a real one has two kilobytes
MAX_DEPTH = 8
MAX_EVENTS = 2000  # keys, values and brackets; a real one has 170. The parser takes 0.1 ms for each


def read_yaml(path: Path, kind: str = "model.yaml") -> object:
    """What the file holds. kind: what it is to be, for the errors. Raises ModelError with one sentence."""
    try:
        text = path.read_bytes()
        if len(text) > MAX_BYTES:
            raise ModelError(f"{path} has {len(text)} bytes: that is no {kind}")
        _check_structure(text, path, kind)
        return yaml.safe_load(text)
    except OSError as problem:
        raise ModelError(f"cannot read {path}: {problem.strerror}") from problem
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as problem:
        raise ModelError(f"{path} is not valid YAML: {' '.join(str(problem).split())}") from problem


def _check_structure(text: bytes, path: Path, kind: str) -> None:
    """Refuse what a few bytes can blow up: aliases of aliases, nesting that costs the parser minutes, endless keys."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, yaml.SafeLoader)):
        if number > MAX_EVENTS:
            raise ModelError(f"{path} holds more than {MAX_EVENTS // 2} values: that is no {kind}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ModelError(f"{path} is nested more than {MAX_DEPTH} levels deep: that is no {kind}")
        if isinstance(event, yaml.AliasEvent):
            raise ModelError(f"{path} uses YAML aliases: write the values out")
