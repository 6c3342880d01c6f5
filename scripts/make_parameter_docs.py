#!/usr/bin/env python3
"""Writes docs/parameters.md from the settings of core/config.py: python scripts/make_parameter_docs.py"""

from pathlib import Path
from typing import Any, get_args, get_origin

from vxp_ros.core.config import LocalizerSettings, LoopCloserSettings, MapperSettings, PoseGraphSettings
from vxp_ros.core.settings import walk

PAGE = Path(__file__).parents[1] / "docs" / "parameters.md"
HEAD = """# Parameters

Written by `python scripts/make_parameter_docs.py` from `vxp_ros/core/config.py`; do not edit.

A launch argument beats the YAML file (`params_file`), and the YAML file beats the default. Where a number with a point
is expected, an integer will do. A value that is out of range, of the wrong type or unknown is refused with a sentence:
at start-up the node does not start, at run time the parameter stays as it was. "Fixed" parameters are read-only while
the node runs. History, depth and reliability of every topic can be overridden as usual in ROS 2, e.g.
`qos_overrides./points.subscription.reliability: reliable`.
"""


def render() -> str:
    """The whole page."""
    nodes = {
        "localizer": LocalizerSettings,
        "mapper": MapperSettings,
        "loop_closer": LoopCloserSettings,
        "pose_graph": PoseGraphSettings,
    }
    return "\n".join([HEAD, *(section(name, settings) for name, settings in nodes.items())])


def section(name: str, settings_class: type) -> str:
    rows = [row(*setting) for setting in walk(settings_class)]
    head = ["| parameter | type | default | allowed | fixed | meaning |", "|---|---|---|---|---|---|"]
    return "\n".join([f"## {name}", "", *head, *rows, ""])


def row(path: str, kind: type, default: Any, metadata) -> str:
    fixed = "yes" if metadata["fixed"] else ""
    return (
        f"| `{path}` | {type_name(kind)} | {shown(default)} | {allowed(metadata)} | {fixed} | {metadata['meaning']} |"
    )


def type_name(kind: type) -> str:
    names = {str: "string", bool: "bool", int: "integer", float: "double"}
    return f"{names[get_args(kind)[0]]}[]" if get_origin(kind) is list else names[kind]


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f"`{value}`" if value else "empty"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def allowed(metadata) -> str:
    if metadata["choices"]:
        return ", ".join(f"`{choice}`" for choice in metadata["choices"])
    return "" if metadata["low"] is None else f"{metadata['low']} to {metadata['high']}"


if __name__ == "__main__":
    PAGE.write_text(render())
    print(f"wrote {PAGE}")
