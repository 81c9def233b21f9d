# Needs Python 3.11 or newer with pip, and make. Everything else is installed from the locks, whose
# hashes pip checks:
#
#   requirements.lock             runtime, and hatchling, which installs the project   -> .venv
#   requirements-dev.lock         runtime, tests and checks                            -> .venv
#   requirements-sam.lock         SAM CLI: its pins conflict with the above            -> .venv-sam
#   requirements-ministack.lock   MiniStack: conflicting pins                          -> .venv-ministack
#   requirements-bench.lock       DBOS, compared by `make bench`                       -> .venv-bench
#   requirements-checkov.lock     checkov: conflicting pins                            -> .venv-checkov
#   infra/layer/requirements.txt  the Lambda layer of services/, at the runtime's versions
#   infra/console/hosted/requirements.txt  the console's function, beside that layer

PYTHON ?= python3
BIN := .venv/bin
PIP_INSTALL := -m pip install -qq --no-input --disable-pip-version-check
# --no-deps: a lock is complete, so pip has nothing to resolve.
LOCKED := $(PIP_INSTALL) --require-hashes --no-deps --only-binary :all:

# Python keeps compiled modules, also where the environment forbids it (an empty value is no value).
# The tests start hundreds of interpreters, and each worker of pytest compiles every test otherwise.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help run serve test test-browser check lint types imports template contracts schemas conformance bench rehearse \
	simulate fuzz doors crash exports test-sfn-local lock clean queries power-tuning terraform build artefact deploy credentials \
	bench-imports bench-clients bench-commands bench-console bench-growth trace-picture screenshots

help: ## List the targets (the default)
	@echo 'make TARGET, where TARGET is one of'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' Makefile

run: .venv/.runtime ## Process 200 generated orders of every kind
	$(BIN)/orders run --count 200

serve: .venv/.runtime ## Serve the HTTP API and the AWS endpoint on 127.0.0.1:8080
	$(BIN)/orders serve

# The tests wait for disks and processes, so four workers use two cores.
test: .venv/.dev ## Run the tests, except those of test-long and test-browser, in parallel
	$(BIN)/python -m pytest -n 4 --dist worksteal -m 'not long'

.PHONY: test-long
test-long: .venv/.dev ## Run the tests of bursts: crashes, full disks, hot items, the simulation, fuzzing
	$(BIN)/python -m pytest -n 4 --dist worksteal -m long

.PHONY: test-fast
test-fast: .venv/.dev ## Run the pure tests, about 20 seconds
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m 'not slow' tests/unit tests/contract

test-browser: .venv/.dev ## Use the console, and attack the port, in headless Chromium (Debian's chromium)
	@command -v chromium >/dev/null || { \
		echo 'make test-browser: chromium is not installed; on Debian: apt-get install chromium' >&2; exit 1; }
	$(BIN)/python -m pytest tests/browser -rs

screenshots: .venv/.dev ## Make the pictures of the console that the documents show
	@command -v chromium >/dev/null || { \
		echo 'make screenshots: chromium is not installed; on Debian: apt-get install chromium' >&2; exit 1; }
	$(BIN)/python -m tests.browser.screenshots

check: lint types imports template contracts artefact ## Run every check: style, types, imports, template, contracts

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.dev
	$(BIN)/mypy

imports: .venv/.dev
	$(BIN)/lint-imports --no-logo

# Fake credentials, no telemetry, state inside the environment: `sam validate` then makes no request
# and writes nothing to the home directory.
SAM_ENV := SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=none \
	AWS_SECRET_ACCESS_KEY=none __SAM_CLI_APP_DIR=.venv-sam/.state

template: .venv/.dev .venv-sam/.installed .venv-checkov/.installed
	$(BIN)/python -m infra.queries.athena --check
	$(BIN)/python -m infra.terraform.generate --check
	$(BIN)/cfn-lint template.yaml --append-rules cfn_lint_serverless.rules
	@$(SAM_ENV) .venv-sam/bin/sam validate --lint --template template.yaml
	@# checkov does not support YAML merge keys: it checks the template as SAM uploads it
	@mkdir -p .aws-sam/spelt-out && .venv-sam/bin/python -c 'from samcli.yamlhelper import *; \
		print(yaml_dump(yaml_parse(open("template.yaml").read())))' > .aws-sam/spelt-out/template.yaml
	.venv-checkov/bin/checkov --config-file .checkov.yaml --file .aws-sam/spelt-out/template.yaml

bench-imports: .venv/.dev ## Measure each handler's import, compared with boto3 and pydantic
	$(BIN)/python -m tests.bench.imports

terraform: .venv/.runtime ## Generate the Terraform module's variables and outputs from the template
	$(BIN)/python -m infra.terraform.generate

power-tuning: .venv/.runtime ## Write inputs of AWS Lambda Power Tuning (TO=DIR, STACK=NAME)
	@$(BIN)/python -m infra.cli.power_tuning $(if $(TO),--to '$(TO)') $(if $(STACK),--stack '$(STACK)')

queries: .venv/.runtime ## Generate Athena's queries in template.yaml from infra/queries/
	$(BIN)/python -m infra.queries.athena

# Python and instruction set of the functions and of their layer, and the folder that the console's function is
# copied from: infra/layer/Makefile and infra/console/hosted/Makefile read the variables.
RUNTIME ?= 3.13
ARCHITECTURE ?= arm64
PROJECT := $(CURDIR)
export RUNTIME ARCHITECTURE PROJECT

build: .venv-sam/.installed ## Build functions and layer into .aws-sam (RUNTIME=3.13, ARCHITECTURE=arm64)
	@PYTHON='$(CURDIR)/.venv-sam/bin/python' $(SAM_ENV) .venv-sam/bin/sam build
	@.venv-sam/bin/python -m infra.packaging.definitions
	@.venv-sam/bin/python -m infra.packaging.artefact
	@.venv-sam/bin/python infra/cost/sizes.py

artefact: build .venv/.runtime ## Lint the result of `make build`, transformed, and import the console's function
	@$(SAM_ENV) .venv-sam/bin/python -m infra.packaging.lint
	@$(BIN)/python -m infra.packaging.console_function

ENV ?= dev
STAGES := dev staging prod

# PARAMETERS: further parameters of the template, such as PARAMETERS='JwtIssuer=https://… JwtAudience=…'
RELEASE = $(BIN)/python -m infra.release
GIVEN = $(ENV) PythonRuntime=python$(RUNTIME) Architecture=$(ARCHITECTURE) $(PARAMETERS)

deploy: credentials account artefact ## Deploy to AWS (ENV=dev, staging or prod; see samconfig.toml)
	@$(RELEASE) validate $(GIVEN)
	@SAM_CLI_TELEMETRY=0 $(RELEASE) deploy $(GIVEN)

.PHONY: account delete
account: .venv/.runtime credentials
	@$(RELEASE) account $(GIVEN)

delete: .venv/.runtime credentials ## Delete dev's stack from AWS, with everything that it keeps
	@$(RELEASE) delete $(ENV)

credentials: .venv-sam/.installed
	@$(if $(filter $(ENV),$(STAGES)),,echo "make deploy: ENV=$(ENV) is not one of $(STAGES)" >&2; exit 1)
	@.venv-sam/bin/python -c 'import boto3, sys; sys.exit(boto3.Session().get_credentials() is None)' || { \
		echo 'make deploy: no AWS credentials found; sign in (aws sso login), or set AWS_PROFILE' >&2; \
		exit 1; }

contracts: .venv/.dev
	$(BIN)/python -m infra.contracts.schemas --check
	$(BIN)/python -m pytest tests/contract

schemas: .venv/.runtime ## Generate events_schema/ from services/kernel/events.py
	$(BIN)/python -m infra.contracts.schemas

conformance: .venv/.dev ## Compare the runtime with AWS's recorded answers (VECTORS=DIR)
	$(BIN)/python -m pytest tests/conformance $(if $(VECTORS),--vectors '$(VECTORS)')

simulate: .venv/.dev ## Simulate runs full of faults (SEEDS=N, JOBS=N)
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),200) --jobs $(or $(JOBS),2)

FINDINGS ?= 8
.PHONY: mutations
mutations: .venv/.dev ## Mutate the code and the template until each mutation is detected (FINDINGS=1000: all)
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/simulation/test_mutations.py tests/mutations --all-mutations --findings $(FINDINGS)

fuzz: .venv/.dev ## Fuzz every input with any JSON (EXAMPLES=N each)
	$(BIN)/python -m pytest tests/fuzz --examples $(or $(EXAMPLES),5000)

doors: fuzz

crash: .venv/.dev ## Kill the server while it processes orders, jobs and replays (ORDERS=N, KILLS=N, SEED=N)
	$(BIN)/python -m pytest tests/e2e/test_crash.py tests/e2e/test_letter_jobs.py -s --crash-orders $(or $(ORDERS),2000) \
		--crash-kills $(or $(KILLS),20) --crash-seed $(or $(SEED),1)

.PHONY: small-account
small-account: .venv/.dev ## Process orders with 10 Lambda executions, timeouts, cold starts (ORDERS=N, SEED=N)
	$(BIN)/python -m pytest tests/e2e/test_small_account.py -s --account-orders $(or $(ORDERS),1000) \
		--account-seed $(or $(SEED),7)

exports: .venv/.dev ## Export and back up during a burst, and audit each (COUNT=N)
	$(BIN)/python -m pytest tests/e2e/test_exports.py -s --exports $(or $(COUNT),200)

trace-picture: .venv/.dev ## Draw the trace of one order (build/trace.svg)
	$(BIN)/python -m tests.trace_picture build/trace.svg

bench-clients: .venv/.dev ## Measure concurrent PutEvents clients (CLIENTS=N, SECONDS=N)
	$(BIN)/python -m tests.bench.clients --clients $(or $(CLIENTS),10) --seconds $(or $(SECONDS),60)

bench-growth: .venv/.dev ## Measure the speed of a large directory (ORDERS=N)
	$(BIN)/python -m tests.bench.growth --orders $(or $(ORDERS),100000)

bench-commands: .venv/.dev ## Measure the commands and /metrics on a large directory (ORDERS=N)
	$(BIN)/python -m tests.bench.commands --orders $(or $(ORDERS),100000)

bench-console: .venv/.dev ## Measure the console's pages, and a burst with open tabs (ORDERS=N)
	$(BIN)/python -m tests.bench.console --orders $(or $(ORDERS),100000)

bench: .venv/.dev .venv-bench/.installed ## Compare the platform with a bare loop and DBOS (ORDERS=N)
	$(BIN)/python -m tests.bench --orders $(or $(ORDERS),10000)

rehearse: .venv/.dev .venv-ministack/.installed build ## Compare MiniStack with one machine (LAMBDA_FAULTS=new-account, ORDERS=N)
	$(BIN)/python -m tests.rehearsal $(if $(LAMBDA_FAULTS),--lambda-faults '$(LAMBDA_FAULTS)') \
		$(if $(ORDERS),--orders $(ORDERS))

SFN_LOCAL ?= http://127.0.0.1:8083

test-sfn-local: .venv/.dev ## Run the mocked scenarios on Step Functions Local (docker compose up)
	$(BIN)/python -m tests.rehearsal.sfn_local --endpoint-url $(SFN_LOCAL)

# --universal: one lock for every supported Python and platform. Locked versions stay unless
# pyproject.toml or UPGRADE=1 requires others.
UV := .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

# Lambda's Python runtimes contain boto3 and its dependencies (Lambda, Python runtimes).
IN_LAMBDA := boto3 botocore python-dateutil s3transfer six urllib3
IN_LAYER := typing-extensions

lock: .venv-lock/.installed ## Resolve the locks from pyproject.toml (UPGRADE=1 for newest versions)
	$(UV) pyproject.toml --group build -o requirements.lock
	$(UV) pyproject.toml --group build --group dev -c requirements.lock -o requirements-dev.lock
	$(UV) --group pyproject.toml:sam -o requirements-sam.lock
	$(UV) --group pyproject.toml:ministack -o requirements-ministack.lock
	$(UV) --group pyproject.toml:checkov -o requirements-checkov.lock
	$(UV) --group pyproject.toml:bench -o requirements-bench.lock
	$(UV) --group pyproject.toml:layer -c requirements.lock $(IN_LAMBDA:%=--no-emit-package %) -o infra/layer/requirements.txt
	$(UV) --group pyproject.toml:hosted -c requirements-dev.lock $(IN_LAYER:%=--no-emit-package %) -o infra/console/hosted/requirements.txt
	@! grep -n '://' requirements*.lock infra/layer/requirements.txt infra/console/hosted/requirements.txt || { echo 'make lock: a lock contains an address.' >&2; exit 1; }

clean: ## Remove environments and caches; the data in .orderflow stays
	rm -rf .venv .venv-bench .venv-sam .venv-ministack .venv-checkov .venv-lock .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .aws-sam
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written after its environment is complete, so an interrupted install is resumed.
# Debian's Python cannot install pip into a venv without its package python3-venv; its pip can.
define create-venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Orderflow needs Python 3.11 or newer, but '$(PYTHON) --version' is: $$($(PYTHON) --version 2>&1)" >&2; \
		echo 'Name another interpreter, for example: make run PYTHON=python3.12' >&2; exit 1; }
	@echo 'Installing $(1) into $(@D) ...'
	@$(PYTHON) -m venv $(@D) || { \
		echo 'Trying with the installed pip ...' >&2; $(PYTHON) -m venv --without-pip $(@D) && \
		$(PYTHON) -m pip --python $(@D)/bin/python install -qq --no-input pip; }
endef

.venv/.created:
	$(call create-venv,the runtime of Orderflow)
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

.venv-checkov/.installed: requirements-checkov.lock
	$(call create-venv,checkov)
	@.venv-checkov/bin/python $(LOCKED) -r requirements-checkov.lock
	@touch $@

.venv-bench/.installed: requirements-bench.lock
	$(call create-venv,DBOS)
	@.venv-bench/bin/python $(LOCKED) -r requirements-bench.lock
	@touch $@

.venv-ministack/.installed: requirements-ministack.lock
	$(call create-venv,MiniStack)
	@.venv-ministack/bin/python $(LOCKED) -r requirements-ministack.lock
	@touch $@

.venv-lock/.installed: Makefile
	$(call create-venv,the resolver of the locks)
	@.venv-lock/bin/python $(PIP_INSTALL) uv==0.13.9
	@touch $@
