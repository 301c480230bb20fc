# Everything happens in .venv, which the first target that needs it makes.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# One process a core, one thread each.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadscope
# onnxruntime-web, which pages carry along where `make browser` has installed it; else they link to a CDN.
ORT := web/node_modules/onnxruntime-web
RUNTIME = $(if $(wildcard $(ORT)),--runtime $(ORT))

.PHONY: demo quick test test-long check format figures docs page browser gpu clean

demo: $(READY)  ## One model, seven β: writes demo.png and prints its rate-distortion curve.
	$(BIN)/mrvae reconstruct mrvae_mlp.mnist examples/digits/*.png -o demo.png --force
	$(BIN)/mrvae curve mrvae_mlp.mnist

quick: check  ## Between two edits: lint, types, the import rule, and the tests that take moments.
	$(PYTEST) --dist load -q -m "not slow and not long"

test: check browser  ## Lint, types, the import rule, and all tests but the longest.
	$(PYTEST) -m "not long"

test-long: check browser  ## The same, and the tests that take minutes.
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

docs: $(READY)  ## The documentation and the dials, as a site in site/; a broken link or an undocumented name is an error.
	MRVAE_DIALS=1 NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict --quiet
	$(BIN)/mrvae page --pages site/dial $(RUNTIME)

page: $(READY) browser  ## The dial of the embedded model, in site/mrvae_mlp.mnist, and its tests in a browser.
	mkdir -p site
	$(BIN)/mrvae page mrvae_mlp.mnist -o site/mrvae_mlp.mnist $(RUNTIME) --force
	MRVAE_PAGE=site/mrvae_mlp.mnist OMP_NUM_THREADS=1 $(BIN)/pytest tests/page/browser -m "not long"

browser:  ## Chromium and the npm packages for the tests in a browser, which are skipped where one is missing.
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
		&& DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; } \
		|| echo "no Chromium, and it could not be installed (root and apt-get are needed): no test runs in a browser"
	@test web/node_modules/.package-lock.json -nt web/package-lock.json || npm ci --prefix web --silent --fetch-retries 1 \
		|| echo "npm packages are missing (npm ci in web/ needs Node.js and a registry): no test runs in a browser"

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
