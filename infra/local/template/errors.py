"""The error of a template that cannot be run."""

from infra.errors import Refusal


class TemplateError(Refusal, ValueError):
    """The template or a definition is invalid or not supported; ``place`` is a path in it."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem
