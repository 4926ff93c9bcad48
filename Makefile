# Two commands set everything up: `make quickstart` and `make test`. Both are quick the second time.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed-for-rgacli
QUICKSTART := reproduction/quickstart

.PHONY: help install quickstart test slow campaign campaign-short lint tables clean

help:
	@echo "make quickstart   train PRM and a plain detector on the embedded dataset (about 5 minutes on 2 CPU cores)"
	@echo "make test         run the tests (4 minutes on 2 CPU cores)"
	@echo "make slow         run those that take minutes each"
	@echo "make campaign     try to break it, for two and a half hours and in 12 GB (campaign-short: 8 minutes of it)"
	@echo "make lint         ruff, lint and format"
	@echo "make tables       generate README's tables anew, from the records in assets/"
	@echo "make install      only create the environment, in $(VENV)"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	# mmcv-lite asks for opencv-python, which needs the system's libGL; the headless build does without.
	$(BIN)/python -m pip uninstall --quiet --yes opencv-python opencv-python-headless
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps opencv-python-headless
	# Imported for the first time by two processes at once, mmengine's formatter reads a cache that is half written.
	$(BIN)/python -c "import yapf"
	touch $@

# Two trainings side by side. One that was cut short goes on; one that is done is not repeated. The report, which comes
# last, ends with the picture figures/at_a_glance.png and its three sentences.
quickstart: install
	$(BIN)/rgacli reproduce assets/quickstart.yaml --jobs 2 --out $(QUICKSTART)
	$(BIN)/rgacli analyze report $(QUICKSTART)/runs/prm-s0 $(QUICKSTART)/runs/plain-s0 --out $(QUICKSTART)/figures

test: install
	$(BIN)/python -m pytest -n auto

# What takes minutes: proofs on every image, and jobs of several machines.
slow: install
	$(BIN)/python -m pytest -n auto -m slow

# Faults, drawn at random from SEED. Its figures are README's, by `make tables`. Of some PARTS: make campaign PARTS="kill".
SEED ?= 0
PARTS ?=
campaign: install
	$(BIN)/python -m tests.campaign $(PARTS) --seed $(SEED) --record assets/campaign/campaign.json

# A part of it, which keeps no record.
campaign-short: install
	$(BIN)/python -m tests.campaign $(PARTS) --seed $(SEED) --short

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# After a new record: rgacli bench --save assets/benchmarks/NAME.json, or reproduce … --record assets/evidence/NAME.json
tables: install
	$(BIN)/python -m tests.campaign.tables

clean:
	rm -rf $(VENV) build dist *.egg-info
