# What people type. Every target can be repeated; setup takes no time when it is up to date.
.DEFAULT_GOAL := help
BIN := .venv/bin
TASK ?= can
TEACHER = $(if $(filter square,$(TASK)),square_transformer_45k,can_transformer)

.PHONY: help setup train train-image test notebooks site lint

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile

setup: ## make .venv with everything in it
	@scripts/setup.sh

train: setup ## set up, train a policy on the Can task, let it act, write a report
	$(BIN)/ddpm-edu demo

train-image: setup ## the same from two cameras: collect pictures, teach eyes, practise, act, report (TASK=square)
	$(BIN)/ddpm-edu collect --task $(TASK) --observation image --out runs/demonstrations/$(TASK)_image_200.hdf5
	$(BIN)/ddpm-edu see --policy data/policies/$(TEACHER) --path runs/demonstrations/$(TASK)_image_200.hdf5 --steps 4000 --run-dir runs/$(TASK)-eyes
	$(BIN)/ddpm-edu practise --eyes runs/$(TASK)-eyes --path runs/demonstrations/$(TASK)_image_200.hdf5 --states data/$(TASK)_low_dim.hdf5 --steps 3000 --run-dir runs/$(TASK)-cameras
	$(BIN)/ddpm-edu rollout runs/$(TASK)-cameras --episodes 50

test: setup ## set up, run all tests and notebooks
	$(BIN)/pytest

notebooks: setup ## run all notebooks and keep their outputs and widgets
	$(BIN)/python scripts/execute_notebooks.py

site: setup ## make the course's pages in site/
	@scripts/setup.sh site
	$(BIN)/ddpm-edu course site

lint: setup ## check style, of the code and the notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
