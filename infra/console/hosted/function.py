"""The Lambda function of the hosted console: API Gateway's events, through Mangum.

The first request finds the stack's resources; a failure is answered with its reason, and the next
request tries again. Pages, threads and clients stay for the life of the execution environment.

Anybody may send a request, and two logged errors roll back a gradual deployment of the stack. So a
request that cannot be read is a response with status 400, and no error; and neither is a call that
AWS throttles because many environments begin at once.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from mangum import Mangum

from infra.console.console import build
from infra.console.hosted.application import HostedConsole
from infra.console.hosted.callers import HostedCallers
from infra.console.hosted.look import BucketSample
from infra.console.hosted.notices import TableNotices
from infra.console.hosted.pages import pages
from infra.console.hosted.response_limit import ResponseLimit
from infra.console.hosted.sessions import TableSessions
from infra.console.hosted.sign_in import Client, SignIn
from infra.console.hosted.user_pool import UserPool
from infra.console.page import Home
from infra.console.stack.limits import HOSTED, POLL
from infra.console.stack.readers import StackReaders
from infra.console.stack.source import StackSource
from infra.deployed.stack import find
from infra.deployed.threaded_account import ThreadedAccount
from infra.errors import Refusal
from kernel.clock import now
from kernel.errors import OrderflowError
from lambda_support import init_phase
from lambda_support.observability import instrumented, logger
from lambda_support.settings import Settings

TEXTS = [
    "text/",
    "application/json",
    "application/problem+json",
    "application/x-ndjson",
    "image/svg+xml",
]
"""Content types that are sent as text; others are sent in base64."""

logging.getLogger("mangum").setLevel(logging.WARNING)  # API Gateway logs each request


class ConsoleSettings(Settings):
    """The settings of the hosted console."""

    console_stack: str
    """The name of the stack."""

    console_url: str
    """The origin of the console."""

    console_pool: str
    """The id of the user pool."""

    console_client: str
    """The id of the console's client of the pool."""

    console_domain: str
    """The origin of the pool's pages."""


class ForeignEvent(OrderflowError):
    """An event is no request of an HTTP API; nothing of this stack sends one."""


class FunctionLog:
    """Failures of pages, in the function's log."""

    def log_exception(self, request_id: str, what: str, error: BaseException) -> None:
        """Log an exception with its traceback."""
        logger().error(f"{what} failed", exc_info=error, page_failure=request_id)


@cache
def application() -> HostedConsole:
    """Return the console of the stack that the settings name.

    Raises
    ------
    InvalidSettings
        A setting is missing.
    AWSError
        The stack's resources cannot be listed.
    """
    settings = ConsoleSettings.from_environment()
    region = settings.console_pool.partition("_")[0]
    account = ThreadedAccount(
        region=region, read_timeout=HOSTED.read_timeout, attempts=HOSTED.attempts
    )
    stack = find(account, settings.console_stack)
    options = f" --stack {settings.console_stack} --region {region}"
    look = BucketSample(account.client("s3"), stack.name("AnalyticsBucket"), now)
    source = StackSource(stack, settings.console_stack, options, look, HOSTED)
    users = UserPool(account.client("cognito-idp"), settings.console_pool, now)
    callers = HostedCallers(TableSessions(stack.table(), now), users)
    issuer = f"https://cognito-idp.{region}.amazonaws.com/{settings.console_pool}"
    client = Client(settings.console_domain, issuer, settings.console_client, settings.console_url)
    shown = pages(SignIn(client, now), callers)
    notices = TableNotices(stack.table(), now, source.renew)
    home = Home(shown, StackReaders(source), POLL, notices)
    console = build(source, callers, FunctionLog(), home)
    return HostedConsole(console, callers, settings.console_url)


@cache
def adapter() -> Mangum:
    """Return the adapter of the console to Lambda."""
    limited = ResponseLimit(application(), "use a command of `orders` with --stack")
    return Mangum(limited, lifespan="off", text_mime_types=TEXTS)


def _begin() -> None:
    """Make the adapter; the first request tries again, and answers with the reason of a failure."""
    with suppress(Refusal):
        adapter()


init_phase.prepare(_begin)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> Mapping[str, Any]:
    """Answer a request of API Gateway, in payload format 2.0.

    Raises
    ------
    ForeignEvent
        The event is of another source.
    """
    _require_request(event)
    try:
        mangum = adapter()
    except (Refusal, OrderflowError) as error:
        logger().warning("the console could not begin", exc_info=error)
        text = f"The console could not begin: {error}. Reload the page.\n"
        return _plain(HTTPStatus.BAD_GATEWAY, text)
    try:
        answer: Mapping[str, Any] = mangum(event, context)  # type: ignore[arg-type]
    except ValueError as error:  # of a port, a body in base64, or a text that UTF-8 cannot encode
        logger().warning("a request could not be read", exc_info=error)
        return _plain(HTTPStatus.BAD_REQUEST, f"The request could not be read: {error}.\n")
    return answer


def _require_request(event: Any) -> None:
    """Raise `ForeignEvent` unless an event is a request in payload format 2.0."""
    if isinstance(event, dict) and event.get("version") == "2.0":
        source = event.get("requestContext")
        asked = source.get("http") if isinstance(source, dict) else None
        if {"method", "path", "sourceIp"} <= set(asked or ()):
            return
    raise ForeignEvent(
        "the event is no request of an HTTP API in payload format 2.0; call the function through"
        " ConsoleApi"
    )


def _plain(status: HTTPStatus, text: str) -> Mapping[str, Any]:
    """Return a response without the console."""
    headers = {
        "content-type": "text/plain; charset=utf-8",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    return {"statusCode": status, "headers": headers, "body": text}
