"""ROS parameters from the settings classes of core/config.py: one parameter per setting, named by its path."""

import array
import difflib
from collections.abc import Callable
from typing import Any, get_args, get_origin

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from ..core.settings import build, problem_with, walk

EMPTY_LISTS = {float: ParameterType.PARAMETER_DOUBLE_ARRAY, str: ParameterType.PARAMETER_STRING_ARRAY}
# Parameters that rclpy declares by itself on every node.
BUILT_IN = ("use_sim_time", "start_type_description_service", "qos_overrides.")


def declare(node: Node, settings_class: type) -> Any:
    """Declare every setting as a parameter and return the settings with the values from YAML and command line.

    Raises ValueError that names each wrong or unknown parameter, with near names for a misspelt one.
    """
    overrides = node._parameter_overrides  # rclpy has no public way to see what was given but not declared
    specification = {path: (kind, default, metadata) for path, kind, default, metadata in walk(settings_class)}
    problems = unknown_parameters(overrides, list(specification))
    for path, (kind, default, metadata) in specification.items():
        given = overrides.get(path)
        is_empty = given is not None and given.value is None and isinstance(default, list)  # [] in a YAML file
        value = default if given is None or is_empty else plain(given.value)
        problem = problem_with(path, kind, value, metadata)
        problems += [problem] if problem else []
    if problems:
        raise ValueError("; ".join(problems))
    for path, (kind, default, metadata) in specification.items():
        node.declare_parameter(path, default, describe(kind, metadata))
    return current(node, settings_class)


def current(node: Node, settings_class: type) -> Any:
    """The settings as the node's parameters stand now."""
    return build(settings_class, {path: value_of(node, path, default) for path, _, default, _ in walk(settings_class)})


def value_of(node: Node, path: str, default: Any) -> Any:
    value = plain(node.get_parameter(path).value)
    return default if value is None else value


def plain(value: Any) -> Any:
    """A list for the arrays that rclpy hands out."""
    return list(value) if isinstance(value, array.array | tuple) else value


def watch(node: Node, settings_class: type, apply: Callable[[Any], None]) -> None:
    """Check every later change as a whole, refuse it with a sentence, or hand the new settings to `apply`.

    apply may refuse too, with a ValueError.
    """
    specification = {path: (kind, metadata) for path, kind, _, metadata in walk(settings_class)}

    def on_set(parameters: list[Parameter]) -> SetParametersResult:
        changes = {entry.name: plain(entry.value) for entry in parameters if entry.name in specification}
        problems = [problem_with(path, specification[path][0], value, specification[path][1])
                    for path, value in changes.items()]  # fmt: skip
        if any(problems):
            return SetParametersResult(successful=False, reason="; ".join(filter(None, problems)))
        if changes:
            values = {path: value_of(node, path, default) for path, _, default, _ in walk(settings_class)}
            try:
                apply(build(settings_class, {**values, **changes}))
            except ValueError as problem:
                return SetParametersResult(successful=False, reason=str(problem))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(on_set)


def describe(kind: type, metadata: Any) -> ParameterDescriptor:
    """Meaning, limits and choices, as `ros2 param describe` shows them."""
    descriptor = ParameterDescriptor(description=metadata["meaning"], read_only=metadata["fixed"])
    # 5 in a YAML file is an integer to ROS; a double parameter would refuse it. Our own check takes both.
    descriptor.dynamic_typing = kind is float or get_origin(kind) is list
    if metadata["choices"]:
        descriptor.additional_constraints = "one of " + ", ".join(metadata["choices"])
    if metadata["low"] is not None and kind is float:
        limits = FloatingPointRange(from_value=float(metadata["low"]), to_value=float(metadata["high"]), step=0.0)
        descriptor.floating_point_range = [limits]
    if metadata["low"] is not None and kind is int:
        descriptor.integer_range = [
            IntegerRange(from_value=int(metadata["low"]), to_value=int(metadata["high"]), step=1)
        ]
    if get_origin(kind) is list:
        descriptor.type = EMPTY_LISTS[get_args(kind)[0]]
    return descriptor


def unknown_parameters(overrides: dict[str, Any], known: list[str]) -> list[str]:
    """A sentence for each parameter that was given but does not exist."""
    unknown = [name for name in overrides if name not in known and not name.startswith(BUILT_IN)]
    return [f"unknown parameter {name}{did_you_mean(name, known)}" for name in unknown]


def did_you_mean(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(near)}?)" if near else ""
