# Everything happens in .venv, which the first target that needs it makes.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# One process a core, one thread each.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadscope

.PHONY: demo quick test test-long check format figures clean

demo: $(READY)  ## One model, seven β: writes demo.png and prints its rate-distortion curve.
	$(BIN)/mrvae reconstruct mrvae_mlp.mnist examples/digits/*.png -o demo.png --force
	$(BIN)/mrvae curve mrvae_mlp.mnist

quick: check  ## Between two edits: lint, types, the import rule, and the tests that take moments.
	$(PYTEST) --dist load -q -m "not slow and not long"

test: check  ## Lint, types, the import rule, and all tests but the longest.
	$(PYTEST) -m "not long"

test-long: check  ## The same, and the tests that take minutes.
	$(PYTEST)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

format: $(READY)  ## Put the code into the form that `check` wants.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

figures: $(READY)  ## The plot and the table of all comparisons, in README.md, from benchmarks/results/compare_*.json.
	$(BIN)/python benchmarks/figures.py

$(READY): pyproject.toml hatch_build.py
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[all,dev]"
	@touch $@

clean:
	rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache
