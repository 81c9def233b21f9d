"""AWS clients, one of each service a process, and what they raise said in one sentence."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from kernel.errors import InvalidSettings, StoreError

CONNECT_TIMEOUT, READ_TIMEOUT = 1.0, 2.0
"""Seconds: these services answer in milliseconds, and a function has ten seconds in all."""

ATTEMPTS = 3
"""Calls in all, in the retry mode ``standard``: throttling, 5xx and lost connections only."""

_SIGN_IN = (
    "AWS does not accept the credentials here ({problem}); sign in (`aws sso login`), name a"
    " profile, or give this function a role"
)
_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "UnrecognizedClientException",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})


@cache
def client(name: str) -> Any:
    """Return this process's client of a service, such as ``dynamodb``; boto3 is imported here.

    Raises
    ------
    InvalidSettings
        No region is set.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import NoRegionError

    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        tcp_keepalive=True,
    )
    make: Any = boto3.client  # its overloads are one a service
    try:
        return make(name, config=config)
    except NoRegionError:
        raise InvalidSettings(
            "environment variable AWS_REGION: is not set; name the region of the stack,"
            " such as us-east-1"
        ) from None


@contextmanager
def translated(asked: str, missing: str) -> Iterator[None]:
    """Raise what a client raises as `StoreError`.

    ``asked`` names who was asked, such as ``the table orders``; ``missing`` says what to do where
    that does not exist.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise StoreError(_sentence(error.response, asked, missing)) from error
    except BotoCoreError as error:
        raise StoreError(_without_answer(error, asked)) from error


def _sentence(response: Mapping[str, Any], asked: str, missing: str) -> str:
    found = response.get("Error", {})
    code, message = found.get("Code", "Unknown"), found.get("Message", "no reason given")
    if code == "ResourceNotFoundException":
        return f"{asked} does not exist; {missing}"
    if code in _CREDENTIALS:
        return _SIGN_IN.format(problem=message)
    if code in _DENIED:
        return f"{asked} may not be used with these credentials: {message}; extend their policy"
    return f"{asked} did not do it: {code}: {message}"


def _without_answer(error: Exception, asked: str) -> str:
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
        return _SIGN_IN.format(problem=error)
    return f"{asked} did not answer: {error}; try again, or see whether the endpoint is right"
