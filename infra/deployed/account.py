"""An account of AWS that a command asks, and what its clients raise said in one line."""

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
"""Seconds; a command has more time than a function."""

ATTEMPTS = 4
"""Calls in all, in the retry mode ``standard``: throttling, 5xx and lost connections only."""

TOKEN = "ORDERS_TOKEN"  # noqa: S105 - a name
"""The environment variable with the token for a server that is named by --endpoint-url."""

_SIGN_IN = "sign in (`aws sso login`), or name a --profile that has credentials"

_REFUSALS = (
    (
        re.compile(
            "ExpiredToken|IncompleteSignature|Invalid(AccessKeyId|ClientTokenId|Signature)"
            "|MissingAuthenticationToken|SignatureDoesNotMatch|UnrecognizedClient"
        ),
        "{asked}: AWS does not accept the credentials ({message}); " + _SIGN_IN,
    ),
    (
        re.compile("AccessDenied|AuthorizationError|Forbidden|^403|NotAuthorized"),
        "{asked}: these credentials may not do it ({message}); extend their policy",
    ),
    (
        re.compile("Throttl|TooManyRequests|LimitExceeded|SlowDown"),
        "{asked}: AWS is asked for too much at once ({message}); try again in a minute",
    ),
    (
        re.compile("NoSuch|NotFound|NonExistent|DoesNotExist|^404|does not exist|not found"),
        "{asked} was not found ({message}); {mend}",
    ),
)
"""What codes and messages of AWS's errors mean, and what to do then."""

_CREDENTIALS = ("Credential", "SSO", "Token")
"""What is in the names of botocore's errors that a sign-in mends."""


@dataclass(frozen=True)
class Account:
    """An account and region of AWS, or an endpoint that answers for them.

    ``token`` is what a server of ``orders serve`` wants of its callers, if it wants tokens.
    """

    endpoint_url: str | None = None
    profile: str | None = None
    region: str | None = None
    token: str | None = None

    @property
    def where(self) -> str:
        """The account's name for a person."""
        return self.endpoint_url or "AWS"

    @cached_property
    def session(self) -> Any:
        """A session of boto3; an endpoint of one's own takes any credentials."""
        import boto3

        own = self.endpoint_url is not None and self.profile is None
        key = "local" if own else None
        with translated("AWS's configuration", "name a --profile that is in it"):
            return boto3.Session(
                profile_name=self.profile,
                region_name=self.region or (REGION if own else None),
                aws_access_key_id=key,
                aws_secret_access_key=key,
                aws_session_token=self.token or os.environ.get(TOKEN) if own else None,
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
def translated(asked: str, mend: str) -> Iterator[None]:
    """Raise what boto3 raises as `AWSError`.

    ``asked`` names who was asked, such as ``the stack orderflow``; ``mend`` says what to do where
    that is not there.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise AWSError(_refusal(error.response, asked, mend)) from None
    except Boto3Error as error:  # a transfer's; what AWS said is behind it
        said = error.__context__
        if isinstance(said, ClientError):
            raise AWSError(_refusal(said.response, asked, mend)) from None
        raise AWSError(_silence(said or error, asked)) from None
    except BotoCoreError as error:
        raise AWSError(_silence(error, asked)) from None


def _refusal(response: Mapping[str, Any], asked: str, mend: str) -> str:
    found = response.get("Error", {})
    code, message = str(found.get("Code", "Unknown")), found.get("Message") or "no reason given"
    said = message if code in message else f"{code}: {message}"
    for pattern, sentence in _REFUSALS:
        if pattern.search(code) or pattern.search(message):
            return sentence.format(asked=asked, message=said.rstrip("."), mend=mend)
    return f"{asked} did not do it: {said}"


def _silence(error: BaseException, asked: str) -> str:
    name, said = type(error).__name__, str(error).rstrip(".")
    if name == "NoRegionError":
        return f"{asked}: no region is known; name one with --region, or set AWS_REGION"
    if name == "ProfileNotFound":
        return f"{asked}: {said}; `aws configure list-profiles` has those that are"
    if any(part in name for part in _CREDENTIALS):
        return f"{asked}: {said}; {_SIGN_IN}"
    return f"{asked} did not answer: {said}; try again, or correct --region or --endpoint-url"
