"""The published language: the contract of every event on the bus, and how events are parsed.

The models are the source; JSON Schemas, AsyncAPI and ``events_schema/`` are generated from them.
Money is integer hundredths in a model and a JSON number outside. Unknown fields are ignored.
All eleven contracts are in this one file, so it is longer than others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from kernel.errors import MAX_PROBLEMS, UNQUOTED, InvalidEvent, Problem
from kernel.event_fields import (
    IDENTIFIER,
    Count,
    Currency,
    Email,
    Identifier,
    Money,
    Name,
    PostalCode,
    Text,
    Timestamp,
    Token,
    none_if_blank,
    shortened,
)
from kernel.idempotency import canonical, content_hash, uuid_of
from kernel.money import WITHOUT_DECIMALS, text
from kernel.wrong_value import WrongValue

SOURCE = "orders.service"

MAX_LINES = 98
"""One DynamoDB transaction takes 100 writes (Service quotas): these lines, the order, its event."""

MAX_EVENT_BYTES = 262_144
"""Size of one PutEvents entry (EventBridge, PutEvents event entry size)."""

_INVALID = object()

_WITHIN = "within"
"""Type of a validation error whose context has the path (``at``) below the validated field."""


class Contract(BaseModel):
    """Base of all contracts: immutable, unknown fields ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Metadata(Contract):
    """The origin of an event; optional in requests."""

    event_id: Name | None = Field(None, description="Same for every delivery of this event.")
    schema_version: Annotated[str, StringConstraints(pattern=r"^\d{1,4}\.\d{1,4}$")] | None = Field(
        None, description="Version of the contract, major.minor.", examples=["1.0"]
    )
    correlation_id: str | None = Field(
        None, max_length=128, description="Same for all events that result from one request."
    )
    causation_id: str | None = Field(
        None, max_length=128, description="Id of the event that caused this event."
    )
    idempotency_key: str | None = Field(
        None, max_length=128, description="The caller's own key of the request."
    )

    blank_is_absent = field_validator("correlation_id", "causation_id", "idempotency_key")(
        none_if_blank
    )


class Item(Contract):
    """One line of an order."""

    sku: Identifier = Field(description="Stock keeping unit.", examples=["TEA-GREEN-100"])
    quantity: Count = Field(ge=1, le=1_000_000, description="Units ordered.", examples=[2])
    unit_price: Money = Field(description="Price of one unit.", examples=[12.5])


class Address(Contract):
    """A shipping address."""

    name: Text = Field(description="The recipient.")
    street: Text = Field(description="Street, number, and further directions to the door.")
    city: Text
    region: Text | None = Field(None, description="State, province or county, where mail needs it.")
    postal_code: PostalCode | None = None
    country: Text = Field(description="Name or ISO 3166 code, as on the label.")


class _Addressed(Contract):
    """An event with an address."""

    shipping_address: Address | None = None

    @property
    def address(self) -> dict[str, Any] | None:
        """The address as a JSON object."""
        return None if self.shipping_address is None else self.shipping_address.model_dump()


class Shortage(Contract):
    """A line of an order that stock does not cover."""

    sku: Identifier = Field(description="Stock keeping unit.")
    requested: Count = Field(description="Units ordered.")
    available: Count = Field(description="Available units at the time of the check.")


class Detail(Contract):
    """The fields of every event's detail."""

    name: ClassVar[str]
    version: ClassVar[str] = "1.0"

    order_id: Identifier = Field(description="The order's id.", examples=["A-1001"])
    timestamp: Timestamp = Field(description="The time of the event.")
    metadata: Metadata | None = Field(
        None, description="The origin of the event; optional in requests."
    )

    @cached_property
    def content(self) -> dict[str, Any]:
        """The fields with a value, without the metadata, as JSON values."""
        return self.model_dump(exclude={"metadata"}, exclude_none=True)


class OrderDetail(Detail):
    """The fields of every event about an entire order."""

    customer_id: Identifier = Field(description="The customer.", examples=["C-42"])
    currency: Currency = Field(
        description="ISO 4217 code; currencies without decimals, such as JPY, take integers.",
        examples=["USD"],
    )
    items: tuple[Item, ...] = Field(
        min_length=1, max_length=MAX_LINES, description="The order's lines."
    )
    total: Money = Field(description="Sum of quantity times unit price.", examples=[25.0])

    @field_validator("total")
    @classmethod
    def _is_the_sum(cls, total: int, info: ValidationInfo) -> int:
        items: tuple[Item, ...] | None = info.data.get("items")
        if items is None:
            return total  # their own validator has reported the error
        lines = sum(item.quantity * item.unit_price for item in items)
        if total != lines:
            raise WrongValue(
                text(total),
                f"is not the sum of the lines, which is {text(lines)}",
                "is not the sum of the lines; send the sum of quantity times unit price",
            )
        if total == 0:
            raise WrongValue("0", "cannot be charged; an order's total is more than 0")
        return total


class OrderCreated(OrderDetail, _Addressed):
    """A customer placed an order, which the platform processes."""

    name = "Order Created"
    version = "1.1"

    email: Email | None = Field(
        None, description="Address of the confirmation; ASCII before the @."
    )
    payment_token: Token | None = Field(None, description="The gateway's token; never card data.")

    @field_validator("items")
    @classmethod
    def _has_the_decimals_of_its_currency(
        cls, items: tuple[Item, ...], info: ValidationInfo
    ) -> tuple[Item, ...]:
        currency = info.data.get("currency")
        if currency in WITHOUT_DECIMALS:
            for number, item in enumerate(items):
                if item.unit_price % 100:
                    raise PydanticCustomError(
                        _WITHIN,
                        "{price} has decimals, and {currency} has none; send a whole number",
                        {
                            "price": text(item.unit_price),
                            "currency": currency,
                            "at": (number, "unit_price"),
                            "unquoted": "has decimals, and its currency has none;"
                            " send a whole number",
                        },
                    )
        return items

    @cached_property
    def content_hash(self) -> str:
        """Digest of the ordered content: a publisher's retry has the same, with any metadata."""
        own = {"timestamp", "payment_token"}
        return content_hash({name: each for name, each in self.content.items() if name not in own})


class OrderUpdated(Detail, _Addressed):
    """A request to change the address or the e-mail address of an order."""

    name = "Order Updated"
    version = "1.1"

    email: Email | None = Field(
        None,
        validate_default=True,
        description="New address of the confirmation; ASCII before the @.",
    )

    @field_validator("email")
    @classmethod
    def _changes_something(cls, email: str | None, info: ValidationInfo) -> str | None:
        # an address that its own validator refused is not in the data
        no_address = info.data.get("shipping_address", _INVALID) is None
        if email is None and no_address:
            raise WrongValue("", "nothing to change; send shipping_address, email, or both")
        return email


class OrderCancelled(Detail):
    """A customer asks to cancel an order; the answer is a Confirmed or a Refused event."""

    name = "Order Cancelled"
    version = "1.1"

    reason: Annotated[str, StringConstraints(max_length=500)] | None = Field(
        None, description="The customer's own words; never in the analysts' table."
    )

    blank_is_absent = field_validator("reason")(none_if_blank)


class OrderBackordered(OrderDetail):
    """Stock does not cover the order yet; the platform checks it again later."""

    name = "Order Backordered"

    missing: tuple[Shortage, ...] = Field(description="The lines that stock does not cover.")


class OrderCompleted(OrderDetail):
    """The order is paid, taken from stock and shipped."""

    name = "Order Completed"

    charge_id: str = Field(description="Id of the order's only charge.")
    shipment_id: str = Field(description="Id of the order's only shipment.")
    tracking_number: str = Field(description="The carrier's number.")


class OrderFailed(OrderDetail):
    """The order ended without a sale; nothing is charged, reserved or shipped."""

    name = "Order Failed"

    reason: str = Field(description="Error name, such as PaymentDeclined.")
    message: str = Field(description="A sentence on the reason.")


class OrderCancellationConfirmed(OrderDetail):
    """The order was cancelled; nothing is charged, reserved or shipped."""

    name = "Order Cancellation Confirmed"

    reason: str | None = Field(None, description="The reason of the request.")


class OrderCancellationRefused(Detail):
    """The order could no longer be cancelled."""

    name = "Order Cancellation Refused"

    reason: str = Field(description="A sentence on the reason, such as a shipped order.")


class RefusedField(Contract):
    """A problem of a refused event; the text never repeats the sender's value."""

    field: str = Field(description="Path of the field.", examples=["detail.items[0].quantity"])
    problem: str = Field(description="The fault, and the way out.")


class OrderRejected(Detail):
    """An event was refused and changed nothing; the order of its id, if there is one, continues."""

    name = "Order Rejected"

    order_id: Identifier | None = Field(  # type: ignore[assignment]
        None, description="The order id in the refused event, if it has a valid one."
    )
    rejected_event_id: Name = Field(description="The EventId that PutEvents answered.")
    rejected_event_type: str | None = Field(
        None, description="Detail type of the refused event, if it is a known one."
    )
    reason: str = Field(
        description="Error name: InvalidEvent, OrderConflict (the id has another content),"
        " ChangeRefused (too late), or OrderNotFound (no order within a day of the request)."
    )
    problems: tuple[RefusedField, ...] = Field(
        min_length=1, max_length=MAX_PROBLEMS, description="The problem, and the way out."
    )
    problem_count: Count = Field(ge=1, description="Number of problems, with those left out.")


class PaymentRefunded(Detail):
    """The charge of an order was refunded."""

    name = "Payment Refunded"

    customer_id: Identifier = Field(description="The customer.")
    currency: Currency = Field(description="ISO 4217 code.")
    amount: Money = Field(description="The refund: the order's total.")
    charge_id: str = Field(description="Id of the refunded charge.")
    reason: str = Field(description="Error name, such as CarrierError, or OrderCancelled.")


class HighValueOrderFlagged(Detail):
    """A high-value order waits for a manual review."""

    name = "High Value Order Flagged"

    customer_id: Identifier = Field(description="The customer.")
    currency: Currency = Field(description="ISO 4217 code.")
    total: Money = Field(description="The order's total.")
    threshold: Money = Field(description="The smallest total that is reviewed.")


CONTRACTS: dict[str, type[Detail]] = {
    contract.name: contract
    for contract in (
        OrderCreated,
        OrderUpdated,
        OrderCancelled,
        OrderBackordered,
        OrderCompleted,
        OrderFailed,
        OrderCancellationConfirmed,
        OrderCancellationRefused,
        OrderRejected,
        PaymentRefunded,
        HighValueOrderFlagged,
    )
}
"""The contract of each event, by its detail type."""

REQUESTS = frozenset({OrderCreated.name, OrderUpdated.name, OrderCancelled.name})
"""The events from upstream or the API; only the platform publishes the others."""


D = TypeVar("D", bound=Detail)


@dataclass(frozen=True, slots=True)
class Event(Generic[D]):
    """An event that conforms to its contract."""

    detail: D
    event_id: str
    correlation_id: str

    @property
    def name(self) -> str:
        """The event's detail type."""
        return self.detail.name


def parse(envelope: Mapping[str, Any]) -> Event[Detail]:
    """Parse the event in an EventBridge envelope (``source``, ``detail-type``, ``detail``).

    Raises
    ------
    InvalidEvent
        Another source, an unknown detail type, a newer major version, or a contract violation.
    """
    source, name, detail = (envelope.get(key) for key in ("source", "detail-type", "detail"))
    contract = CONTRACTS.get(name) if isinstance(name, str) else None
    if source == SOURCE and contract is not None:
        return parse_detail(contract, detail)
    raise _envelope_problems(source, name, contract, detail)


def _envelope_problems(
    source: object, name: object, contract: type[Detail] | None, detail: object
) -> InvalidEvent:
    """Return the error of an event of another source or of an unknown detail type."""
    quoted, unquoted = [], []
    if source != SOURCE:
        quoted.append(Problem("source", f"{source!r} is not {SOURCE!r}"))
        unquoted.append(Problem("source", f"is not {SOURCE!r}; send that"))
    if contract is None:
        known = ", ".join(CONTRACTS)
        quoted.append(Problem("detail-type", f"{name!r} is unknown; known: {known}"))
        requests = ", ".join(sorted(REQUESTS))
        unquoted.append(Problem("detail-type", f"is unknown; send one of {requests}"))
        return InvalidEvent.of(quoted, unquoted)
    try:
        parse_detail(contract, detail)
    except InvalidEvent as error:
        quoted += error.problems
        unquoted += error.unquoted
    return InvalidEvent.of(quoted, unquoted)


def parse_detail(contract: type[D], detail: object, at: str = "detail") -> Event[D]:
    """Parse the detail of an event, with the errors of `parse`; ``at`` is its path in them."""
    try:
        parsed = contract.model_validate(detail)
    except ValidationError as error:
        raise _explained(error, (at,) if at else ()) from None
    metadata = parsed.metadata or Metadata()
    if metadata.schema_version and _major(metadata.schema_version) > _major(contract.version):
        raise InvalidEvent(
            ".".join(filter(None, (at, "metadata.schema_version"))),
            f"{metadata.schema_version} is newer than {contract.version}, which is understood here",
            f"is newer than {contract.version}, which is understood here; send that version",
        )
    event_id = metadata.event_id or derived_event_id(parsed)
    return Event(parsed, event_id, metadata.correlation_id or event_id)


def derived_event_id(detail: Detail) -> str:
    """Return the id of an event without one, from its source, detail type, order and content.

    A publisher's retry has the same content, so it gets the same id.
    """
    content = canonical(detail.content)
    return uuid_of(f"{SOURCE}|{detail.name}|{detail.order_id}|{content}")


def to_entry(detail: Detail) -> dict[str, str]:
    """Return the PutEvents entry that publishes an event, without the bus."""
    body = detail.model_dump_json(exclude_none=True)
    return {"Source": SOURCE, "DetailType": detail.name, "Detail": body}


@cache
def _major(version: str) -> int:
    return int(version.partition(".")[0])


_PROBLEMS = {
    "missing": "is missing; send it",
    "extra_forbidden": "is not known here",
    "too_short": "has no entry; send at least one",
    "model_type": "is not a JSON object; send one",
    "tuple_type": "is not a list; send one",
    "string_type": "is not text; send text",
}
_PATTERNS = {
    IDENTIFIER: "use letters, digits, '.', '_' and '-', beginning with a letter or digit",
}


def _explained(error: ValidationError, prefix: tuple[str, ...]) -> InvalidEvent:
    """Return the error with every problem, in the order of the contract's fields."""
    problems = error.errors(include_url=False)
    # pydantic reports a list with an invalid entry as too short as well
    problems = [
        outer
        for outer in problems
        if not any(_within(each["loc"], outer["loc"]) for each in problems)
    ]
    paths = [_path(prefix + _location(each)) for each in problems]
    return InvalidEvent.of(
        list(map(Problem, paths, map(_problem, problems))),
        list(map(Problem, paths, map(_unquoted, problems))),
    )


def _location(error: ErrorDetails) -> tuple[int | str, ...]:
    within: tuple[int | str, ...] = error.get("ctx", {}).get("at", ())
    return error["loc"] + within if error["type"] == _WITHIN else error["loc"]


def _within(inner: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _path(location: tuple[int | str, ...]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(steps).lstrip(".")


def _problem(error: ErrorDetails) -> str:
    if error["type"] in ("value_error", _WITHIN):
        return error["msg"].removeprefix("Value error, ")
    message = _unquoted(error)
    if error["type"] in _PROBLEMS or error["type"] == "too_long":
        return message
    return f"{shortened(error['input'])}: {message}"


def _unquoted(error: ErrorDetails) -> str:
    """Return the text of a problem without a value of the event."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _PROBLEMS:
        return _PROBLEMS[kind]
    if kind == "value_error":
        cause = context.get("error")
        return cause.unquoted if isinstance(cause, WrongValue) else UNQUOTED
    if kind == _WITHIN:
        return str(context["unquoted"])
    if kind == "too_long":
        return f"has {context['actual_length']} entries; at most {context['max_length']} are taken"
    # pydantic's own messages have the limit, and not the value
    message = error["msg"]
    return _PATTERNS.get(context.get("pattern", ""), message[0].lower() + message[1:])
