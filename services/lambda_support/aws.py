"""AWS clients, one for each service and process, and the one translation of their errors."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from kernel.errors import InvalidSettings, StoreError

CONNECT_TIMEOUT, READ_TIMEOUT = 1.0, 2.0
"""Seconds: these services answer in milliseconds, and a function has ten seconds in all."""

ATTEMPTS = 3
"""Calls in all, in the retry mode ``standard``: throttling, 5xx and lost connections only."""


class Advice(NamedTuple):
    """The ways out that an error's message names: they differ between a function and a command."""

    sign_in: str
    endpoint: str
    region: str


FUNCTION = Advice(
    sign_in="sign in (`aws sso login`), name a profile, or give this function a role",
    endpoint="correct the endpoint",
    region="set AWS_REGION",
)

_BAD_CREDENTIALS = (
    "ExpiredToken|IncompleteSignature|Invalid(AccessKeyId|ClientTokenId|Signature)"
    "|MissingAuthenticationToken|SignatureDoesNotMatch|UnrecognizedClient"
)
_DENIED = "AccessDenied|AuthorizationError|Forbidden|^403|NotAuthorized"
_THROTTLED = "Throttl|TooManyRequests|LimitExceeded|SlowDown"
_MISSING = "NoSuch|NotFound|NonExistent|DoesNotExist|^404|does not exist|not found"
_REFUSALS = (
    (_BAD_CREDENTIALS, "{subject}: AWS does not accept the credentials ({reason}); {sign_in}"),
    (_DENIED, "{subject}: the credentials lack an IAM permission ({reason}); extend their policy"),
    (_THROTTLED, "{subject}: AWS throttles the requests ({reason}); try again in a minute"),
    (_MISSING, "{subject} was not found ({reason}); {if_missing}"),
)
"""The meaning of AWS's error codes and messages, and the remedy for each."""

_CREDENTIALS = ("Credential", "SSO", "Token")
"""Parts of the names of botocore's errors that a sign-in solves."""


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
def translate_errors(
    subject: str,
    if_missing: str,
    error_class: Callable[[str], Exception] = StoreError,
    advice: Advice = FUNCTION,
) -> Iterator[None]:
    """Raise an error of boto3 in the block as an ``error_class`` with `explanation` as its message.

    Parameters
    ----------
    subject : str
        The resource that is called, such as ``the table orders``.
    if_missing : str
        The remedy if the resource does not exist.
    """
    try:
        yield
    except Exception as error:
        message = explanation(error, subject, if_missing, advice)
        if message is None:
            raise
        raise error_class(message) from error


def explanation(
    error: Exception, subject: str, if_missing: str, advice: Advice = FUNCTION
) -> str | None:
    """Return an error of boto3 as one line with a remedy; ``None`` for any other error."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    cause: BaseException = error
    if isinstance(error, Boto3Error):  # of a transfer; AWS's error is its context
        cause = error.__context__ or error
    if isinstance(cause, ClientError):
        return _refusal(cause, subject, if_missing, advice)
    if isinstance(error, Boto3Error | BotoCoreError):
        return _no_answer(cause, subject, advice)
    return None


def _refusal(refused: Any, subject: str, if_missing: str, advice: Advice) -> str:
    error = refused.response.get("Error", {})
    code, message = str(error.get("Code", "Unknown")), error.get("Message") or "no reason given"
    reason = message if code in message else f"{code}: {message}"
    if re.search(_DENIED, code) and refused.operation_name not in reason:
        reason = f"{refused.operation_name}: {reason}"  # S3 and SQS do not name the action
    for pattern, sentence in _REFUSALS:
        if re.search(pattern, code) or re.search(pattern, message):
            return sentence.format(
                subject=subject,
                reason=reason.rstrip("."),
                if_missing=if_missing,
                sign_in=advice.sign_in,
            )
    return f"{subject} refused the request: {reason}"


def _no_answer(error: BaseException, subject: str, advice: Advice) -> str:
    name, reason = type(error).__name__, str(error).rstrip(".")
    if name == "NoRegionError":
        return f"{subject}: no region is known; {advice.region}"
    if name == "ProfileNotFound":
        return f"{subject}: {reason}; `aws configure list-profiles` lists the known ones"
    if any(part in name for part in _CREDENTIALS):
        return f"{subject}: {reason}; {advice.sign_in}"
    return f"{subject} did not answer: {reason}; try again, or {advice.endpoint}"
