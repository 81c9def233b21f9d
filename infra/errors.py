"""Errors of `infra` for the user; the errors of the services are in `kernel.errors`."""


class Refusal(Exception):
    """A command or request was refused; the message is one line with the reason and the remedy."""


class InvalidRequest(Refusal):
    """A request was refused completely, with AWS's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
