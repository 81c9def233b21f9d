"""Modules that the console of a stack, and its function, must not import at their start."""

from functools import cache

import pytest

from tests.contract.test_imports import ROOT, modules_after

CONSOLE = (
    "infra.console.console",
    "infra.console.stack.source",
    "infra.console.stack.pages",
    "infra.console.stack.readers",
    "infra.console.hosted.function",
)

NEVER = {
    "infra.local.engine": "a stack has no engine",
    "infra.local.platform": "as the engine, which it opens",
    "infra.local.retention": "DynamoDB and S3 delete what is old",
    "infra.local.workers": "Lambda runs the functions",
    "infra.server.http": "API Gateway is the port",
    "infra.server.aws_api": "AWS answers the calls",
    "infra.cli": "the console is not a command",
    "infra.terminal": "as the command line",
    "boto3": "the first call makes its client",
    "email.policy": "a mail is shown on one machine alone",
    "duckdb": "Athena answers the queries",
    "sqlglot": "as DuckDB, whose SQL it writes",
    "uvicorn": "Lambda runs the application",
    "httptools": "as uvicorn",
    "rich": "a page is no terminal",
    "typer": "as the command line",
    "zstandard": "Step Functions keeps the histories",
    "jsonschema": "pydantic checks the events of a page",
    "jsonata": "Step Functions evaluates it",
}


@cache
def loaded() -> frozenset[str]:
    """Return the modules of an interpreter that imported the console of a stack alone."""
    return modules_after(f"import sys; sys.path.append({str(ROOT)!r}); import {', '.join(CONSOLE)}")


@pytest.mark.parametrize("module", NEVER)
def test_the_console_of_a_stack_starts_without(module: str) -> None:
    assert CONSOLE[-1] in loaded()
    assert module not in loaded(), NEVER[module]


def test_a_call_that_aws_refuses_in_the_init_phase_is_left_to_the_first_request() -> None:
    """An error of the init phase ends the environment, and no page has its reason."""
    given = {
        "CONSOLE_STACK": "orderflow-test",
        "CONSOLE_URL": "https://console.example.com",
        "CONSOLE_POOL": "us-east-1_pool",
        "CONSOLE_CLIENT": "client",
        "CONSOLE_DOMAIN": "https://users.example.com",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # the port "discard" is closed
        "AWS_MAX_ATTEMPTS": "1",
    }
    program = f"import sys; sys.path.append({str(ROOT)!r}); import {CONSOLE[-1]}"
    assert {CONSOLE[-1], "botocore.client"} <= modules_after(program, **given)
