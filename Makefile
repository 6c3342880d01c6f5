# make demo: the main job in a synthetic town, report in out/demo. make test: the tests. Both set everything up first.
SHELL := /bin/bash
IN_ENV := . scripts/env.sh &&
# Tests on a ROS graph have the computer to themselves, all others share its cores.
SHARING := OMP_NUM_THREADS=1 python -m pytest test -n logical --maxprocesses 4 --dist loadfile
ALONE := python -m pytest test

.PHONY: setup demo test test-slow lint clean

setup:
	@scripts/setup.sh

demo: setup
	@$(IN_ENV) vxp demo --out out/demo

test: setup
	@$(IN_ENV) $(SHARING) -m "not ros and not slow and not by_hand"
	@$(IN_ENV) $(ALONE) -m "ros and not slow and not by_hand"

test-slow: setup
	@$(IN_ENV) $(SHARING) -m "slow and not ros and not by_hand"
	@$(IN_ENV) $(ALONE) -m "slow and ros and not by_hand"

lint: setup
	@$(IN_ENV) ruff check . && ruff format --check . && codespell

clean:
	rm -rf .venv build install log out
