"""The HTTP API: place, read, list, change and cancel orders.

A caller reaches the orders of the customer in its token's claim, an operator those of every
customer (`orders.caller`).
Errors are problem documents (RFC 9457): ``type``, ``title``, ``status``, ``detail`` and, for an
invalid input, ``field`` of the first problem, and ``errors`` with the field and detail of each.
"""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from kernel import clock, json_text
from kernel.errors import (
    MAX_PROBLEMS,
    CancellationRefused,
    ChangeRefused,
    DecisionRefused,
    DuplicateOrder,
    EventNotFound,
    InvalidInput,
    InvalidLink,
    NotPermitted,
    OrderConflict,
    OrderflowError,
    OrderNotFound,
    Problem,
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
from kernel.order_record import MAX_TEXT
from kernel.order_status import Approval
from lambda_support import init_phase
from lambda_support.observability import count, instrumented
from orders import (
    approval_page,
    approvals,
    event_requests,
    idempotency_key,
    idempotent_placement,
    usecases,
    wiring,
)
from orders.caller import Caller, caller_of
from orders.model import Amendment
from orders.order_json import order_json

app = APIGatewayHttpResolver()

_STATUS = {
    OrderConflict: HTTPStatus.CONFLICT,
    DuplicateOrder: HTTPStatus.CONFLICT,
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotPermitted: HTTPStatus.FORBIDDEN,
    OrderNotFound: HTTPStatus.NOT_FOUND,
    EventNotFound: HTTPStatus.NOT_FOUND,
    CancellationRefused: HTTPStatus.CONFLICT,
    ChangeRefused: HTTPStatus.CONFLICT,
    DecisionRefused: HTTPStatus.CONFLICT,
}
MAX_PAGE = 100
_DEFAULTED = ("order_id", "timestamp", "total")
"""Fields that the API fills in if they are absent or null."""

_HEADER, _IN_METADATA = "Idempotency-Key", "metadata.idempotency_key"


init_phase.prepare(wiring.ports, "dynamodb")


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer an HTTP API request (payload format 2.0)."""
    return app.resolve(event, context)


@app.get("/health")
def health() -> dict[str, str]:
    """Return that the API is running."""
    return {"status": "ok"}


@app.post("/orders")
def place() -> Response[str]:
    """Place an order; ``order_id``, ``timestamp`` and ``total`` may be absent or null.

    Only an operator chooses the id of an order.
    """
    caller = _caller()
    body = _body()
    key, field = _key(body, caller.subject)
    for name in _DEFAULTED:
        if body.get(name) is None:
            body.pop(name, None)
    has_own_id = "order_id" in body
    body.setdefault("order_id", str(order_id_of_key(key.sender, key.text) if key else uuid4()))
    body.setdefault("timestamp", clock.timestamp(clock.now()))
    if "total" not in body:
        body["total"] = _total(body.get("items"))
    event = parse_detail(OrderCreated, body, at="")
    caller.require_customer(event.detail.customer_id)
    if has_own_id:
        caller.require_choice_of_id()
    ports = wiring.ports()
    try:
        if key is None:
            record, new = usecases.place(event, ports)
        else:
            record, new = idempotent_placement.place(event, key, ports, field)
    except OrderConflict as error:
        if key is None or has_own_id or isinstance(error, idempotent_placement.KeyConflict):
            raise
        # the order id that follows from the key exists with other content
        raise idempotent_placement.key_conflict(key, field) from None
    count("OrdersPlaced", 1 if new else 0)
    status = HTTPStatus.CREATED if new else HTTPStatus.OK
    return _json(status, order_json(record), {"Location": f"/orders/{record.order_id}"})


@app.get("/orders/<order_id>")
def get(order_id: str) -> Response[str]:
    """Return one order."""
    record = _caller().require_own(wiring.ports().store.read(order_id))
    return _json(HTTPStatus.OK, order_json(record))


@app.get("/orders/<order_id>/events")
def list_events(order_id: str) -> Response[str]:
    """List the events of an order, the oldest first, with the outcome of each."""
    events = event_requests.of_order(order_id, _caller(), wiring.ports())
    return _json(HTTPStatus.OK, {"events": [event.to_json() for event in events]})


@app.get("/events/<event_id>")
def get_event(event_id: str) -> Response[str]:
    """Return one event by its EventId, with its outcome."""
    event = event_requests.find(event_id, _caller(), wiring.ports())
    return _json(HTTPStatus.OK, event.to_json())


@app.get("/orders")
def list_orders() -> Response[str]:
    """List a customer's orders, newest first (``customer_id``, ``limit``, ``after``).

    An empty parameter is treated as absent.
    """
    caller = _caller()
    query = _query("customer_id", "limit", "after")
    customer_id = query.get("customer_id")
    if not customer_id:
        raise InvalidInput("customer_id", "is missing; send the customer whose orders to list")
    caller.require_customer(customer_id)
    limit, after, store = _limit(query.get("limit")), query.get("after"), wiring.ports().store
    start = store.find(after) if after else None
    if after and (start is None or start.customer_id != customer_id):
        raise InvalidInput(
            "after",
            f"{after[:80]!r} is not an order of this customer; send the last answer's `next`",
        )
    records = store.by_customer(customer_id, limit + 1, after)
    page = records[:limit]
    more = page[-1].order_id if len(records) > limit else None
    return _json(HTTPStatus.OK, {"orders": [order_json(record) for record in page], "next": more})


@app.patch("/orders/<order_id>")
def amend(order_id: str) -> Response[str]:
    """Change ``shipping_address`` or ``email`` of an order that is not shipped yet.

    After the shipment ``email`` can be corrected if the confirmation to it failed.
    """
    caller = _caller()
    change = {**_body(), "order_id": order_id, "timestamp": clock.timestamp(clock.now())}
    detail = parse_detail(OrderUpdated, change, at="").detail
    _require_reachable(order_id, caller)
    amendment = Amendment(detail.address, detail.email)
    record = usecases.amend(order_id, amendment, wiring.ports())
    return _json(HTTPStatus.OK, order_json(record))


@app.post("/orders/<order_id>/cancel")
def cancel(order_id: str) -> Response[str]:
    """Request an order's cancellation; its status later shows the result."""
    caller = _caller()
    body = _body() if app.current_event.body else {}
    request = {**body, "order_id": order_id, "timestamp": clock.timestamp(clock.now())}
    detail = parse_detail(OrderCancelled, request, at="").detail
    _require_reachable(order_id, caller)
    record = usecases.cancel(order_id, detail.reason, None, wiring.ports())
    return _json(HTTPStatus.ACCEPTED, order_json(record))


@app.post("/orders/<order_id>/approve")
def approve(order_id: str) -> Response[str]:
    """Approve an order of high value, which is then charged; only an operator may."""
    return _decide(order_id, Approval.APPROVED)


@app.post("/orders/<order_id>/reject")
def reject(order_id: str) -> Response[str]:
    """Reject an order of high value, which then fails uncharged; only an operator may."""
    return _decide(order_id, Approval.REJECTED)


@app.get("/approvals/<order_id>")
def ask(order_id: str) -> Response[str]:
    """Show the page of a reviewer's link; it changes nothing."""
    code = (app.current_event.query_string_parameters or {}).get("code", "")
    try:
        record = approvals.require_link(wiring.ports().store.read(order_id), code)
    except (InvalidLink, OrderNotFound):
        return _invalid_link()
    return _page(HTTPStatus.OK, approval_page.question(record, code))


@app.post("/approvals/<order_id>")
def take_form(order_id: str) -> Response[str]:
    """Take the decision in the form of a reviewer's page."""
    try:
        body = (app.current_event.decoded_body or "")[:MAX_EVENT_BYTES]
    except ValueError:  # no text, which no browser sends
        body = ""
    form = approval_page.fields_of(body)
    decision = _DECISIONS.get(form.get("decision", ""))
    if decision is None:
        text = approval_page.page("Nothing was decided", "Open the link of the mail again.")
        return _page(HTTPStatus.BAD_REQUEST, text)
    code, reason = form.get("code", ""), form.get("reason", "").strip()
    try:
        record = approvals.decide_by_link(order_id, code, decision, reason, wiring.ports())
    except (InvalidLink, OrderNotFound):
        return _invalid_link()
    except DecisionRefused as error:
        return _page(HTTPStatus.GONE, approval_page.invalid_link(str(error)))
    text = approval_page.decided(record, approved=decision is Approval.APPROVED)
    return _page(HTTPStatus.OK, text)


@app.exception_handler(OrderflowError)  # type: ignore[untyped-decorator]
def refused(error: OrderflowError) -> Response[str]:
    """Answer an error of a service with its status in `_STATUS`."""
    status = next(
        (code for kind, code in _STATUS.items() if isinstance(error, kind)),
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )
    return _problem(
        status, str(error), getattr(error, "field", None), getattr(error, "problems", ())
    )


@app.not_found
def not_found(error: NotFoundError) -> Response[str]:
    """Answer a path that does not exist."""
    method, path = app.current_event.http_method, app.current_event.path
    return _problem(HTTPStatus.NOT_FOUND, f"{method} {path} does not exist; see /orders")


class _NotJSON(InvalidInput):
    """The body is not a JSON object."""


@app.exception_handler(_NotJSON)  # type: ignore[untyped-decorator]
def not_json(error: _NotJSON) -> Response[str]:
    """Answer a body that is not a JSON object."""
    return _problem(HTTPStatus.BAD_REQUEST, str(error), error.field, error.problems)


def _key(body: dict[str, Any], sender: str) -> tuple[idempotency_key.Key | None, str]:
    """Return the idempotency key of a request, or `None`, and the field that it was sent in.

    The key is in the header or in the event's metadata; if it is in both, they must be equal.
    """
    sent = app.current_event.headers.get(_HEADER.lower())
    metadata = body.get("metadata")
    in_metadata = metadata.get("idempotency_key") if isinstance(metadata, dict) else None
    if sent is not None and in_metadata is not None and sent != in_metadata:
        raise InvalidInput(_IN_METADATA, f"differs from the header {_HEADER}; send one of them")
    field, text = (_IN_METADATA, in_metadata) if sent is None else (_HEADER, sent)
    if not isinstance(text, str):
        return None, field  # absent, or reported by the contract
    if not text or len(text) > idempotency_key.MAX_LENGTH:
        size = f"has {len(text)} characters" if text else "is empty"
        raise InvalidInput(field, f"{size}; send from 1 to {idempotency_key.MAX_LENGTH}")
    return idempotency_key.Key(sender, text, idempotency_key.fingerprint(body)), field


def _caller() -> Caller:
    context = app.current_event.raw_event.get("requestContext") or {}
    return caller_of(context, wiring.customer_claim())


def _require_reachable(order_id: str, caller: Caller) -> None:
    """Raise `OrderNotFound` if a customer has no such order; an operator's is not read here."""
    if caller.customer_id is not None:
        caller.require_own(wiring.ports().store.read(order_id))


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
    """Return the total of valid lines, or 0 for invalid lines, which the contract reports."""
    try:
        lines = [Item.model_validate(item) for item in items]  # type: ignore[attr-defined]
    except (TypeError, ValidationError):
        return 0.0
    return from_minor(sum(line.quantity * line.unit_price for line in lines))


_DECISIONS = {"approve": Approval.APPROVED, "reject": Approval.REJECTED}
"""The decisions of the form's buttons."""


def _decide(order_id: str, decision: Approval) -> Response[str]:
    caller = _caller()
    caller.require_operator()
    reason = (_body() if app.current_event.body else {}).get("reason") or ""
    if not isinstance(reason, str) or len(reason) > MAX_TEXT:
        raise InvalidInput("reason", f"send a text of at most {MAX_TEXT} characters")
    actor = caller.subject or "an operator"
    record = approvals.decide(order_id, decision, actor, reason.strip(), wiring.ports())
    return _json(HTTPStatus.OK, order_json(record))


def _invalid_link() -> Response[str]:
    """Return the page of a link that is not valid; it does not say whether the order exists."""
    return _page(HTTPStatus.GONE, approval_page.invalid_link(approvals.INVALID_LINK))


def _page(status: HTTPStatus, text: str) -> Response[str]:
    return Response(
        status_code=status,
        content_type="text/html; charset=utf-8",
        body=text,
        headers=dict(approval_page.HEADERS),
    )


def _query(*known: str) -> dict[str, str]:
    """Return the query's parameters that are not empty.

    Raises
    ------
    InvalidInput
        A parameter is not one of ``known``.
    """
    parameters = app.current_event.query_string_parameters or {}
    for name in parameters:
        if name not in known:
            raise InvalidInput(name[:80], f"is not a known parameter; known are {', '.join(known)}")
    return {name: value for name, value in parameters.items() if value}


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


def _problem(
    status: HTTPStatus, detail: str, field: str | None = None, problems: Sequence[Problem] = ()
) -> Response[str]:
    document: dict[str, object] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status,
        "detail": detail,
    }
    if field is not None:
        document["field"] = field
    if problems:
        document["errors"] = [
            {"field": each.field, "detail": each.problem} for each in problems[:MAX_PROBLEMS]
        ]
    return Response(
        status_code=status, content_type="application/problem+json", body=json.dumps(document)
    )
