#!/usr/bin/env bash
# Makes everything that the demo and the tests need: a virtual environment and the built ROS package.
# A second run with nothing changed returns at once. Settings (all optional):
#   PYTHON     the Python to use (3.10 to 3.13; default python3)
#   VXP_VENV   where the environment goes (default .venv)
#   VXP_TORCH  another torch, as pip arguments: a version, a wheel file, or "torch==2.13.0 --index-url URL" for CPU only
# A sourced ROS 2 is used when there is one; otherwise ROS 2 Kilted comes from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh unchecked

main() {
  check_tools
  if changed "$VXP_VENV/.packages" "$(packages_fingerprint)"; then
    install_packages
    packages_fingerprint > "$VXP_VENV/.packages"
  fi
  if changed "$VXP_VENV/.build" "$(build_fingerprint)"; then
    build_package
    build_fingerprint > "$VXP_VENV/.build"
  fi
}

check_tools() {
  need g++ "a C++ compiler" build-essential
  need make "make" build-essential
  need cmake "CMake" cmake
  PYTHON=${PYTHON:-python3}
  need "$PYTHON" "Python" python3
  "$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
    || stop "$PYTHON is $("$PYTHON" --version 2>&1), but vxp_ros needs Python 3.10 to 3.13: call make with PYTHON=python3.11"
  PYTHON=$("$PYTHON" -c 'import sys; print(sys._base_executable)')  # not that of our environment, which may be made anew
  "$PYTHON" -c 'import venv, ensurepip' 2> /dev/null || stop "Python's venv module is missing: sudo apt install python3-venv"
  [ -f "$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h" ] \
    || stop "the Python headers are missing: sudo apt install python3-dev"
}

need() { command -v "$1" > /dev/null || stop "$2 is missing: sudo apt install $3"; }

stop() {
  echo "setup: $1" >&2
  exit 1
}

changed() { [ ! -f "$1" ] || [ "$(cat "$1")" != "$2" ]; }

packages_fingerprint() {
  { "$PYTHON" --version; echo "${VXP_TORCH:-}" "${VXP_ROS_DISTRO:-}"; cat requirements/*.txt setup.cfg scripts/setup.sh scripts/fix_ros_wheels.py; } | sha256sum
}

# Links to edited files stay live; new or removed files and changed interfaces need a build.
build_fingerprint() {
  { cat "$VXP_VENV/.packages" CMakeLists.txt package.xml msg/* srv/*
    find vxp_ros vxp_training config launch weights -type f ! -name '*.pyc' | sort; } | sha256sum
}

install_packages() {
  local version lock pip_arguments=()
  version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  rm -rf "$VXP_VENV"
  if [ -n "${VXP_ROS_DISTRO:-}" ]; then
    echo "setup: Python $version, ROS 2 $VXP_ROS_DISTRO as sourced"
    "$PYTHON" -m venv --system-site-packages "$VXP_VENV"
    pip_arguments=(colcon-common-extensions)  # versions follow the distribution: no lock
  else
    echo "setup: Python $version, ROS 2 Kilted from PyPI; with PyPI's torch about 3 GB to download, 5.4 GB on disk"
    "$PYTHON" -m venv "$VXP_VENV"
    pip_arguments=(-r requirements/ros.txt -c "requirements/lock-$version.txt")
  fi
  rm -rf vxp_ros.egg-info  # a stale one, left by an older checkout, would hide new commands
  # One pip call for all, so that nothing is resolved twice; a named torch goes first and then satisfies the rest.
  # shellcheck disable=SC2086  # VXP_TORCH may hold several pip arguments
  [ -z "${VXP_TORCH:-}" ] || run_pip ${VXP_TORCH} "numpy>=1.24"
  run_pip "${pip_arguments[@]}" -e ".[cpu,demo,town,slam,train,dev]"
  [ -n "${VXP_ROS_DISTRO:-}" ] || "$VXP_VENV/bin/python" scripts/fix_ros_wheels.py
}

run_pip() { "$VXP_VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }

build_package() {
  echo "setup: building the ROS package (about a minute)"
  # CMake refuses include paths inside the source tree, and .venv is inside ours: build from links beside it.
  local log=log/setup-build.txt source=build/src/vxp_ros
  rm -rf build install log
  mkdir -p log "$source"
  for part in CMakeLists.txt package.xml msg srv vxp_ros vxp_training launch config weights; do
    ln -s "$PWD/$part" "$source/$part"
  done
  python -m colcon --log-base log build --base-paths build/src --symlink-install \
    --cmake-args "-DPython3_EXECUTABLE=$VXP_VENV/bin/python" -DBUILD_TESTING=OFF > "$log" 2>&1 \
    || { tail -40 "$log" >&2; stop "colcon build failed; the whole output is in $log"; }
}

main "$@"
