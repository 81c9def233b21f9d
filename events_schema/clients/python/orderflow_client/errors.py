"""The errors of the client; each names the field or the event, the problem and the way out."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """A fault of an event: the path of its field, and the fault with the way out."""

    field: str
    problem: str


class OrderflowClientError(Exception):
    """Base of all errors of this client."""


class InvalidEvent(OrderflowClientError):
    """An event breaks its contract, so nothing was sent.

    Attributes
    ----------
    number : int
        The position of the event in the call, from 0.
    field : str
        The path of the first wrong field, such as ``detail.items[0].quantity``.
    problems : tuple of Problem
        Every problem.
    """

    def __init__(self, number: int, problems: Sequence[Problem]) -> None:
        first, more = problems[0], len(problems) - 1
        others = f" (and {more} more)" if more else ""
        super().__init__(f"event {number}: {first.field}: {first.problem}{others}")
        self.number = number
        self.field = first.field
        self.problems = tuple(problems)


class NotPublished(OrderflowClientError):
    """The bus did not take some events; the others were taken.

    Attributes
    ----------
    refused : mapping of int to str
        The reason by the position of the event in the call.
    """

    def __init__(self, refused: Mapping[int, str]) -> None:
        number, reason = next(iter(refused.items()))
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        super().__init__(f"event {number} was not taken: {reason}{more}; send these events again")
        self.refused = dict(refused)


class OrderRejected(OrderflowClientError):
    """A consumer refused the event.

    Attributes
    ----------
    reason : str
        The error's name, such as InvalidEvent or OrderConflict.
    problems : tuple of Problem
        The change that corrects it.
    """

    def __init__(self, answer: Mapping[str, Any]) -> None:
        problems = [Problem(each["field"], each["problem"]) for each in answer.get("problems", ())]
        told = "; ".join(f"{each.field}: {each.problem}" for each in problems)
        super().__init__(f"{answer.get('type')} was refused: {told or answer.get('reason')}")
        self.reason = str(answer.get("reason") or "")
        self.problems = tuple(problems)


class NoOutcome(OrderflowClientError):
    """The order did not end in time; it is still processed."""
