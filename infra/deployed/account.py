"""An AWS account, and its clients' errors as one line each."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra.errors import AWSError
from infra.local.template.loader import REGION

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 60.0
"""Timeouts in seconds; a command may wait longer than a function."""

ATTEMPTS = 4
"""Calls including retries. Mode ``standard`` retries throttling, 5xx and lost connections only."""

TOKEN = "ORDERS_TOKEN"  # noqa: S105 - a name
"""The environment variable with the token for a server at --endpoint-url."""

_SIGN_IN = "sign in (`aws sso login`), or name a --profile that has credentials"

_MESSAGES = (
    (
        re.compile(
            "ExpiredToken|IncompleteSignature|Invalid(AccessKeyId|ClientTokenId|Signature)"
            "|MissingAuthenticationToken|SignatureDoesNotMatch|UnrecognizedClient"
        ),
        "{subject}: AWS does not accept the credentials ({message}); " + _SIGN_IN,
    ),
    (
        re.compile("AccessDenied|AuthorizationError|Forbidden|^403|NotAuthorized"),
        "{subject}: these credentials lack an IAM permission ({message}); extend their policy",
    ),
    (
        re.compile("Throttl|TooManyRequests|LimitExceeded|SlowDown"),
        "{subject}: AWS throttles the requests ({message}); try again in a minute",
    ),
    (
        re.compile("NoSuch|NotFound|NonExistent|DoesNotExist|^404|does not exist|not found"),
        "{subject} was not found ({message}); {remedy}",
    ),
)
"""Messages for AWS's error codes and error messages, with remedies."""

_CREDENTIALS = ("Credential", "SSO", "Token")
"""Parts of the names of botocore's errors that a sign-in fixes."""


@dataclass(frozen=True)
class Account:
    """An account and region of AWS, or an endpoint that answers for them.

    ``token`` is for an ``orders serve`` that requires tokens.
    """

    endpoint_url: str | None = None
    profile: str | None = None
    region: str | None = None
    token: str | None = None

    @property
    def where(self) -> str:
        """The account's name in messages."""
        return self.endpoint_url or "AWS"

    @cached_property
    def session(self) -> Any:
        """A boto3 session; a local endpoint takes any credentials."""
        import boto3

        is_local = self.endpoint_url is not None and self.profile is None
        key = "local" if is_local else None
        with translated("AWS's configuration", "name a --profile that is in it"):
            return boto3.Session(
                profile_name=self.profile,
                region_name=self.region or (REGION if is_local else None),
                aws_access_key_id=key,
                aws_secret_access_key=key,
                aws_session_token=self.token or os.environ.get(TOKEN) if is_local else None,
            )

    def client(self, service: str, **config: Any) -> Any:
        """Return the client of a service; ``config`` is botocore's."""
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        defaults: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
            "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
        }
        settings = Config(**(defaults | config))
        with translated(f"the client of {service}", "correct --region or --endpoint-url"):
            try:
                return self.session.client(service, endpoint_url=self.endpoint_url, config=settings)
            except ValueError as error:
                if isinstance(error, BotoCoreError):
                    raise
                raise AWSError(f"--endpoint-url: {error}") from None


@contextmanager
def translated(subject: str, remedy: str) -> Iterator[None]:
    """Raise errors of boto3 within the block as `AWSError`.

    ``subject`` names the resource, such as ``the stack orderflow``; ``remedy`` is for the case that
    it does not exist.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise AWSError(_response_message(error.response, subject, remedy)) from None
    except Boto3Error as error:  # of a transfer, with AWS's error as its context
        cause = error.__context__
        if isinstance(cause, ClientError):
            raise AWSError(_response_message(cause.response, subject, remedy)) from None
        raise AWSError(_client_message(cause or error, subject)) from None
    except BotoCoreError as error:
        raise AWSError(_client_message(error, subject)) from None


def _response_message(response: Mapping[str, Any], subject: str, remedy: str) -> str:
    """Return the message for an error that AWS answered."""
    error = response.get("Error", {})
    code, message = str(error.get("Code", "Unknown")), error.get("Message") or "no reason given"
    full = message if code in message else f"{code}: {message}"
    for pattern, sentence in _MESSAGES:
        if pattern.search(code) or pattern.search(message):
            return sentence.format(subject=subject, message=full.rstrip("."), remedy=remedy)
    return f"{subject} failed: {full}"


def _client_message(error: BaseException, subject: str) -> str:
    """Return the message for an error without an answer of AWS."""
    name, text = type(error).__name__, str(error).rstrip(".")
    if name == "NoRegionError":
        return f"{subject}: no region is known; name one with --region, or set AWS_REGION"
    if name == "ProfileNotFound":
        return f"{subject}: {text}; `aws configure list-profiles` lists the profiles"
    if any(part in name for part in _CREDENTIALS):
        return f"{subject}: {text}; {_SIGN_IN}"
    return f"{subject} did not answer: {text}; try again, or correct --region or --endpoint-url"
