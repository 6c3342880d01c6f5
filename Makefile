# make demo: the main job in a synthetic town, report in out/demo. make test: the tests. Both set everything up first.
SHELL := /bin/bash
IN_ENV := . scripts/env.sh &&

.PHONY: setup demo test test-slow lint clean

setup:
	@scripts/setup.sh

demo: setup
	@$(IN_ENV) vxp demo --out out/demo

test: setup
	@$(IN_ENV) python -m pytest test -m "not slow and not by_hand"

test-slow: setup
	@$(IN_ENV) python -m pytest test -m "slow and not by_hand"

lint: setup
	@$(IN_ENV) ruff check . && ruff format --check . && codespell

clean:
	rm -rf .venv build install log out
