"""Errors of `infra` that a person can act on; errors of the services are in `kernel.errors`."""


class Refusal(Exception):
    """Nothing was done; the message is one line with the cause and the remedy."""


class InvalidRequest(Refusal):
    """A whole request is refused with AWS's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotFound(Refusal):
    """A named order, mail, queue or resource does not exist."""


class AWSError(Refusal):
    """AWS refused a call, failed, or did not answer."""


class NotInstalled(Refusal):
    """An optional package is needed and not installed."""


class MoveError(Refusal):
    """An export or import was refused, or its file is invalid."""


class BackupError(Refusal):
    """A backup or restore was refused, or its archive is damaged."""
