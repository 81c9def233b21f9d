"""The errors of the services; a workflow matches their class names in ``ErrorEquals``.

::

    OrderflowError
    ├── InvalidInput            wrong input from outside: field, problem, remedy
    │   ├── InvalidEvent        an event that violates its contract
    │   └── InvalidStock        a stock file or line that cannot be received
    ├── InvalidSettings         an environment variable is missing or malformed
    ├── NotPermitted            the caller may not do this with its access token
    ├── OrderNotFound           no order has this id (yet)
    ├── EventNotFound           no event has this id, or the bus no longer has it
    ├── OrderConflict           the order id is known with other content
    ├── DuplicateOrder          nothing to do: the order has ended, or another run holds it
    ├── LeaseLost               a newer run holds the order; this run must end without a write
    ├── OrderCancelled          its customer cancelled it; compensate
    ├── OrderIncomplete         a step is missing, so the order cannot be completed
    ├── CancellationRefused     too late, or the order has ended otherwise
    ├── ChangeRefused           the order can no longer be changed
    ├── RetryRefused            an operator's retry: the order has ended, or a run holds it
    ├── ApprovalRequired        the order of high value may not be charged before a decision
    ├── ApprovalRejected        a person rejected the order; compensate
    ├── ApprovalExpired         the order had no decision in time; compensate
    ├── DecisionRefused         a decision about an order that does not wait for one
    │   └── InvalidLink         a reviewer's link that is not valid, or not any more
    ├── ReviewNotFound          the order has no review, or its review is closed
    ├── VersionConflict         a record changed between read and write; read again
    ├── PaymentDeclined         the card was refused; never retried
    ├── PaymentGatewayError     the gateway gave no usable answer; the outcome is unknown
    ├── CarrierError            the carrier did not accept or void the shipment
    ├── MailError               the mail server did not accept the mail
    ├── UnmailableAddress       no mail server accepts an order's e-mail address; correct it
    ├── StoreError              a store on AWS refused, did not answer, or has unreadable data
    └── WarehouseError          the analysts' warehouse did not answer a query
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

MAX_PROBLEMS = 100
"""Maximum problems in an HTTP response or a fact; an event of 256 KiB can have thousands."""


class Problem(NamedTuple):
    """A fault of an input: the path of its field, and the fault with a right value."""

    field: str
    problem: str


UNQUOTED = "is not as its contract requires; compare it with the schema of its detail type"
"""The problem of a value that has no text of its own without the value."""


class OrderflowError(Exception):
    """Base of all errors that the services raise."""


class InvalidInput(OrderflowError):
    """Input from outside is wrong.

    Parameters
    ----------
    field : str
        Path of the offending field, such as ``detail.items[0].quantity``.
    problem : str
        The fault of its value, and a right one.
    unquoted : str
        The same without the value, for a text that is published.

    Attributes
    ----------
    problems : tuple of Problem
        Every problem of the input.
    unquoted : tuple of Problem
        The same problems without the offending values.
    """

    def __init__(self, field: str, problem: str, unquoted: str = UNQUOTED) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem
        self.problems: tuple[Problem, ...] = (Problem(field, problem),)
        self.unquoted: tuple[Problem, ...] = (Problem(field, unquoted),)

    @classmethod
    def of(cls, problems: Sequence[Problem], unquoted: Sequence[Problem]) -> Self:
        """Return the error of one or more problems; its text has the first, and their number."""
        field, problem = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        error = cls(field, problem + more)
        error.problems = tuple(problems)
        error.unquoted = tuple(unquoted)
        return error


class InvalidEvent(InvalidInput):
    """An event violates its contract."""


class InvalidStock(InvalidInput):
    """A stock receipt cannot be received."""


class InvalidSettings(OrderflowError):
    """An environment variable is missing or malformed."""


class NotPermitted(OrderflowError):
    """The caller may not do this with its access token; ``field`` is the refused one, if any."""

    def __init__(self, problem: str, field: str | None = None) -> None:
        super().__init__(problem if field is None else f"{field}: {problem}")
        self.field = field


class OrderNotFound(OrderflowError):
    """No order has this id."""


class EventNotFound(OrderflowError):
    """No event has this id, or the bus no longer has it."""


class OrderConflict(OrderflowError):
    """The order id is known with other content; the first content is valid."""


class DuplicateOrder(OrderflowError):
    """The order has ended, or another run holds it: there is nothing to do."""


class LeaseLost(OrderflowError):
    """A newer run holds the order, so this run may not write any more."""


class OrderCancelled(OrderflowError):
    """The order is to be cancelled: stop and compensate."""


class OrderIncomplete(OrderflowError):
    """An order cannot be completed, since a step is missing."""


class CancellationRefused(OrderflowError):
    """The order can no longer be cancelled."""


class ChangeRefused(OrderflowError):
    """The order can no longer be changed."""


class RetryRefused(OrderflowError):
    """The order has ended, or a run holds it: no other run may start."""


class ApprovalRequired(OrderflowError):
    """The order is of high value and waits for a decision before it is charged."""


class ApprovalRejected(OrderflowError):
    """A person rejected the order: compensate it."""


class ApprovalExpired(OrderflowError):
    """The order had no decision until its deadline: compensate it."""


class DecisionRefused(OrderflowError):
    """The order does not wait for a decision."""


class InvalidLink(DecisionRefused):
    """The reviewer's link is not that of the order's present wait."""


class ReviewNotFound(OrderflowError):
    """The order has no review, or its review is closed."""


class VersionConflict(OrderflowError):
    """The record changed between read and write."""


class PaymentDeclined(OrderflowError):
    """The payment was declined; it is never retried."""


class PaymentGatewayError(OrderflowError):
    """The gateway gave no usable answer, so the outcome is unknown."""


class CarrierError(OrderflowError):
    """The carrier did not accept or void a shipment."""


class MailError(OrderflowError):
    """The mail server did not accept the mail."""


class UnmailableAddress(OrderflowError):
    """No mail server accepts an order's e-mail address; a retry does not help."""


class StoreError(OrderflowError):
    """A store on AWS refused a request, did not answer, or has unreadable data."""


class WarehouseError(OrderflowError):
    """The warehouse did not answer a query."""
