"""What `infra` raises for a person to mend; errors of the services are in `kernel.errors`."""


class Refusal(Exception):
    """It was not done: the text is one line that says why, and what to do."""


class InvalidRequest(Refusal):
    """A request as a whole is refused, with AWS's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
