# Needs Python 3.11 or newer with pip, and make; everything else is installed into .venv from the
# locks, whose hashes pip checks:
#
#   requirements.lock       what runs, and hatchling, which installs the project   -> .venv
#   requirements-dev.lock   the same, and what tests and checks it                 -> .venv
#   requirements-sam.lock   the SAM CLI, whose pins conflict with the above        -> .venv-sam

PYTHON ?= python3
BIN := .venv/bin
PIP_INSTALL := -m pip install -qq --no-input --disable-pip-version-check
# --no-deps: a lock is whole, so pip has nothing to resolve.
LOCKED := $(PIP_INSTALL) --require-hashes --no-deps --only-binary :all:

.PHONY: help run serve test check lint types imports template contracts schemas conformance lock clean

help: ## Say what there is to make (the default)
	@echo 'make TARGET, where TARGET is one of'
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

run: .venv/.runtime ## Take 200 generated orders through the whole platform
	$(BIN)/orders run --count 200

serve: .venv/.runtime ## Serve the HTTP API and the AWS endpoint on 127.0.0.1:8080
	$(BIN)/orders serve

test: .venv/.dev ## Run every test
	$(BIN)/python -m pytest

check: lint types imports template contracts ## Run every check: style, types, imports, template, contracts

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.dev
	$(BIN)/mypy

imports: .venv/.dev
	$(BIN)/lint-imports --no-logo

# Made-up credentials, no telemetry, its state beside it: `sam validate` then asks nobody and leaves
# nothing in the home directory.
SAM_ENV := SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=none \
	AWS_SECRET_ACCESS_KEY=none __SAM_CLI_APP_DIR=.venv-sam/.state

template: .venv/.dev .venv-sam/.installed
	$(BIN)/cfn-lint template.yaml
	@$(SAM_ENV) .venv-sam/bin/sam validate --lint --template template.yaml

contracts: .venv/.dev
	$(BIN)/python -m infra.cli.schemas --check
	$(BIN)/python -m pytest tests/contract

schemas: .venv/.runtime ## Generate events_schema/ from services/shared/events.py
	$(BIN)/python -m infra.cli.schemas

conformance: .venv/.dev ## Hold the runtime to AWS's answers (VECTORS=DIR for other cases)
	$(BIN)/python -m pytest tests/conformance $(if $(VECTORS),--vectors '$(VECTORS)')

# --universal: one lock for every supported Python and platform. Versions stay as they are locked
# unless pyproject.toml, or UPGRADE=1, asks for others.
UV := .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

lock: .venv-lock/.installed ## Resolve the locks anew from pyproject.toml (UPGRADE=1 for newest versions)
	$(UV) pyproject.toml --group build -o requirements.lock
	$(UV) pyproject.toml --group build --group dev -c requirements.lock -o requirements-dev.lock
	$(UV) --group pyproject.toml:sam -o requirements-sam.lock
	@! grep -n '://' requirements*.lock || { echo 'make lock: a lock holds an address.' >&2; exit 1; }

clean: ## Remove environments and caches; the data in .orderflow stays
	rm -rf .venv .venv-sam .venv-lock .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .aws-sam
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written only after its environment is whole, so that an interrupted install is resumed.
# Debian's Python cannot put pip into a venv without its package python3-venv; its pip can.
define create-venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Orderflow needs Python 3.11 or newer, but '$(PYTHON) --version' says: $$($(PYTHON) --version 2>&1)" >&2; \
		echo 'Name another one, for example: make run PYTHON=python3.12' >&2; exit 1; }
	@echo 'Installing $(1) into $(@D) ...'
	@$(PYTHON) -m venv $(@D) || { \
		echo 'Trying with the pip that is here ...' >&2; $(PYTHON) -m venv --without-pip $(@D) && \
		$(PYTHON) -m pip --python $(@D)/bin/python install -qq --no-input pip; }
endef

.venv/.created:
	$(call create-venv,what Orderflow needs)
	@touch $@

.venv/.runtime: requirements.lock pyproject.toml .venv/.created
	@$(BIN)/python $(LOCKED) -r requirements.lock
	@$(BIN)/python $(PIP_INSTALL) --no-index --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.runtime
	@$(BIN)/python $(LOCKED) -r requirements-dev.lock
	@touch $@

.venv-sam/.installed: requirements-sam.lock
	$(call create-venv,the SAM CLI)
	@.venv-sam/bin/python $(LOCKED) -r requirements-sam.lock
	@touch $@

.venv-lock/.installed: Makefile
	$(call create-venv,the resolver of the locks)
	@.venv-lock/bin/python $(PIP_INSTALL) uv==0.13.9
	@touch $@
