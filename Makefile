# What people type. Every target can be repeated; setup takes no time when it is up to date.
.DEFAULT_GOAL := help
BIN := .venv/bin

.PHONY: help setup train test notebooks site lint

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

setup: ## make .venv with everything in it
	@scripts/setup.sh

train: setup ## set up, train a policy on the Can task, let it act, write a report
	$(BIN)/ddpm-edu demo

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
