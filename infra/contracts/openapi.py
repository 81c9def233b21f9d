"""The HTTP API in one document: OpenAPI 3.1, its schemas those of the events that it makes.

A schema cannot say everything: that a total is the sum of its lines, or that a currency exists. A
request that breaks such a rule is answered with 422, as the document says.
"""

from typing import Any

from infra.contracts.asyncapi import in_components
from infra.contracts.json_schema import detail_definitions
from infra.contracts.stories import examples
from kernel.events import Detail, OrderCancelled, OrderCreated, OrderUpdated
from kernel.order_status import Status
from orders.idempotency_key import MAX_LENGTH

JSON = dict[str, Any]

PAGE, MAX_PAGE = 20, 100
"""Orders on a page unless asked otherwise, and at most."""

PROBLEM = "application/problem+json"

_SUPPLIED = ("order_id", "timestamp", "total")
"""What the API fills in where it is left out."""

_IN_THE_PATH = ("order_id", "timestamp")
"""What a request about an order does not say: its path has the id, and its time is now."""

_MEANINGS = {
    400: "The body is no JSON object.",
    401: "A token is needed, or the one that was sent is not known.",
    403: "The token has not the scope, or a page of another site asks for a change.",
    404: "No order has this id.",
    409: "The order is too far for that, or its id or key is known with other content or payment.",
    413: "The body is larger than any that is taken.",
    421: "The Host is not this server's name.",
    422: "Something sent is wrong; `field` and `detail` say what, and what would be right.",
    429: "Too many requests at once; come again.",
}

_ANYWHERE = (401, 403, 421)
"""Statuses of refusals that any operation may answer."""


def openapi() -> JSON:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Orderflow",
            "version": OrderCreated.version,
            "description": "Place, read, list, change and cancel orders. What is refused is"
            " answered with a problem document (RFC 9457).",
        },
        "servers": [
            {
                "url": "http://127.0.0.1:8080",
                "description": "`orders serve`; with a token where it has --token-file.",
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
            "/orders/{order_id}/cancel": {"parameters": [_ORDER_ID], "post": _cancel()},
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
_SHOWN = {"200": {"description": "The order as it stands.", **_content("Order")}}
_JWT = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "With the scope orders/read or orders/write: a JWT on AWS, on one machine a"
    " token of --token-file.",
}


def _operation(name: str, summary: str, answers: JSON, *refusals: int, **more: Any) -> JSON:
    """Return an operation; without a token it is open on one machine alone."""
    refused = {
        str(status): {"description": _MEANINGS[status], **_content("Problem", PROBLEM)}
        for status in sorted({*refusals, *_ANYWHERE})
    }
    told = {"operationId": name, "summary": summary, **more}
    return {**told, "security": [{}, {"jwt": []}], "responses": {**answers, **refused}}


def _health() -> JSON:
    schema = {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}}
    content = {"application/json": {"schema": schema}}
    answer = {"200": {"description": "It does.", "content": content}}
    return {**_operation("health", "Say that the API answers.", answer, 429), "security": []}


def _place() -> JSON:
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A sender's own key of this request: sent again with the same body it is"
        " the same order, with another body a conflict (409). A key is kept as long as its order."
        " In its absence `metadata.idempotency_key` counts.",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH},
    }
    location = {"Location": {"description": "The order's path.", "schema": {"type": "string"}}}
    return _operation(
        "placeOrder",
        "Place an order.",
        {
            "200": {"description": "It was placed before; this is its state.", **_content("Order")},
            "201": {"description": "It is placed.", "headers": location, **_content("Order")},
        },
        *(400, 409, 413, 422, 429),
        description="An id, a time and a total are made where they are left out or null. The same"
        " order again is answered as it is now, also if it failed; with another payment_token it is"
        " refused.",
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
        {"200": {"description": "A page of them.", **_content("Page")}},
        *(422, 429),
        description="A parameter of another name is refused; one that is empty is absent.",
        parameters=[
            {**customer, "schema": {**text, "minLength": 1}},
            {"name": "limit", "in": "query", "schema": number},
            {
                "name": "after",
                "in": "query",
                "description": "The `next` of the page before, of the same customer.",
                "schema": text,
            },
        ],
    )


def _change() -> JSON:
    return _operation(
        "changeOrder",
        "Change the address or the e-mail address of an order that is not shipped yet.",
        _SHOWN,
        *(400, 404, 409, 413, 422, 429),
        description="After the shipment the e-mail address alone can be corrected, as long as no"
        " confirmation could be sent to it.",
        requestBody=_body("OrderChange", OrderUpdated),
    )


def _cancel() -> JSON:
    accepted = {"description": "It is asked for; the status tells how it ended."}
    return _operation(
        "cancelOrder",
        "Ask for the cancellation of an order.",
        {"202": {**accepted, **_content("Order")}},
        *(400, 404, 409, 413, 422, 429),
        requestBody={**_body("Cancellation", OrderCancelled), "required": False},
    )


def _body(name: str, contract: type[Detail]) -> JSON:
    """Return a request's body, with what the event's first example says of it."""
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
        "NewOrder": _without_need(created["OrderCreated"], _SUPPLIED),
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
                    "description": "Where the next page begins (`after`); null if there is none.",
                },
            },
        },
        "Problem": _PROBLEM_DOCUMENT,
    }
    found: JSON = in_components(schemas)
    return found


def _without_need(schema: JSON, names: tuple[str, ...]) -> JSON:
    """Return a schema in which these fields may be left out or null."""
    required = [one for one in schema["required"] if one not in names]
    properties = {
        name: {"anyOf": [told, {"type": "null"}]} if name in names else told
        for name, told in schema["properties"].items()
    }
    about = {"description": "An order to be placed.", "required": required}
    return {**schema, **about, "properties": properties}


def _without(schema: JSON, names: tuple[str, ...]) -> JSON:
    """Return a schema without these fields."""
    left = {name: one for name, one in schema["properties"].items() if name not in names}
    return {"type": "object", "description": schema["description"], "properties": left}


def _order(fields: JSON) -> JSON:
    """Return the schema of an order as it is shown (`orders.order_json.order_json`)."""
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
        "description": "An order as it stands.",
        "required": list(shown),
        "properties": {
            **shown,
            "failure": {**failure, "description": "Why it ended without a sale; else absent."},
        },
    }


_PROBLEM_DOCUMENT = {
    "type": "object",
    "description": "What is wrong, and what would be right (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string"},
        "status": {"enum": sorted(_MEANINGS)},
        "detail": {"type": "string"},
        "field": {"type": "string", "description": "Which field is wrong; else absent."},
    },
}
