# Every target does its own set-up from nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Spinning OpenMP threads on shared cores make tiny runs a hundred times slower.
export OMP_WAIT_POLICY ?= passive

.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[densecrf]' \
		|| echo 'pydensecrf2 did not build (it needs g++ and Python < 3.13): the built-in CRF is used'
	touch $@

setup: $(VENV)/.installed ## make .venv and install dsfactory with its developer tools

demo: setup ## class names in, COCO and VOC out: dogs and birds in runs/demo
	$(BIN)/dsfactory run --classes dog,bird --num 12 --out runs/demo --format coco,voc
	$(BIN)/python scripts/montage.py runs/demo/export/voc --out runs/demo/montage.png
	@echo 'Look at runs/demo/montage.png; the dataset is in runs/demo/export/coco and runs/demo/export/voc'

test: setup ## the tests (about ten minutes on two cores)
	$(BIN)/python -m pytest

test-slow: setup ## the tests that take minutes each
	$(BIN)/python -m pytest -m slow

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup ## generate with capture beside the bare pipeline, at Stable Diffusion 1.5 size
	$(BIN)/python benchmarks/capture.py

STICKERS ?= build/stickers
POCKET_WORK ?= build/pocket
$(STICKERS)/.installed:
	npm install --silent --prefix $(STICKERS) $(addprefix @iconify-json/,fluent-emoji fluent-emoji-flat noto noto-v1 fxemoji twemoji openmoji)
	touch $@

.PHONY: help setup demo test test-slow lint bench pocket
