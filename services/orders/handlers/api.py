"""The HTTP API: place, read, list, change and cancel orders.

Errors are problem documents (RFC 9457): ``type``, ``title``, ``status``, ``detail`` and, for what
was sent wrong, ``field``.
"""

import json
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from kernel import clock, json_text
from kernel.errors import (
    CancellationRefused,
    ChangeRefused,
    InvalidInput,
    OrderConflict,
    OrderflowError,
    OrderNotFound,
)
from kernel.events import (
    MAX_EVENT_BYTES,
    Item,
    OrderCancelled,
    OrderCreated,
    OrderUpdated,
    parse_detail,
)
from kernel.idempotency import order_id_of_key
from kernel.money import from_minor
from lambda_support.observability import count, instrumented
from orders import idempotency_key, idempotent_placement, usecases, wiring
from orders.model import Amendment
from orders.order_json import order_view

app = APIGatewayHttpResolver()

_STATUS = {
    OrderConflict: HTTPStatus.CONFLICT,
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    OrderNotFound: HTTPStatus.NOT_FOUND,
    CancellationRefused: HTTPStatus.CONFLICT,
    ChangeRefused: HTTPStatus.CONFLICT,
}
MAX_PAGE = 100
_SUPPLIED = ("order_id", "timestamp", "total")
"""What the API fills in where it is left out or null."""

_HEADER, _IN_METADATA = "Idempotency-Key", "metadata.idempotency_key"


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take an HTTP API request (payload format 2.0); answer it."""
    return app.resolve(event, context)


@app.get("/health")
def health() -> dict[str, str]:
    """Say that the API answers."""
    return {"status": "ok"}


@app.post("/orders")
def place() -> Response[str]:
    """Place an order; ``order_id``, ``timestamp`` and ``total`` may be left out or null."""
    body = _body()
    key, field = _key(body)
    for name in _SUPPLIED:
        if body.get(name) is None:
            body.pop(name, None)
    named = "order_id" in body
    body.setdefault("order_id", str(order_id_of_key(key.sender, key.text) if key else uuid4()))
    body.setdefault("timestamp", clock.timestamp(clock.now()))
    if "total" not in body:
        body["total"] = _total(body.get("items"))
    event = parse_detail(OrderCreated, body, at="")
    ports = wiring.ports()
    try:
        if key is None:
            record, new = usecases.place(event, ports)
        else:
            record, new = idempotent_placement.place(event, key, ports, field)
    except OrderConflict as error:
        if key is None or named or isinstance(error, idempotent_placement.KeyConflict):
            raise
        raise idempotent_placement.conflict(
            key, field
        ) from None  # the id that follows from the key is taken
    count("OrdersPlaced", 1 if new else 0)
    status = HTTPStatus.CREATED if new else HTTPStatus.OK
    return _json(status, order_view(record), {"Location": f"/orders/{record.order_id}"})


@app.get("/orders/<order_id>")
def get(order_id: str) -> Response[str]:
    """Return one order."""
    return _json(HTTPStatus.OK, order_view(wiring.ports().store.read(order_id)))


@app.get("/orders")
def list_orders() -> Response[str]:
    """List a customer's orders, newest first (``customer_id``, ``limit``, ``after``).

    An empty parameter counts as absent.
    """
    query = _query("customer_id", "limit", "after")
    customer_id = query.get("customer_id")
    if not customer_id:
        raise InvalidInput("customer_id", "is missing; say whose orders to list")
    limit, after, store = _limit(query.get("limit")), query.get("after"), wiring.ports().store
    start = store.find(after) if after else None
    if after and (start is None or start.customer_id != customer_id):
        raise InvalidInput(
            "after", f"{after[:80]!r} is no order of this customer; send the last answer's `next`"
        )
    records = store.by_customer(customer_id, limit + 1, after)
    page = records[:limit]
    more = page[-1].order_id if len(records) > limit else None
    return _json(HTTPStatus.OK, {"orders": [order_view(one) for one in page], "next": more})


@app.patch("/orders/<order_id>")
def amend(order_id: str) -> Response[str]:
    """Change ``shipping_address`` or ``email`` of an order that is not shipped yet.

    After the shipment ``email`` can be corrected as long as no confirmation could be sent to it.
    """
    change = {**_body(), "order_id": order_id, "timestamp": clock.timestamp(clock.now())}
    detail = parse_detail(OrderUpdated, change, at="").detail
    wanted = Amendment(detail.address, detail.email)
    record = usecases.amend(order_id, wanted, wiring.ports())
    return _json(HTTPStatus.OK, order_view(record))


@app.post("/orders/<order_id>/cancel")
def cancel(order_id: str) -> Response[str]:
    """Ask for an order's cancellation; the order's status tells how it ended."""
    body = _body() if app.current_event.body else {}
    request = {**body, "order_id": order_id, "timestamp": clock.timestamp(clock.now())}
    detail = parse_detail(OrderCancelled, request, at="").detail
    record = usecases.cancel(order_id, detail.reason, None, wiring.ports())
    return _json(HTTPStatus.ACCEPTED, order_view(record))


@app.exception_handler(OrderflowError)  # type: ignore[untyped-decorator]
def refused(error: OrderflowError) -> Response[str]:
    """Answer an error that a rule raised."""
    status = next(
        (code for kind, code in _STATUS.items() if isinstance(error, kind)),
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )
    return _problem(status, str(error), getattr(error, "field", None))


@app.not_found
def not_found(error: NotFoundError) -> Response[str]:
    """Answer a path that does not exist."""
    method, path = app.current_event.http_method, app.current_event.path
    return _problem(HTTPStatus.NOT_FOUND, f"{method} {path} does not exist; see /orders")


class _NotJSON(InvalidInput):
    """The body is no JSON object."""


@app.exception_handler(_NotJSON)  # type: ignore[untyped-decorator]
def not_json(error: _NotJSON) -> Response[str]:
    """Answer a body that is no JSON object."""
    return _problem(HTTPStatus.BAD_REQUEST, str(error), error.field)


def _key(body: dict[str, Any]) -> tuple[idempotency_key.Key | None, str]:
    """Return the idempotency key of a request, if it has one, and where it was sent.

    It is in the header, or in the event's metadata; both must say the same.
    """
    sent = app.current_event.headers.get(_HEADER.lower())
    metadata = body.get("metadata")
    told = metadata.get("idempotency_key") if isinstance(metadata, dict) else None
    if sent is not None and told is not None and sent != told:
        raise InvalidInput(_IN_METADATA, f"differs from the header {_HEADER}; send one of them")
    field, text = (_IN_METADATA, told) if sent is None else (_HEADER, sent)
    if not isinstance(text, str):
        return None, field  # none, or one that the contract complains of
    if not text or len(text) > idempotency_key.LONGEST:
        size = f"has {len(text)} characters" if text else "is empty"
        raise InvalidInput(field, f"{size}; send from 1 to {idempotency_key.LONGEST}")
    return idempotency_key.Key(_sender(), text, idempotency_key.fingerprint(body)), field


def _sender() -> str:
    """Return who asks: the subject of the token; the local user, who has none, is no name."""
    context = app.current_event.raw_event.get("requestContext") or {}
    claims = ((context.get("authorizer") or {}).get("jwt") or {}).get("claims") or {}
    return str(claims.get("sub") or claims.get("client_id") or "")


def _body() -> dict[str, Any]:
    try:
        text = app.current_event.decoded_body or ""
        size = len(text.encode())
        body = json_text.read(text) if size <= MAX_EVENT_BYTES else None
    except ValueError as error:
        raise _NotJSON("body", f"is not JSON ({error})") from None
    if size > MAX_EVENT_BYTES:
        raise InvalidInput("body", f"has {size} bytes; at most {MAX_EVENT_BYTES} fit in an event")
    if not isinstance(body, dict):
        raise _NotJSON("body", "is not a JSON object; send one")
    return body


def _total(items: object) -> float:
    """Return the total of well-formed lines; of others none, the contract complains of them."""
    try:
        lines = [Item.model_validate(item) for item in items]  # type: ignore[attr-defined]
    except (TypeError, ValidationError):
        return 0.0
    return from_minor(sum(line.quantity * line.unit_price for line in lines))


def _query(*known: str) -> dict[str, str]:
    """Return the query's parameters that say something; one that is not known is refused."""
    given = app.current_event.query_string_parameters or {}
    for name in given:
        if name not in known:
            raise InvalidInput(
                name[:80], f"is no parameter here; the known ones are {', '.join(known)}"
            )
    return {name: value for name, value in given.items() if value}


def _limit(text: str | None) -> int:
    if text is None:
        return 20
    few_digits = text.isdecimal() and len(text) <= len(str(MAX_PAGE))
    if not few_digits or not 1 <= int(text) <= MAX_PAGE:
        raise InvalidInput("limit", f"{text[:20]!r} is not a number from 1 to {MAX_PAGE}")
    return int(text)


def _json(status: HTTPStatus, body: object, headers: dict[str, str] | None = None) -> Response[str]:
    return Response(
        status_code=status, content_type="application/json", body=json.dumps(body), headers=headers
    )


def _problem(status: HTTPStatus, detail: str, field: str | None = None) -> Response[str]:
    document: dict[str, object] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status,
        "detail": detail,
    }
    if field is not None:
        document["field"] = field
    return Response(
        status_code=status, content_type="application/problem+json", body=json.dumps(document)
    )
