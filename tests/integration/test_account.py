"""Answers of AWS to a command: the stack by its name, or one line with the remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    SSOTokenLoadError,
)

from infra.deployed.account import Account, translate_errors
from infra.deployed.stack import find
from infra.errors import Refusal
from tests.fakes.http_port import answering
from tests.integration.deployed import refusal

FOUND = b"""<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries>
<member><LogicalResourceId>OrdersTable</LogicalResourceId>
<PhysicalResourceId>orderflow-OrdersTable-1</PhysicalResourceId></member>
<member><LogicalResourceId>Pending</LogicalResourceId></member>
</StackResourceSummaries></ListStackResourcesResult></ListStackResourcesResponse>"""

MISSING = b"""<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>
<Message>Stack with id orderflow does not exist</Message></Error></ErrorResponse>"""


@contextmanager
def cloudformation(status: int, body: bytes) -> Iterator[str]:
    """Answer every request alike; give the address."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            pass

    with answering(Answer) as address:
        yield address


def test_a_stack_is_found_by_its_name() -> None:
    with cloudformation(200, FOUND) as address:
        stack = find(Account(address))
    assert stack.names == {"OrdersTable": "orderflow-OrdersTable-1"}
    with pytest.raises(Refusal, match="the stack has no Workgroup; name Orderflow's with"):
        stack.name("Workgroup")


@pytest.mark.parametrize(
    "command",
    [
        ("show", "A-1"),
        ("list",),
        ("dead-letters", "list"),
        ("dead-letters", "show", "1"),
        ("dead-letters", "redrive", "--all"),
        ("query", "revenue_by_day"),
        ("report",),
        ("stock", "receive", "events_schema/sample_stock.csv"),
        ("export", "nowhere.ndjson", "--stack", "orderflow"),
        ("import", "nowhere.ndjson", "--stack", "orderflow"),
    ],
)
def test_a_missing_stack_is_reported(command: tuple[str, ...]) -> None:
    with cloudformation(400, MISSING) as address:
        said = refusal(*command, "--endpoint-url", address)
    assert said.startswith(f"the stack orderflow at {address} was not found")
    assert said.endswith("deploy it, or name another with --stack, --region or --profile")


def test_a_stack_name_alone_selects_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    assert "no region is known; name one with --region" in refusal("list", "--stack", "orderflow")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--profile", "nobody"), "(nobody) could not be found; `aws configure list-profiles`"),
        (("--endpoint-url", "nowhere"), "--endpoint-url: Invalid endpoint: nowhere"),
        (("--region", "no where"), "correct --region or --endpoint-url"),
    ],
)
def test_an_invalid_option_is_reported(options: tuple[str, ...], said: str) -> None:
    assert said in refusal("list", *options)


def refused(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "AnyOperation")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NoCredentialsError(), "it: Unable to locate credentials; sign in (`aws sso login`)"),
        (SSOTokenLoadError(error_msg="no token"), "sign in (`aws sso login`)"),
        (NoRegionError(), "it: no region is known; name one with --region, or set AWS_REGION"),
        (EndpointConnectionError(endpoint_url="http://x"), "it did not answer: Could not connect"),
        (
            refused("ExpiredToken", "The token is expired."),
            "it: AWS does not accept the credentials (ExpiredToken: The token is expired); sign in",
        ),
        (
            refused("AccessDeniedException", "no policy allows it"),
            "IAM permission (AnyOperation: AccessDeniedException: no policy allows it); extend",
        ),
        (
            refused("ThrottlingException", "Rate exceeded"),
            "it: AWS throttles the requests (ThrottlingException: Rate exceeded); try again",
        ),
        (refused("NoSuchBucket", "none"), "it was not found (NoSuchBucket: none); look there"),
        (refused("404", "Not Found"), "it was not found (404: Not Found); look there"),
        (
            refused("InvalidRequestException", "WorkGroup x is not found."),
            "it was not found (InvalidRequestException: WorkGroup x is not found); look there",
        ),
        (refused("Other", "no"), "it refused the request: Other: no"),
        (S3UploadFailedError("cut off"), "it did not answer: cut off; try again"),
    ],
)
def test_a_clients_error_becomes_one_line_with_a_remedy(error: Exception, said: str) -> None:
    with pytest.raises(Refusal) as raised, translate_errors("it", "look there"):
        raise error
    assert str(raised.value).startswith(said) or said in str(raised.value)
    assert "\n" not in str(raised.value)
