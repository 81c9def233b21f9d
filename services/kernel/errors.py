"""Every error a service raises; a class name is what a workflow matches in ``ErrorEquals``.

::

    OrderflowError
    ├── InvalidInput            what somebody sent is wrong: field, problem, way out
    │   ├── InvalidEvent        an event that does not keep its contract
    │   └── InvalidStock        a stock file or line that cannot be received
    ├── InvalidSettings         an environment variable is missing or malformed
    ├── OrderNotFound           no order has this id (yet)
    ├── OrderConflict           the same order id with other content
    ├── DuplicateOrder          nothing to do: the order has ended, or another run holds it
    ├── LeaseLost               a newer run holds the order; this one must end quietly
    ├── OrderCancelled          its customer asked to cancel it; compensate
    ├── OrderIncomplete         completion was asked for before every step was done
    ├── CancellationRefused     too late, or already ended otherwise
    ├── ChangeRefused           the order can no longer be changed
    ├── VersionConflict         a record changed between reading and writing; read again
    ├── PaymentDeclined         the card was refused; never retried
    ├── PaymentGatewayError     the gateway did not answer, or not usefully; the outcome is unknown
    ├── CarrierError            the carrier did not take or void the shipment
    ├── MailError               the mail was not handed over
    ├── UnmailableAddress       no mail can be sent to an order's e-mail address; correct it
    ├── StoreError              a store on AWS was not to be reached, or holds what cannot be read
    └── WarehouseError          the analysts' warehouse did not answer a query
"""


class OrderflowError(Exception):
    """Base of all errors that the services raise."""


class InvalidInput(OrderflowError):
    """Something sent to the platform is wrong.

    Parameters
    ----------
    field : str
        Path of the offending field, such as ``detail.items[0].quantity``.
    problem : str
        What is wrong with its value and what would be right.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class InvalidEvent(InvalidInput):
    """An event does not keep its contract."""


class InvalidStock(InvalidInput):
    """A stock receipt cannot be taken."""


class InvalidSettings(OrderflowError):
    """An environment variable is missing or malformed."""


class OrderNotFound(OrderflowError):
    """No order has this id."""


class OrderConflict(OrderflowError):
    """The order id is known with other content; the first content stands."""


class DuplicateOrder(OrderflowError):
    """The order has ended, or another run holds it: there is nothing to do."""


class LeaseLost(OrderflowError):
    """A newer run holds the order, so this one may write no more."""


class OrderCancelled(OrderflowError):
    """The order is to be cancelled: stop and compensate."""


class OrderIncomplete(OrderflowError):
    """An order was to be completed whose steps are not all done."""


class CancellationRefused(OrderflowError):
    """The order can no longer be cancelled."""


class ChangeRefused(OrderflowError):
    """The order can no longer be changed."""


class VersionConflict(OrderflowError):
    """The record changed between reading and writing."""


class PaymentDeclined(OrderflowError):
    """The payment was refused for good."""


class PaymentGatewayError(OrderflowError):
    """The gateway gave no usable answer, so the outcome is unknown."""


class CarrierError(OrderflowError):
    """The carrier did not do what it was asked."""


class MailError(OrderflowError):
    """The mail was not handed over."""


class UnmailableAddress(OrderflowError):
    """No mail can be sent to an order's e-mail address, however often it is tried."""


class StoreError(OrderflowError):
    """A store on AWS was not to be reached, or holds what cannot be read."""


class WarehouseError(OrderflowError):
    """The warehouse did not answer a query."""
