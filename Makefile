# The commands: `make demo`, `make test`, `make bench`. Each makes .venv first.
PYTHON ?= python3
VENV   ?= .venv
DATA   ?= auto
OUT    ?= demo-output
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test lowest docs linkcheck dist bench gpu kills fuzz soak mutants lint format clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("xmsgl needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; run make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[all,docs,test,lint]"
	touch $(STAMP)

## dataset -> validate -> graphs -> train -> downscale -> netCDF, picture, skill table
demo: $(STAMP)
	$(BIN)/xmsgl demo --data $(DATA) --out $(OUT)

## the whole test suite
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

## a part of the suite with the lowest versions that pyproject.toml allows, in an environment of its own
lowest:
	$(PYTHON) .ci/try_row.py 3.11-lowest

## the documentation, build/docs/html/index.html; a reference or link that leads nowhere is an error
docs: $(STAMP)
	rm -rf docs/generated
	$(BIN)/sphinx-build -q -E -n -W --keep-going docs build/docs/html

## whether addresses elsewhere still answer; needs a network
linkcheck: $(STAMP)
	$(BIN)/sphinx-build -q -b linkcheck docs build/docs/linkcheck

## sdist and wheel in dist/, checked, and the demo run from the wheel in a fresh environment
dist: $(STAMP)
	rm -rf dist build/dist
	$(BIN)/python -m pip install --quiet -c constraints.txt build twine
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv build/dist
	build/dist/bin/python -m pip install --quiet -c constraints.txt "$$(ls dist/*.whl)[data,plot]"
	cd build/dist && bin/xmsgl demo --data simulated --out demo-output

## the speed benchmarks, under 10 minutes; nothing else should run meanwhile
bench: $(STAMP)
	mkdir -p .bench
	$(BIN)/python -m pytest -c benchmarks/pytest.ini benchmarks --benchmark-json=.bench/speed.json
	$(BIN)/python -m benchmarks.report .bench/speed.json docs/benchmarks/speed.md

## every test of CUDA, then all backends of the cell timed, docs/benchmarks/gpu.md; stops without a GPU
gpu: $(STAMP)
	$(BIN)/python -m benchmarks.gpu
	$(BIN)/python -m pytest -m gpu
	$(BIN)/python -m benchmarks.gpu docs/benchmarks/gpu.md

## training, building, downscaling and reconstruction, each killed XMSGL_KILLS (10) times and left to finish
kills: $(STAMP)
	XMSGL_KILLS=$${XMSGL_KILLS:-10} $(BIN)/python -m pytest -s -q -k kills tests/training/test_kills.py tests/datasets/test_faults.py tests/export/test_zarr.py tests/cli/test_reconstruct.py tests/test_cloud.py tests/benchmark/test_kills.py

## random damaged and hostile files for XMSGL_FUZZ_SECONDS (600), divided among the readers; on Linux
fuzz: $(STAMP)
	$(BIN)/python -m pytest -c tests/fuzz/pytest.ini tests/fuzz

## whether memory or open files grow in XMSGL_SOAK_MINUTES (30) of training and prediction; on Linux
soak: $(STAMP)
	$(BIN)/python -m benchmarks.soak

## whether the tests notice small changes of the code, drawn with SEED (0); on Linux, half an hour
mutants: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt cosmic-ray
	$(BIN)/python -m benchmarks.mutants --seed $(or $(SEED),0)

## ruff and mypy, as CI runs them
lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(OUT) build dist docs/generated .pytest_cache .mypy_cache .ruff_cache .hypothesis
