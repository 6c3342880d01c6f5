"""Place recognition for robots with cameras and LiDAR.

Nothing heavy is imported here: a SLAM package that only wants our messages imports this file too. The path is
extended because colcon installs the generated `vxp_ros.msg` and `vxp_ros.srv` into a package of the same name, which
would otherwise be hidden when the tests run from the source tree.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
__version__ = "0.1.0"
