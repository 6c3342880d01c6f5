"""Settings as dataclasses: one field each, with unit, meaning and limits; read from flat or nested values, checked."""

import difflib
from collections.abc import Iterator
from dataclasses import MISSING, field, fields
from typing import Any, get_args, get_origin


def setting(
    default: Any,
    meaning: str,
    low: float | None = None,
    high: float | None = None,
    *,
    choices: tuple = (),
    fixed: bool = False,
):
    """One setting. low/high: inclusive limits; choices: allowed strings; fixed: read-only once the node runs."""
    metadata = {"meaning": meaning, "low": low, "high": high, "choices": choices, "fixed": fixed}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def walk(settings_class: type, prefix: str = ""):
    """Yield (path, type, default, metadata) of every leaf setting, e.g. ("match.top_k", int, 5, {...})."""
    for item in fields(settings_class):
        if "meaning" in item.metadata:
            default = item.default if item.default is not MISSING else item.default_factory()
            yield prefix + item.name, item.type, default, item.metadata
        else:
            yield from walk(item.type, f"{prefix}{item.name}.")


def from_nested(settings_class: type, content: dict) -> tuple[Any, list[str]]:
    """The settings that nested mappings describe, as a YAML file gives them, and what is wrong with them in words.

    Groups may be left empty. With a wrong value the settings are None; unknown keys alone only make problems.
    """
    known = [path for path, *_ in walk(settings_class)]
    groups = {path.split(".")[0] for path in known if "." in path}
    values = dict(_leaves(content, groups))
    problems = [_unknown(path, known, groups) for path in values if path not in known]
    try:
        return build(settings_class, {path: value for path, value in values.items() if path in known}), problems
    except ValueError as problem:
        return None, [*problems, str(problem)]


def _leaves(content: dict, groups: set[str], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in content.items():
        if not prefix and key in groups and isinstance(value, dict):
            yield from _leaves(value, groups, f"{key}.")
        elif prefix or key not in groups or value is not None:  # an empty group is a group of defaults
            yield f"{prefix}{key}", value


def _unknown(path: str, known: list[str], groups: set[str]) -> str:
    if path in groups:
        return f"{path} must hold keys and values"
    near = difflib.get_close_matches(path, known, 1)
    return f"unknown key {path}" + (f" (did you mean {near[0]}?)" if near else "")


def build(settings_class: type, values: dict[str, Any]):
    """Make the settings object from {path: value}; paths left out keep their defaults. Raises ValueError with every
    wrong value named."""
    problems = [
        text
        for path, kind, _, metadata in walk(settings_class)
        if path in values
        for text in [problem_with(path, kind, values[path], metadata)]
        if text
    ]
    if problems:
        raise ValueError("; ".join(problems))
    return _fill(settings_class, values)


def _fill(settings_class: type, values: dict[str, Any], prefix: str = ""):
    arguments = {}
    for item in fields(settings_class):
        if "meaning" not in item.metadata:
            arguments[item.name] = _fill(item.type, values, f"{prefix}{item.name}.")
        elif prefix + item.name in values:
            arguments[item.name] = _cast(item.type, values[prefix + item.name])
    return settings_class(**arguments)


def _cast(kind: type, value: Any):
    if get_origin(kind) is list:
        return [get_args(kind)[0](entry) for entry in value]
    return kind(value)


def problem_with(path: str, kind: type, value: Any, metadata) -> str:
    """One sentence that says why `value` is refused, or "" when it is fine. An int passes for a float."""
    if get_origin(kind) is list:
        if not isinstance(value, (list, tuple)):
            return f"{path} must be a list, got {value!r}"
        inner = get_args(kind)[0]
        return next(filter(None, (problem_with(path, inner, entry, metadata) for entry in value)), "")
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (kind is not bool and isinstance(value, bool)):
        return f"{path} must be {kind.__name__}, got {value!r}"
    if metadata["choices"] and value not in metadata["choices"]:
        return f"{path} must be one of {', '.join(metadata['choices'])}, got {value!r}"
    low, high = metadata["low"], metadata["high"]
    if low is not None and not low <= value <= high:  # also refuses NaN
        return f"{path} must lie in [{low:g}, {high:g}], got {value!r}"
    if kind is str and "\0" in value:
        return f"{path} must not hold a NUL character"
    if kind is float and value != value:
        return f"{path} must be a number, got {value!r}"
    return ""
