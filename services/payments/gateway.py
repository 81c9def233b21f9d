"""The sandbox gateway: it has a record of its own, and the payment token selects its behaviour.

==========================  =====================================================================
token                       effect
==========================  =====================================================================
none, or any other          approves
``tok_decline``             declines
``tok_timeout``             times out once without charging, then approves
``tok_lose_answer``         charges, but its first answer is lost
``tok_unavailable_N``       is unavailable for N calls of ``charge``, then approves
``tok_unavailable``         never charges; look-ups and voids work
``tok_refund_fails_N``      charges; its first N refunds fail (without ``_N``: every refund)
==========================  =====================================================================

Like a real gateway it forgets an idempotency key after a day, but never its own record.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from kernel.errors import PaymentGatewayError
from kernel.order_status import ChargeStatus
from payments.model import Charge, GatewayRecord

if TYPE_CHECKING:
    import sqlite3

    from storage.sqlite.database import Database

KEY_LIFETIME = 86_400.0
"""Seconds after which a charge under a known key is a new charge."""


DECLINES, TIMES_OUT, LOSES_ANSWER = "tok_decline", "tok_timeout", "tok_lose_answer"
_COUNTED = re.compile(r"tok_(unavailable|refund_fails)(?:_(\d+))?")


class SandboxGateway:
    """A gateway (see `payments.usecases.Gateway`) in a database of its own."""

    def __init__(self, database: "Database", now: Callable[[], float]) -> None:
        from storage.sqlite.schema import SANDBOX_GATEWAY  # Lambda imports this module too

        self.database = database
        database.commits_first = True
        self.now = now
        database.define(SANDBOX_GATEWAY)

    def charge(self, charge: Charge) -> GatewayRecord:
        """Charge once under a key, as long as the key is remembered."""
        with self.database.write() as connection:
            row = self._row(charge.key)
            if row is not None and self._is_remembered(row):
                return _record(row)
            is_answer_lost = charge.token == LOSES_ANSWER
            if not self._fails(connection, charge.key, "charge", failures(charge.token, "charge")):
                status = "DECLINED" if charge.token == DECLINES else "CHARGED"
                made = connection.execute(
                    "insert into gateway_charges"
                    " (key, order_id, amount, currency, token, status, charged_at)"
                    " values (?, ?, ?, ?, ?, ?, ?) returning *",
                    (
                        charge.key,
                        charge.order_id,
                        charge.amount,
                        charge.currency,
                        charge.token,
                        status,
                        self.now(),
                    ),
                ).fetchone()
            else:
                made = None
        if made is None or is_answer_lost:
            raise PaymentGatewayError(f"the gateway did not answer for order {charge.order_id}")
        return _record(made)

    def find(self, key: str) -> GatewayRecord | None:
        """Return the gateway's own record of a key, of any age."""
        row = self._row(key)
        return None if row is None else _record(row)

    def refund(self, key: str) -> GatewayRecord:
        """Refund a charge, once."""
        with self.database.write() as connection:
            row = self._row(key)
            failed = row is not None and self._fails(
                connection, key, "refund", failures(row["token"], "refund")
            )
            if not failed:
                connection.execute(
                    "update gateway_charges set status = 'REFUNDED'"
                    " where key = ? and status = 'CHARGED'",
                    (key,),
                )
                row = self._row(key)
        if row is None:
            raise PaymentGatewayError(f"the gateway has no charge {key} to refund")
        if failed:
            raise PaymentGatewayError(f"the gateway did not refund {key}")
        return _record(row)

    def void(self, key: str) -> GatewayRecord:
        """Write a VOIDED mark that refuses any later charge; return an existing charge instead."""
        with self.database.write() as connection:
            row = self._row(key)
            if row is None:
                connection.execute(
                    "insert into gateway_charges"
                    " (key, order_id, amount, currency, status, charged_at)"
                    " values (?, '', 0, '', 'VOIDED', ?)",
                    (key, self.now()),
                )
                row = self._row(key)
        assert row is not None
        return _record(row)

    def _row(self, key: str) -> "sqlite3.Row | None":
        return self.database.row(
            "select * from gateway_charges where key = ? order by id desc limit 1", key
        )

    def _is_remembered(self, row: "sqlite3.Row") -> bool:
        voided: bool = row["status"] == "VOIDED"
        return voided or row["charged_at"] + KEY_LIFETIME > self.now()

    def _fails(self, connection: "sqlite3.Connection", key: str, call: str, times: float) -> bool:
        """Count a call that may fail, and return whether it fails."""
        if not times:
            return False
        row = connection.execute(
            "insert into gateway_failures values (?, ?, 1)"
            " on conflict do update set failures = failures + 1 returning failures",
            (key, call),
        ).fetchone()
        return bool(row[0] <= times)


def failures(token: str | None, call: str) -> float:
    """Return how many of these calls fail before the first success."""
    if token == TIMES_OUT:
        return 1 if call == "charge" else 0
    counted = _COUNTED.fullmatch(token or "")
    if counted is None or (counted[1] == "unavailable") is not (call == "charge"):
        return 0
    return float(counted[2] or "inf")


def _record(row: "sqlite3.Row") -> GatewayRecord:
    return GatewayRecord(row["key"], ChargeStatus(row["status"]), f"ch_{row['id']}")
