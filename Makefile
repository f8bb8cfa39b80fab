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

wheel: setup ## dist/dsfactory-*.whl, tried in a fresh environment, another folder and an empty HOME
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build --quiet
	scripts/try_wheel.sh dist/dsfactory-*.whl

demo: setup ## class names in, COCO and VOC out: dogs and birds in runs/demo
	$(BIN)/dsfactory run --classes dog,bird --num 12 --out runs/demo --format coco,voc
	$(BIN)/python scripts/montage.py runs/demo/export/voc --out runs/demo/montage.png
	$(BIN)/dsfactory report runs/demo
	@echo 'The dataset is in runs/demo/export/coco and runs/demo/export/voc'
	@echo 'Look at it: open $(CURDIR)/runs/demo/report.html in a browser, or runs/demo/montage.png'

test: setup ## the tests that take seconds (nine minutes on two cores)
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-long: setup ## the tests that take longer: kills, workers, trainings, the commands of the documents (ten minutes)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'long and not slow'

test-slow: setup ## the tests that take minutes each; installs Ray (240 MB)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[ray]'
	$(BIN)/python -m pytest -m slow --timeout 3600

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

site: setup ## the documentation as a site in build/site, with offline search
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m mkdocs build --strict

BENCH := build/bench
bench: setup ## speed and memory of everything, and a plot of it; results in build/bench (two hours on two cores)
	$(BIN)/python -m benchmarks.capture --json $(BENCH)/capture.json
	$(BIN)/python -m benchmarks.capture --size 512 --steps 2 --pairs 3 --json $(BENCH)/capture-512.json
	for family in sdxl sd3 flux; do \
		$(BIN)/python -m benchmarks.capture --family $$family --steps 2 --pairs 3 --json $(BENCH)/capture-$$family.json || exit 1; done
	$(BIN)/python -m benchmarks.memory --json $(BENCH)/memory.json
	$(BIN)/python -m benchmarks.naive --json $(BENCH)/naive.json
	$(BIN)/python -m benchmarks.masks --json $(BENCH)/masks.json
	$(BIN)/python -m benchmarks.crf --json $(BENCH)/crf.json
	$(BIN)/python -m benchmarks.chain --json $(BENCH)/chain.json
	$(BIN)/python -m benchmarks.workers --json $(BENCH)/workers.json
	$(BIN)/python -m benchmarks.export --samples 1000 10000 100000 --json $(BENCH)/export.json
	$(BIN)/python -m benchmarks.layout --json $(BENCH)/layout.json
	$(BIN)/python -m benchmarks.cost --json $(BENCH)/cost.json
	$(BIN)/python -m benchmarks.plot --from $(BENCH) --out $(BENCH)/benchmarks.png

gpu-check: setup ## what only a GPU can show: tests, chain, masks, memory; ten minutes, figures in docs/figures
	$(BIN)/python -m benchmarks.gpu_check --json docs/figures/gpu-check.json

CONSUMERS := build/consumers
consumers: setup ## open every export format with its readers, installed in an environment of their own (2 GB)
	$(PYTHON) -m venv $(CONSUMERS)
	$(CONSUMERS)/bin/python -m pip install --quiet --requirement scripts/consumers.txt
	HF_HUB_OFFLINE=1 PYTHONPATH=. $(CONSUMERS)/bin/python -m scripts.consumers \
		--json docs/figures/consumers.json --table docs/formats.md

KILLS ?= 200
crash: setup ## kill dsfactory at random moments, resume, compare (KILLS=12 is the short form); stopped, it goes on
	$(BIN)/python -m scripts.crash_matrix --kills $(KILLS) --work build/crash-$(KILLS)

SECONDS ?= 600
points: setup ## end dsfactory at every step by which it changes a disk (hours; stopped, it goes on), and try the bucket's lock in every order
	$(BIN)/python -m research.lease_model --processes 2 --sleeps 2
	$(BIN)/python -m scripts.crash_points --work build/points

fuzz: setup ## hostile input for SECONDS=600; prints inputs tried and tracebacks
	$(BIN)/python -m scripts.fuzz --seconds $(SECONDS)

STICKERS ?= build/stickers
POCKET_WORK ?= build/pocket
POCKET_OUT ?= build/pocket-model
VAE_MINUTES ?= 20
UNET_MINUTES ?= 240
DECODER_MINUTES ?= 45
CAPTIONS := prompts/coco_val2017_captions.jsonl.gz
PACKAGES := $(STICKERS)/node_modules/@iconify-json

$(STICKERS)/.installed: Makefile
	mkdir -p $(STICKERS)
	npm install --silent --no-save --prefix $(STICKERS) $(addprefix @iconify-json/,fluent-emoji fluent-emoji-flat \
		noto noto-v1 fxemoji twemoji emojione streamline-emojis fluent-emoji-high-contrast emojione-monotone openmoji)
	touch $@

$(POCKET_WORK)/rows.jsonl: scripts/pocket/art.py scripts/pocket/stickers.py | setup $(STICKERS)/.installed
	@test ! -e $@ || { echo 'the art has changed since $(POCKET_WORK) was rendered: name a new POCKET_WORK'; exit 2; }
	$(BIN)/python -m scripts.pocket.dataset --packages $(PACKAGES) --captions $(CAPTIONS) --work $(POCKET_WORK)

pocket: setup $(POCKET_WORK)/rows.jsonl ## train the pocket model again (hours; resumes); needs npm for the sticker art
	$(BIN)/python -m scripts.pocket.train_vae --work $(POCKET_WORK) --minutes $(VAE_MINUTES)
	$(BIN)/python -m scripts.pocket.train_unet --work $(POCKET_WORK) --captions $(CAPTIONS) --minutes $(UNET_MINUTES)
	$(BIN)/python -m scripts.pocket.package --work $(POCKET_WORK) --out $(POCKET_OUT)
	$(BIN)/python -m scripts.pocket.train_decoder --model $(POCKET_OUT) --work $(POCKET_WORK) --minutes $(DECODER_MINUTES) --out $(POCKET_OUT)
	@echo 'Try it: $(BIN)/dsfactory run --classes dog,bird --model $(POCKET_OUT)'

CONTROLNET_MINUTES ?= 180
CONTROLNET_OUT ?= build/pocket-controlnet
pocket-controlnet: setup $(POCKET_WORK)/rows.jsonl ## train the pocket model's ControlNet (hours of two cores, minutes of a GPU; resumes)
	$(BIN)/python -m scripts.pocket.train_controlnet --work $(POCKET_WORK) --minutes $(CONTROLNET_MINUTES) --out $(CONTROLNET_OUT)
	@echo 'Try it: $(BIN)/dsfactory run --classes dog,bird --layouts random --control controlnet --control-model $(CONTROLNET_OUT)'

measure: setup $(STICKERS)/.installed ## the bundled model's figures: recognised, masks on an unseen style, diversity
	$(BIN)/python -m scripts.pocket.measure --model dsfactory/models/pocket --packages $(PACKAGES) \
		--captions $(CAPTIONS) --work $(POCKET_WORK)

ABLATION_WORK ?= build/ablation
ABLATION_FLAGS ?=
ablation: setup $(STICKERS)/.installed ## what each step of the labels is worth, tested on an art style never seen (hours; resumes)
	$(BIN)/python -m research.ablation --packages $(PACKAGES) --work $(ABLATION_WORK) --out docs/figures/ablation.json $(ABLATION_FLAGS)

BEDS_WORK ?= build/testbeds
BED_MINUTES ?= 240
testbeds: setup $(STICKERS)/.installed ## train the two models whose attention nobody taught (hours of two cores, minutes of a GPU; resumes)
	@test -e $(BEDS_WORK)/captions.txt || $(BIN)/python -m research.testbeds.dataset --packages $(PACKAGES) \
		--captions $(CAPTIONS) --work $(BEDS_WORK)
	$(BIN)/python -m research.testbeds.train unet --work $(BEDS_WORK) --minutes $(BED_MINUTES) --out $(BEDS_WORK)/unet
	$(BIN)/python -m research.testbeds.train joint --work $(BEDS_WORK) --minutes $(BED_MINUTES) --out $(BEDS_WORK)/joint

.PHONY: help setup wheel site demo test test-long test-slow lint bench gpu-check crash points fuzz pocket pocket-controlnet measure consumers ablation testbeds
