"""The HTTP API in one document: OpenAPI 3.1, with the schemas of the events that it creates.

A schema cannot express every rule: that a total is the sum of its lines, or that a currency exists.
A request that breaks such a rule is answered with 422, as documented.
"""

from typing import Any

from infra.contracts.asyncapi import in_components
from infra.contracts.event_answers import event_schemas
from infra.contracts.json_schema import detail_definitions
from infra.contracts.sample_orders import examples
from kernel.errors import MAX_PROBLEMS
from kernel.events import Detail, OrderCancelled, OrderCreated, OrderUpdated
from kernel.order_record import MAX_TEXT
from kernel.order_status import Status
from orders.event_history import MAX_EVENTS
from orders.idempotency_key import MAX_LENGTH

JSON = dict[str, Any]

PAGE, MAX_PAGE = 20, 100
"""Orders on a page: the default and the maximum."""

PROBLEM = "application/problem+json"

_SUPPLIED = ("order_id", "timestamp", "total")
"""Fields that the API supplies if they are absent."""

_IN_THE_PATH = ("order_id", "timestamp")
"""Fields that a request about an order omits: its path has the id, and its time is now."""

_MEANINGS = {
    400: "The body is no JSON object.",
    401: "The token is missing or unknown.",
    403: "The token lacks the scope, has neither a customer nor the operator's scope, or is of"
    " another customer; or a page of another site requests a change.",
    404: "No order or event has this id, or it is another customer's.",
    409: "The order's state forbids it, or its id or key exists with other content or payment.",
    413: "The body is too large.",
    421: "The Host is not this server's name.",
    422: "The request is invalid; `errors` has each problem with its field and remedy.",
    429: "Too many concurrent requests; retry later.",
}

_ANYWHERE = (401, 403, 421)
"""Statuses of errors that any operation may return."""


def openapi() -> JSON:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Orderflow",
            "version": OrderCreated.version,
            "description": "Place, read, list, change and cancel orders. A caller reaches the"
            " orders of the customer in its token's claim (on AWS the parameter CustomerClaim,"
            " by default customer_id); with the scope orders/operate those of every customer."
            " Errors are problem documents (RFC 9457).",
        },
        "servers": [
            {
                "url": "http://127.0.0.1:8080",
                "description": "`orders serve`; with a token if it has --token-file.",
            },
            {
                "url": "https://{api}.execute-api.{region}.amazonaws.com",
                "description": "AWS: the stack's output ApiUrl.",
                "variables": {
                    "api": {"default": "api", "description": "The API's id."},
                    "region": {"default": "us-east-1", "description": "AWS region."},
                },
            },
        ],
        "paths": {
            "/health": {"get": _health()},
            "/orders": {"post": _place(), "get": _list()},
            "/orders/{order_id}": {
                "parameters": [_ORDER_ID],
                "get": _operation("getOrder", "Read an order.", _SHOWN, 404, 429),
                "patch": _change(),
            },
            "/orders/{order_id}/events": {"parameters": [_ORDER_ID], "get": _events()},
            "/events/{event_id}": {"parameters": [_EVENT_ID], "get": _event()},
            "/orders/{order_id}/cancel": {"parameters": [_ORDER_ID], "post": _cancel()},
            "/orders/{order_id}/approve": {"parameters": [_ORDER_ID], "post": _decide("approve")},
            "/orders/{order_id}/reject": {"parameters": [_ORDER_ID], "post": _decide("reject")},
        },
        "components": {"schemas": _schemas(), "securitySchemes": {"jwt": _JWT}},
    }


def _ref(name: str) -> JSON:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(name: str, kind: str = "application/json") -> JSON:
    return {"content": {kind: {"schema": _ref(name)}}}


_ORDER_ID = {
    "name": "order_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
    "example": "A-1001",
}
_EVENT_ID = {
    **_ORDER_ID,
    "name": "event_id",
    "description": "The EventId of PutEvents' answer.",
    "example": "019bd1f1-8c3e-7a52-9c0d-5d3f1b6c2a10",
}
_SHOWN = {"200": {"description": "The present state of the order.", **_content("Order")}}
_JWT = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "With the scope that an operation names, and a customer's claim or the scope"
    " orders/operate: a JWT on AWS, on one machine a token of --token-file. Without --token-file"
    " the local user is an operator.",
}


READ, WRITE, OPERATE = "orders/read", "orders/write", "orders/operate"


def _operation(
    name: str, summary: str, answers: JSON, *refusals: int, scope: str = READ, **more: Any
) -> JSON:
    """Return an operation with its scope; only on one machine is it open without a token."""
    refusal_answers = {
        str(status): {"description": _MEANINGS[status], **_content("Problem", PROBLEM)}
        for status in sorted({*refusals, *_ANYWHERE})
    }
    operation = {"operationId": name, "summary": summary, **more}
    return {
        **operation,
        "security": [{}, {"jwt": [scope]}],
        "responses": {**answers, **refusal_answers},
    }


def _health() -> JSON:
    schema = {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}}
    content = {"application/json": {"schema": schema}}
    answer = {"200": {"description": "The API is available.", "content": content}}
    return {**_operation("health", "Check that the API is available.", answer, 429), "security": []}


def _place() -> JSON:
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A sender's own key of this request: a repetition with the same body is the"
        " same order, with another body a conflict (409). A key is stored as long as its order."
        " The default is `metadata.idempotency_key`.",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH},
    }
    location = {"Location": {"description": "The order's path.", "schema": {"type": "string"}}}
    return _operation(
        "placeOrder",
        "Place an order.",
        {
            "200": {"description": "The order existed; its present state.", **_content("Order")},
            "201": {
                "description": "The order is placed.",
                "headers": location,
                **_content("Order"),
            },
        },
        *(400, 409, 413, 422, 429),
        scope=WRITE,
        description="The API supplies an id, a time and a total if they are absent or null; only"
        " an operator chooses the id. A repetition of the same order returns its present state,"
        " even if it failed; with another payment_token it is refused.",
        parameters=[key],
        requestBody=_body("NewOrder", OrderCreated),
    )


def _list() -> JSON:
    text = {"type": "string"}
    number = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": PAGE}
    customer = {"name": "customer_id", "in": "query", "required": True, "example": "C-42"}
    return _operation(
        "listOrders",
        "List a customer's orders, the newest first.",
        {"200": {"description": "A page of orders.", **_content("Page")}},
        *(422, 429),
        description="Unknown parameters are refused; empty ones are ignored. Only an operator may"
        " name another customer than its token's.",
        parameters=[
            {**customer, "schema": {**text, "minLength": 1}},
            {"name": "limit", "in": "query", "schema": number},
            {
                "name": "after",
                "in": "query",
                "description": "`next` of the previous page of the same customer.",
                "schema": text,
            },
        ],
    )


def _events() -> JSON:
    return _operation(
        "listOrderEvents",
        "List the events of an order, the oldest first, with the outcome of each.",
        {"200": {"description": "The events.", **_content("Events")}},
        *(404, 429),
        description=f"At most {MAX_EVENTS}. AWS has no API that reads an event of the bus, so a"
        " deployed stack answers from the order's timeline: without EventIds, and only for an order"
        " that was opened.",
    )


def _event() -> JSON:
    return _operation(
        "getEvent",
        "Read the outcome of an event.",
        {"200": {"description": "The event.", **_content("Event")}},
        *(404, 429),
        description="On one machine, as long as the journal has the event. A deployed stack has the"
        " refused events of the last 14 days; of any other it answers 404: `GET"
        " /orders/{order_id}/events` has the outcome of an event that was taken. A customer's token"
        " reads no refused `Order Created` there.",
    )


def _change() -> JSON:
    return _operation(
        "changeOrder",
        "Change the address or the e-mail address of an order that is not shipped yet.",
        _SHOWN,
        *(400, 404, 409, 413, 422, 429),
        scope=WRITE,
        description="After the shipment only the e-mail address can be corrected, as long as no"
        " confirmation could be sent to it.",
        requestBody=_body("OrderChange", OrderUpdated),
    )


def _cancel() -> JSON:
    accepted = {"description": "The cancellation is requested; the status shows its outcome."}
    return _operation(
        "cancelOrder",
        "Request the cancellation of an order.",
        {"202": {**accepted, **_content("Order")}},
        *(400, 404, 409, 413, 422, 429),
        scope=WRITE,
        requestBody={**_body("Cancellation", OrderCancelled), "required": False},
    )


def _decide(verb: str) -> JSON:
    about = (
        "An order of high value waits for a decision before it is charged, if the parameter"
        " HighValueApproval is on. A decision is final; a repetition of it changes nothing."
    )
    properties = {"reason": {"type": "string", "maxLength": MAX_TEXT}}
    media = {"schema": {"type": "object", "properties": properties}}
    outcome = {"approve": "it is charged", "reject": "it fails uncharged"}[verb]
    return _operation(
        f"{verb}Order",
        f"{verb.capitalize()} an order that is AWAITING_APPROVAL: {outcome}.",
        _SHOWN,
        *(400, 404, 409, 413, 422, 429),
        scope=OPERATE,
        description=about,
        requestBody={"required": False, "content": {"application/json": media}},
    )


def _body(name: str, contract: type[Detail]) -> JSON:
    """Return a request's body, with the fields of the event's first example."""
    shown = examples()[contract.name][0].envelope["detail"]
    left_out = {"metadata", *_SUPPLIED} if contract is OrderCreated else {"metadata", *_IN_THE_PATH}
    example = {key: value for key, value in shown.items() if key not in left_out}
    media = {"schema": _ref(name), "example": example}
    return {"required": True, "content": {"application/json": media}}


def _schemas() -> JSON:
    created = detail_definitions(OrderCreated)
    updated = detail_definitions(OrderUpdated)
    cancelled = detail_definitions(OrderCancelled)
    schemas = {
        **{name: created[name] for name in ("Address", "Item", "Metadata")},
        "NewOrder": _with_optional(created["OrderCreated"], _SUPPLIED),
        "OrderChange": _without(updated["OrderUpdated"], _IN_THE_PATH),
        "Cancellation": _without(cancelled["OrderCancelled"], _IN_THE_PATH),
        "Order": _order(created["OrderCreated"]["properties"]),
        "Page": {
            "type": "object",
            "required": ["orders", "next"],
            "properties": {
                "orders": {"type": "array", "items": _ref("Order"), "maxItems": MAX_PAGE},
                "next": {
                    "type": ["string", "null"],
                    "description": "Value of `after` for the next page; null if there is none.",
                },
            },
        },
        "Problem": _PROBLEM_DOCUMENT,
        **event_schemas(_ref),
    }
    resolved: JSON = in_components(schemas)
    return resolved


def _with_optional(schema: JSON, names: tuple[str, ...]) -> JSON:
    """Return a schema in which these fields may be absent or null."""
    required = [name for name in schema["required"] if name not in names]
    properties = {
        name: {"anyOf": [field, {"type": "null"}]} if name in names else field
        for name, field in schema["properties"].items()
    }
    about = {"description": "An order to be placed.", "required": required}
    return {**schema, **about, "properties": properties}


def _without(schema: JSON, names: tuple[str, ...]) -> JSON:
    """Return a schema without these fields."""
    remaining = {name: field for name, field in schema["properties"].items() if name not in names}
    return {"type": "object", "description": schema["description"], "properties": remaining}


def _order(fields: JSON) -> JSON:
    """Return the schema of an order in a response (`orders.order_json.order_json`)."""
    text = {"type": "string"}
    named = {"type": "object", "required": ["reason", "message"]}
    failure = {**named, "properties": {"reason": text, "message": text}}
    shown = {
        **{name: fields[name] for name in ("order_id", "customer_id", "currency", "total")},
        "status": {"enum": [str(status) for status in Status]},
        "items": fields["items"],
        "shipping_address": fields["shipping_address"],
        "email": fields["email"],
        "cancel_requested": {"type": "boolean"},
        "tracking_number": {"type": ["string", "null"]},
        "placed_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
    }
    return {
        "type": "object",
        "description": "The present state of an order.",
        "required": list(shown),
        "properties": {
            **shown,
            "failure": {**failure, "description": "Reason of a failure; otherwise absent."},
        },
    }


_PROBLEM_DOCUMENT = {
    "type": "object",
    "description": "A problem and its remedy (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string"},
        "status": {"enum": sorted(_MEANINGS)},
        "detail": {"type": "string"},
        "field": {"type": "string", "description": "The first invalid field; otherwise absent."},
        "errors": {
            "type": "array",
            "description": "Every problem of an invalid request; otherwise absent.",
            "minItems": 1,
            "maxItems": MAX_PROBLEMS,
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {
                    "field": {"type": "string", "description": "The invalid field."},
                    "detail": {"type": "string", "description": "The problem and the remedy."},
                },
            },
        },
    },
}
