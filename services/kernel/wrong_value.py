"""The error of a value that breaks a rule of its field, with a text that can be published."""


class WrongValue(ValueError):
    """A value breaks a rule of its field: the value as text, and the problem.

    ``unquoted`` is the problem without any value of the sender's, so that it can be published.
    """

    def __init__(self, value: str, problem: str, unquoted: str | None = None) -> None:
        super().__init__(f"{value} {problem}".strip())
        self.unquoted = unquoted or problem
