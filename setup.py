"""For machines without ROS: `pip install .[cpu]`. colcon builds the package with CMake and never reads this file."""

from pathlib import Path

from setuptools import setup

SHARED = ("config", "launch", "weights")


def shared_files():
    """config/, launch/ and weights/ as (folder under sys.prefix, files): pip puts them where ament does."""
    folders = [folder for top in SHARED for folder in [Path(top), *Path(top).rglob("*")] if folder.is_dir()]
    return [
        (f"share/vxp_ros/{folder}", [str(path) for path in folder.iterdir() if path.is_file()]) for folder in folders
    ]


setup(data_files=shared_files())
