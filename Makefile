# Everything happens in .venv, which the first target that needs it makes.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# One process a core, one thread each.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadscope

.PHONY: demo quick test test-long check format figures docs gpu clean

demo: $(READY)  ## One model, seven β: writes demo.png and prints its rate-distortion curve.
	$(BIN)/mrvae reconstruct mrvae_mlp.mnist examples/digits/*.png -o demo.png --force
	$(BIN)/mrvae curve mrvae_mlp.mnist

quick: check  ## Between two edits: lint, types, the import rule, and the tests that take moments.
	$(PYTEST) --dist load -q -m "not slow and not long"

test: check  ## Lint, types, the import rule, and all tests but the longest.
	$(PYTEST) -m "not long"

test-long: check  ## The same, and the tests that take minutes.
	$(PYTEST)

check: $(READY)  ## Lint, types, the import rule, the names and links of the documentation.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python docs/generate.py

format: $(READY)  ## Put the code into the form that `check` wants.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)  ## The documentation, as a site in site/; a broken link or an undocumented name is an error.
	NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict --quiet

figures: $(READY)  ## What README.md, docs/results and registry/index.json say of the models and comparisons, from their files.
	$(BIN)/python benchmarks/figures.py
	$(BIN)/python benchmarks/registry_index.py

gpu:  ## On a machine with a GPU, which need not have .venv: checks, figures and trainings. DATA_ROOT=, OUT=, ARGS=
	$(PYTHON) benchmarks/gpu.py --data-root $(DATA_ROOT) -o $(OUT) $(ARGS)

$(READY): pyproject.toml hatch_build.py
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[all,dev,docs]"
	@touch $@

clean:
	rm -rf .venv dist site .mypy_cache .pytest_cache .ruff_cache
