"""Rewrite the include paths that the ROS wheels of PyPI carry from the image they were built in.

The message wheels name `/opt/python/cp3xx-cp3xx/...` as include folders of Python and numpy; CMake refuses paths that
do not exist, so no package with messages could be built. Run after every pip install that touches `ros-*`.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

BUILD_IMAGE = r"/opt/python/cp3\d+-cp3\d+"
NUMPY_INCLUDE = re.compile(BUILD_IMAGE + r"/lib/python3\.\d+/site-packages/numpy/_?core/include")
PYTHON_INCLUDE = re.compile(BUILD_IMAGE + r"/include/python3\.\d+")


def main() -> None:
    for path in Path(sys.prefix, "share").rglob("*.cmake"):
        old = path.read_text()
        new = NUMPY_INCLUDE.sub(lambda _: numpy.get_include(), old)
        new = PYTHON_INCLUDE.sub(lambda _: sysconfig.get_paths()["include"], new)
        if "/opt/python" in new:
            sys.exit(f"fix_ros_wheels: {path} still names a folder of the build image; please report this")
        if new != old:
            path.write_text(new)


main()
