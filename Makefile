# make run: set up, then train on MNIST.  make test: set up, then run the tests.
# make bench: measure recipes, public examples and overhead (QUICK=1: in a few minutes; RESUME=1: resume from bench.json).
# make up: start a Prefect server and a worker.  make deploy: create the deployments.  make down: stop both.

UV_VERSION = 0.9.11
PYTHON ?= python3
BIN = .venv/bin

.PHONY: setup run test lint bench up deploy down clean

setup: .venv/.installed

# uv, because pip of older Pythons refuses a hashed lock with extras and takes ten times as long; --native-tls makes uv
# trust the certificates that the machine trusts
.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "digitflow needs Python 3.11 or newer; name one, such as: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --native-tls --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --native-tls --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m flows.cli.database_template
	touch $@

run: setup
	$(BIN)/digitflow train --or-sample

test: setup
	$(BIN)/pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m tests.benchmarks.bench $(if $(QUICK),--quick) $(if $(RESUME),--resume) --json bench.json
	$(BIN)/python tests/benchmarks/overhead.py --rounds $(if $(QUICK),1,7)

up deploy down: export PORT ?= 4200
up deploy down: export PREFECT_API_URL ?= http://127.0.0.1:$(PORT)/api
up deploy down: export DIGITFLOW_HOME ?= $(CURDIR)/artifacts/home
up deploy down: export PATH := $(CURDIR)/$(BIN):$(PATH)

up: setup
	mkdir -p "$$DIGITFLOW_HOME/logs"
	supervisord --configuration deployments/supervisord.conf
	$(BIN)/python -c 'from flows.cli.prefect_server import await_server; await_server("$(PREFECT_API_URL)")'

deploy: export DIGITFLOW_POOL ?= local
deploy: export DIGITFLOW_NIGHTLY ?= false
deploy: export DIGITFLOW_CRON ?= 0 3 * * *
deploy: export DIGITFLOW_TIMEZONE ?= UTC
deploy: setup
	prefect --no-prompt work-pool create local --type process --overwrite
	prefect --no-prompt deploy --all --prefect-file deployments/prefect.yaml
	$(BIN)/python -m deployments.automations

down:  # the worker first, so that its runs can still report to the server
	supervisorctl --configuration deployments/supervisord.conf stop worker server
	supervisorctl --configuration deployments/supervisord.conf shutdown

clean:
	rm -rf .venv
