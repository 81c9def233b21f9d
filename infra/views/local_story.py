"""One order's whole story, read from the data directory."""

import json
from typing import Any

from infra.dead_letters.reason import content_of, is_letter, reason_of
from infra.errors import NotFound
from infra.local.directory.data_directory import DataDirectory
from kernel.clock import timestamp
from kernel.money import from_minor
from storage.sqlite.database import Database

Story = dict[str, Any]


def story(where: DataDirectory, order_id: str) -> Story:
    """Return all that is known of an order.

    Raises
    ------
    NotFound
        There is no such order; the message says what is similar.
    """
    database = where.reader()
    row = database.row("select * from orders where order_id = ?", order_id)
    events = _events(database, order_id)
    if row is None and not events:
        raise NotFound(f"no order has the id {order_id!r}{_similar(database, order_id)}")
    messages = _messages(database, order_id)
    told: Story = {"order_id": order_id, "status": "UNKNOWN", "total": None}
    if row is not None:
        told |= _order(row)
    told |= {
        "events": events,
        "timeline": _timeline(database, order_id),
        "payments": _payments(database, where, order_id),
        "stock": _stock(database, told.get("items", [])),
        "shipment": _shipment(database, order_id),
        "runs": _runs(database, order_id),
        "review": _review(database, order_id),
        "mail": _mail(database, order_id),
        "requests": _requests(database, order_id),
        "dead_letters": _dead_letters(messages),
        "retries": _retries(messages),
    }
    return told


def _order(row: Any) -> Story:
    items = [
        {"sku": sku, "quantity": quantity, "unit_price": from_minor(price)}
        for sku, quantity, price in json.loads(row["items"])
    ]
    address = row["shipping_address"]
    return {
        "status": row["status"],
        "total": from_minor(row["total"]),
        "currency": row["currency"],
        "customer_id": row["customer_id"],
        "items": items,
        "placed_at": row["placed_at"],
        "email": row["email"],
        "shipping_address": json.loads(address) if address else None,
        "attempts": row["attempts"],
        "epoch": row["epoch"],
        "reservation": row["reservation"],
        "cancel_requested": bool(row["cancel_requested"]),
        "failure": row["failure"] and {"reason": row["failure"], "message": row["failure_message"]},
        "correlation_id": row["correlation_id"],
    }


def _events(database: Database, order_id: str) -> list[Story]:
    rows = database.rows(
        "select id, detail_type, arrived_at, envelope from events where order_id = ? order by seq",
        order_id,
    )
    return [
        {
            "id": row["id"],
            "type": row["detail_type"],
            "arrived_at": timestamp(row["arrived_at"]),
            "event_id": _metadata(row["envelope"]).get("event_id"),
        }
        for row in rows
    ]


def _metadata(envelope: str) -> dict[str, Any]:
    found = json.loads(envelope)["detail"].get("metadata")
    return found if isinstance(found, dict) else {}


def _timeline(database: Database, order_id: str) -> list[Story]:
    rows = database.rows("select * from timeline where order_id = ? order by seq", order_id)
    return [
        {
            "at": timestamp(row["at"]),
            "what": row["what"],
            "epoch": row["epoch"],
            "detail": _readable(json.loads(row["detail"])),
        }
        for row in rows
    ]


def _readable(detail: dict[str, Any]) -> dict[str, Any]:
    """Return an entry's detail with its amounts as the outside has them."""
    amounts = ("amount", "threshold")
    return {key: from_minor(one) if key in amounts else one for key, one in detail.items()}


def _payments(database: Database, where: DataDirectory, order_id: str) -> list[Story]:
    rows = database.rows("select * from charges where order_id = ?", order_id)
    asked = rows and where.sandbox.exists()
    gateway = Database(str(where.sandbox), read_only=True) if asked else None
    payments = []
    for row in rows:
        known = gateway and gateway.row(
            "select status from gateway_charges where key = ? order by id desc", row["charge_id"]
        )
        payments.append(
            {
                "charge_id": row["charge_id"],
                "status": row["status"],
                "amount": from_minor(row["amount"]),
                "currency": row["currency"],
                "reference": row["reference"],
                "opened_at": timestamp(row["opened_at"]),
                "updated_at": timestamp(row["updated_at"]),
                "gateway": known and known["status"],
            }
        )
    return payments


def _stock(database: Database, items: list[Story]) -> list[Story]:
    skus = sorted({item["sku"] for item in items})
    marks = ", ".join("?" * len(skus))
    rows = database.rows(f"select * from stock where sku in ({marks}) order by sku", *skus)
    return [dict(row) for row in rows]


def _shipment(database: Database, order_id: str) -> Story | None:
    row = database.row("select * from shipments where order_id = ?", order_id)
    if row is None:
        return None
    return {
        "shipment_id": row["shipment_id"],
        "status": row["status"],
        "tracking_number": row["tracking_number"] if row["status"] == "CREATED" else None,
        "updated_at": timestamp(row["updated_at"]),
    }


def _runs(database: Database, order_id: str) -> list[Story]:
    rows = database.rows(
        "select * from executions where order_id = ? order by id",
        order_id,
    )
    return [
        {
            "machine": row["machine"],
            "name": row["name"],
            "status": row["status"],
            "started_at": timestamp(row["started_at"]),
            "seconds": row["ended_at"] and round(row["ended_at"] - row["started_at"], 3),
            "error": row["error"],
        }
        for row in rows
    ]


def _review(database: Database, order_id: str) -> Story | None:
    row = database.row("select * from reviews where order_id = ?", order_id)
    if row is None:
        return None
    return {"status": row["status"], "flagged_at": timestamp(row["flagged_at"])}


def _mail(database: Database, order_id: str) -> str | None:
    query = "select at from timeline where order_id = ? and what = 'CONFIRMATION_SENT'"
    row = database.row(query, order_id)
    return f"sent {timestamp(row['at'])}" if row else None


def mail_of(where: DataDirectory, order_id: str) -> bytes:
    """Return the mail that confirmed an order, as an ``.eml`` file has it.

    Raises
    ------
    NotFound
        None was sent.
    """
    from notifications.mail import sandbox_mail
    from notifications.mime import to_bytes

    where.require_database()
    sent = None
    if where.sandbox.exists():
        sent = sandbox_mail(Database(str(where.sandbox), read_only=True), order_id)
    if sent is None:
        raise NotFound(f"no mail was sent for order {order_id!r}")
    return to_bytes(sent)


def _requests(database: Database, order_id: str) -> list[Story]:
    """Return the requests that are kept for an order that has not come."""
    rows = database.rows(
        "select name, came_at from early_requests where order_id = ? order by came_at", order_id
    )
    return [{"type": row["name"], "since": timestamp(row["came_at"])} for row in rows]


def _messages(database: Database, order_id: str) -> list[Any]:
    """Return the rows of the messages that are about an order, wherever they are."""
    return database.rows(
        "select * from messages where iif(json_valid(body), coalesce("
        "json_extract(body, '$.order_id'), json_extract(body, '$.detail.order_id'),"
        " json_extract(body, '$.event.detail.order_id'),"
        " json_extract(body, '$.event.order_id')), null) = ? order by id",
        order_id,
    )


def _dead_letters(messages: list[Any]) -> list[Story]:
    """Return those messages that wait for an operator."""
    return [
        {
            "id": row["id"],
            "queue": row["queue"],
            "reason": reason_of(content_of(row["body"]), _attributes(row)),
        }
        for row in messages
        if is_letter(row["queue"], _attributes(row))
    ]


def _retries(messages: list[Any]) -> list[Story]:
    """Return those messages that have failed and are tried again."""
    return [
        {
            "id": row["id"],
            "queue": row["queue"],
            "attempts": row["receives"],
            "next": timestamp(row["visible_at"]),
            "reason": _attributes(row)["ERROR"],
        }
        for row in messages
        if "ERROR" in _attributes(row) and not is_letter(row["queue"], _attributes(row))
    ]


def _attributes(row: Any) -> dict[str, str]:
    attributes: dict[str, str] = json.loads(row["attributes"])
    return attributes


def _similar(database: Database, order_id: str) -> str:
    row = database.row(
        "select order_id from orders where order_id like ? order by order_id limit 1",
        f"%{order_id[-4:]}%",
    )
    return f"; did you mean {row['order_id']}?" if row else "; see `orders list`"
