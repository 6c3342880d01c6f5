#!/usr/bin/env bash
# For maintainers: renews requirements/lock-*.txt, the versions that setup.sh installs (needs uv).
set -euo pipefail
cd "$(dirname "$0")/.."
for version in 3.10 3.11 3.12 3.13; do
  uv pip compile --quiet --no-header --no-annotate --no-emit-index-url --python-version "$version" \
    --python-platform x86_64-manylinux_2_28 --constraint requirements/constraints.txt \
    --extra cpu --extra demo --extra town --extra slam --extra train --extra dev setup.py requirements/ros.txt --output-file "requirements/lock-$version.txt"
done
