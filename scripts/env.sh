# Source this to work in the environment that scripts/setup.sh made: . scripts/env.sh
# "unchecked" is for setup.sh itself, which runs before the environment exists.
VXP_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export VXP_VENV=${VXP_VENV:-$VXP_HOME/.venv}
case $VXP_VENV in /*) ;; *) VXP_VENV=$VXP_HOME/$VXP_VENV ;; esac
if [ "${1:-}" != unchecked ] && [ ! -x "$VXP_VENV/bin/python" ]; then
  echo "env.sh: $VXP_VENV does not exist yet: run make setup" >&2
  return 1
fi

# A ROS 2 that the user sourced shows in these two; our own environment must not be mistaken for one.
if [ -z "${VXP_ENV_ACTIVE:-}" ]; then
  export VXP_ROS_DISTRO=
  [ -z "${ROS_DISTRO:-}" ] || [ -z "${AMENT_PREFIX_PATH:-}" ] || VXP_ROS_DISTRO=$ROS_DISTRO
fi
if [ -z "${VXP_ENV_ACTIVE:-}" ]; then
  export VXP_ENV_ACTIVE=1
  export PATH=$VXP_VENV/bin:$PATH
  if [ -z "$VXP_ROS_DISTRO" ]; then
    export AMENT_PREFIX_PATH=$VXP_VENV CMAKE_PREFIX_PATH=$VXP_VENV
    export ROS_DISTRO=kilted ROS_VERSION=2 ROS_PYTHON_VERSION=3
  fi
fi
# The profile lets clouds and images through shared memory; Fast DDS loses many of them with its own defaults.
export FASTDDS_DEFAULT_PROFILES_FILE=${FASTDDS_DEFAULT_PROFILES_FILE:-$VXP_HOME/config/fastdds_large_data.xml}
if [ -f "$VXP_HOME/install/local_setup.bash" ]; then
  case $- in *u*) VXP_STRICT=1 ;; *) VXP_STRICT= ;; esac  # colcon's script does not bear set -u
  set +u
  . "$VXP_HOME/install/local_setup.bash"
  # The source tree goes first, so that a file added since the last build is seen; install/ adds the messages.
  case ":$PYTHONPATH:" in *":$VXP_HOME:"*) ;; *) export PYTHONPATH=$VXP_HOME:$PYTHONPATH ;; esac
  [ -z "$VXP_STRICT" ] || set -u
fi
