PYTHON ?= python3
VENV := .venv
WHEEL_VENV := .venv-wheel
BENCH_VENV := .venv-bench
AUDIT_VENV := .venv-audit
AUDIT_LOCK := tests/audit/requirements-audit.lock
BENCH_LOCK := benchmarks/requirements-bench.lock
PEERS := benchmarks/peers
BENCH ?=
MUTANTS ?=
TORTURE ?=
LOCK := requirements-dev.lock
LOCK_FLAGS ?=

# The folder tenure/ lies in the root: keep the working directory off sys.path, so that `tenure` is the installed one.
export PYTHONSAFEPATH := 1

UV_COMPILE := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate $(LOCK_FLAGS)

.DEFAULT_GOAL := help
.PHONY: help setup demo test traefik format check audit sbom bench torture mutants docs pictures screenshots reference tutorial lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.stamp ## make .venv from the lock, with the rooms installed in place

demo: setup ## play an app's life against a simulated Jira site into events.db
	$(VENV)/bin/tenure demo --log events.db

test: setup ## run the tests against the working tree
	$(VENV)/bin/pytest -n auto --no-header

traefik: .proxies/.stamp ## bring Traefik for its how-to's tests (50 MB; nginx and Caddy come from the system)

format: setup ## let ruff format and fix the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

check: setup $(WHEEL_VENV)/.stamp ## format, lint and types, then the tests on the built wheel
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	rm -rf build dist
	$(VENV)/bin/python -m build --wheel --no-isolation --outdir dist . >/dev/null
	$(WHEEL_VENV)/bin/pip install -qq --disable-pip-version-check --no-deps --force-reinstall dist/tenure-*.whl
	$(WHEEL_VENV)/bin/pytest -n auto --no-header

audit: $(AUDIT_VENV)/.stamp ## bandit over the rooms, and the serving lock against known vulnerabilities
	$(AUDIT_VENV)/bin/python tests/audit/run.py

sbom: $(AUDIT_VENV)/.stamp ## list what a release serves with (CycloneDX) in dist/, from the lock
	mkdir -p dist
	$(AUDIT_VENV)/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible \
		--validate --of JSON -o dist/tenure.cdx.json

docs: pictures reference ## build the docs into site/, with every link checked
	$(VENV)/bin/properdocs build -q --strict -f properdocs.yml
	@echo "open site/index.html"

pictures: setup ## draw the pictures and write the pages that are made from the code
	PYTHONPATH=docs $(VENV)/bin/python -m making

screenshots: setup ## take the pictures of the console anew, with the system's chromium
	TENURE_SCREENSHOTS=1 TENURE_REQUIRE_BROWSER=1 $(VENV)/bin/pytest -q --no-header tests/console/test_browser.py -k pictures

tutorial: setup ## follow the tutorial as a newcomer would: an empty environment, every command and port as printed
	TENURE_DOCS="as printed" $(VENV)/bin/pytest --no-header tests/docs/test_blocks.py -k "followed and tutorial"

reference: setup ## write the pages that are made from the commands
	$(VENV)/bin/python -m tenure.cli.reference

bench: $(BENCH_VENV)/.stamp $(PEERS)/node_modules/.stamp ## measure against the peers, 25 minutes (BENCH=--quick: 4)
	PYTHONPATH=benchmarks $(BENCH_VENV)/bin/python benchmarks/run.py $(BENCH)
	PYTHONPATH=docs $(BENCH_VENV)/bin/python -m making

torture: setup ## attacks, kill -9 and faults at their full size, one table, up to 30 minutes (quick versions are in make test)
	$(VENV)/bin/python tests/torture/run.py $(TORTURE); status=$$?; PYTHONPATH=docs $(VENV)/bin/python -m making && exit $$status

mutants: setup ## change the domain in every small way, one at a time: do its tests notice? (MUTANTS="--file check.py", 40 minutes for all)
	$(VENV)/bin/python tests/mutants/run.py $(MUTANTS)

lock: setup ## write all locks anew after a change of dependencies (LOCK_FLAGS=--upgrade for newer versions)
	$(UV_COMPILE) pyproject.toml -o requirements.lock >/dev/null
	$(UV_COMPILE) pyproject.toml --extra dev --constraint requirements.lock -o $(LOCK) >/dev/null
	$(UV_COMPILE) pyproject.toml --extra postgres --constraint $(LOCK) -o requirements-postgres.lock >/dev/null
	$(UV_COMPILE) pyproject.toml benchmarks/requirements-bench.in --constraint $(LOCK) -o $(BENCH_LOCK) >/dev/null
	$(UV_COMPILE) tests/audit/requirements-audit.in -o $(AUDIT_LOCK) >/dev/null

clean: ## remove what was built and installed here; events.db and its like stay
	rm -rf $(VENV) $(WHEEL_VENV) $(BENCH_VENV) $(AUDIT_VENV) $(PEERS)/node_modules build dist site .proxies *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.stamp: $(LOCK) pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -qq --disable-pip-version-check --require-hashes -r $(LOCK)
	$(VENV)/bin/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(WHEEL_VENV)/.stamp: $(LOCK)
	$(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/pip install -qq --disable-pip-version-check --require-hashes -r $(LOCK)
	touch $@

$(AUDIT_VENV)/.stamp: $(AUDIT_LOCK)
	$(PYTHON) -m venv $(AUDIT_VENV)
	$(AUDIT_VENV)/bin/pip install -qq --disable-pip-version-check --require-hashes -r $(AUDIT_LOCK)
	touch $@

.proxies/.stamp: tests/proxies/traefik.lock | $(VENV)/.stamp
	rm -rf .proxies
	$(VENV)/bin/pip install -qq --disable-pip-version-check --require-hashes --no-deps --target .proxies -r $<
	touch $@

$(BENCH_VENV)/.stamp: $(BENCH_LOCK) pyproject.toml
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install -qq --disable-pip-version-check --require-hashes -r $(BENCH_LOCK)
	$(BENCH_VENV)/bin/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Without node or a registry the bench goes on, and the rows that need the npm peers say that they are missing. Optional
# packages are left out; sqlite3 is compiled here where its prebuilt binary cannot be had (NODE_HEADERS: node's prefix).
NODE_HEADERS ?= $(shell dirname "$$(dirname "$$(readlink -f "$$(command -v node || echo /usr/bin/node)")")")
$(PEERS)/node_modules/.stamp: $(PEERS)/package-lock.json
	cd $(PEERS) && npm_config_nodedir=$(NODE_HEADERS) npm ci --omit=optional --no-audit --no-fund >install.log 2>&1 \
		&& touch node_modules/.stamp || echo "the npm peers could not be installed: $(PEERS)/install.log"
