"""`vxp`: the command line. One file per command; more commands come from packages with entry points `vxp.commands`.

An entry point's object is a `typer.Typer` (a group of commands) or a function (one command); its name is the
command's. Commands import what is heavy inside their functions, so that `vxp --help` answers at once.
"""

import logging
import signal
import sys
import traceback
from importlib.metadata import EntryPoint, distributions
from typing import Annotated

import typer

from vxp_ros import __version__

from ..core.errors import VxpError
from . import bag, demo, doctor, map, model, query

# What brings the modules that the commands import, and what pip calls those whose package has another name.
BROUGHT_BY = {
    **dict.fromkeys(("numpy", "torch", "safetensors", "yaml", "cv2", "typer", "rich", "rosbags"), "vxp_ros"),
    **dict.fromkeys(("spconv", "faiss"), "'vxp_ros[cpu]' (or [cuda])"),
    **dict.fromkeys(("jinja2", "matplotlib", "psutil"), "'vxp_ros[demo]'"),
    **dict.fromkeys(("numba", "embreex"), "'vxp_ros[town]'"),
    "scipy": "'vxp_ros[train]'",
}
PACKAGES = {"cv2": "opencv-python-headless", "yaml": "pyyaml", "faiss": "faiss-cpu"}
PLUGIN_GROUP = "vxp.commands"
INTERRUPTED = 130
# The base of all errors of usage. typer takes it from click or, since 0.24, carries its own copy.
UsageError = typer.BadParameter.__base__


def main() -> None:
    signal.signal(signal.SIGTERM, stop)
    sys.exit(run(sys.argv[1:]))


def stop(number: int, _frame) -> None:
    """End as after Ctrl-C: unwinding removes temporary files and stops child processes."""
    raise SystemExit(128 + number)


def run(arguments: list[str]) -> int:
    """Run one command; return the exit code: 0 done, 1 failed, 2 done in part, 130 interrupted."""
    logging.basicConfig(level=logging.WARNING, format="vxp: %(message)s", stream=sys.stderr)
    try:
        command = typer.main.get_command(make_app())
        code = command.main(args=arguments, prog_name="vxp", standalone_mode=False) or 0
        if code == INTERRUPTED:  # typer has made this of a KeyboardInterrupt
            print("vxp: interrupted", file=sys.stderr)
        return code
    except UsageError as problem:
        problem.show()
        return 1
    except (KeyboardInterrupt, typer.Abort):
        print("vxp: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (VxpError, OSError, ImportError) as problem:
        if "--debug" in arguments:
            traceback.print_exc()
        print(f"vxp: {sentence(problem)}", file=sys.stderr)
        return 1


def sentence(problem: Exception) -> str:
    """An error as one sentence that says what to do."""
    if isinstance(problem, ModuleNotFoundError):
        return missing_module(problem.name or "")
    if isinstance(problem, OSError) and problem.filename and problem.strerror:
        return f"{problem.filename}: {problem.strerror}"
    return str(problem) or type(problem).__name__


def missing_module(module: str) -> str:
    """What is missing, under the name that pip knows, and what brings it."""
    name = module.split(".")[0]
    if name in ("rclpy", "vxp_ros"):
        return f"the module {module} is missing in {sys.executable}: source ROS 2 and the workspace of vxp_ros"
    package = PACKAGES.get(name, name)
    return f"the Python package {package} is missing in {sys.executable}: pip install {BROUGHT_BY.get(name, package)}"


def make_app() -> typer.Typer:
    """The app with all commands, those of installed packages included."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, help="Place recognition with cameras and LiDAR.")
    app.callback()(options)
    app.command("demo")(demo.demo)
    app.add_typer(bag.app, name="bag")
    app.add_typer(map.app, name="map")
    app.add_typer(model.app, name="model")
    app.command("query")(query.query)
    app.command("doctor")(doctor.doctor)
    for entry_point in plugins():
        add_plugin(app, entry_point)
    return app


def plugins() -> list[EntryPoint]:
    """The entry points of all installed packages, by name; each once, however often its package is installed.

    importlib.metadata.entry_points() looks at the first package of each name only. After `colcon build` that is what
    rosidl wrote for our messages, under the name vxp_ros too, without entry points.
    """
    found = [entry for package in distributions() for entry in package.entry_points if entry.group == PLUGIN_GROUP]
    return sorted(
        {(entry.name, entry.value): entry for entry in reversed(found)}.values(), key=lambda entry: entry.name
    )


def options(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=lambda value: show_version(value),
                                          help="Show the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:  # fmt: skip
    """Place recognition with cameras and LiDAR: where am I, and have I been here?

    Exit codes: 0 done, 1 failed, 2 done in part. SOURCE is bag:PATH, kitti:ROOT:SEQUENCE or nuscenes:ROOT[:SCENE].
    """


def show_version(is_asked: bool) -> None:
    if is_asked:
        print(f"vxp_ros {__version__}")
        raise typer.Exit()


def add_plugin(app: typer.Typer, entry_point: EntryPoint) -> None:
    """Add another package's command; a broken one costs a warning, never the other commands."""
    try:
        command = entry_point.load()
    except Exception as problem:
        logging.warning("command %s of %s is left out: %s: %s", entry_point.name, owner(entry_point),
                        type(problem).__name__, problem)  # fmt: skip
        return
    taken = {group.name for group in app.registered_groups} | {info.name for info in app.registered_commands}
    if entry_point.name in taken:
        logging.warning("command %s of %s is left out: the name is taken", entry_point.name, owner(entry_point))
    elif isinstance(command, typer.Typer):
        app.add_typer(command, name=entry_point.name)
    elif callable(command):
        app.command(entry_point.name)(command)
    else:
        logging.warning("command %s of %s is left out: %s is no typer app and no function", entry_point.name,
                        owner(entry_point), entry_point.value)  # fmt: skip


def owner(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist else entry_point.value


if __name__ == "__main__":
    main()
