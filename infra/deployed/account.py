"""The AWS account of a command, and the errors of its clients in one line."""

import os
from dataclasses import dataclass
from functools import cached_property, partial
from shlex import quote
from typing import Any

from infra.errors import AWSError
from infra.local.template.loader import REGION
from lambda_support import aws
from lambda_support.aws import Advice

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 60.0
"""Seconds; a command has more time than a function."""

ATTEMPTS = 4
"""Calls in all, in the retry mode ``standard``: throttling, 5xx and lost connections only."""

TOKEN = "ORDERS_TOKEN"  # noqa: S105 - a name
"""The environment variable with the token for a server that is named by --endpoint-url."""

_ADVICE = Advice(
    sign_in="sign in (`aws sso login`), or name a --profile that has credentials",
    endpoint="correct --region or --endpoint-url",
    region="name one with --region, or set AWS_REGION",
)

translate_errors = partial(aws.translate_errors, error_class=AWSError, advice=_ADVICE)
"""Raise an error of boto3 in a block as `AWSError`, with a command's ways out: the parameters
are ``subject`` and ``if_missing`` (see `lambda_support.aws.translate_errors`)."""


@dataclass(frozen=True)
class Account:
    """An account and region of AWS, or an endpoint that answers for them.

    ``token`` is the caller's token for a server of ``orders serve`` with a token file.
    """

    endpoint_url: str | None = None
    profile: str | None = None
    region: str | None = None
    token: str | None = None

    @property
    def where(self) -> str:
        """The account's name for a person."""
        return self.endpoint_url or "AWS"

    @property
    def options(self) -> str:
        """The options of a command for the same account and region, each after a space."""
        given = {
            "--region": self.session.region_name,
            "--profile": self.profile,
            "--endpoint-url": self.endpoint_url,
        }
        return "".join(f" {option} {quote(value)}" for option, value in given.items() if value)

    @cached_property
    def session(self) -> Any:
        """A session of boto3; an endpoint of one's own takes any credentials."""
        import boto3

        own = self.endpoint_url is not None and self.profile is None
        key = "local" if own else None
        with translate_errors("AWS's configuration", "name a --profile that is in it"):
            return boto3.Session(
                profile_name=self.profile,
                region_name=self.region or (REGION if own else None),
                aws_access_key_id=key,
                aws_secret_access_key=key,
                aws_session_token=self.token or os.environ.get(TOKEN) if own else None,
            )

    @cached_property
    def _clients(self) -> dict[tuple[str, str], Any]:
        return {}

    def client(self, service: str, **config: Any) -> Any:
        """Return the client of a service; ``config`` is botocore's. Equal calls share a client."""
        key = (service, repr(sorted(config.items())))
        if key not in self._clients:
            self._clients[key] = self._new_client(service, config)
        return self._clients[key]

    def _new_client(self, service: str, config: dict[str, Any]) -> Any:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        defaults: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
            "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
        }
        settings = Config(**(defaults | config))
        with translate_errors(f"the client of {service}", "correct --region or --endpoint-url"):
            try:
                return self.session.client(service, endpoint_url=self.endpoint_url, config=settings)
            except ValueError as error:
                if isinstance(error, BotoCoreError):
                    raise
                raise AWSError(f"--endpoint-url: {error}") from None
