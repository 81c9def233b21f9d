"""An order that waits for units completes within two seconds after the server receives them."""

import time
from pathlib import Path

from tests.fakes import serving
from tests.fakes.serving import Served
from tests.host import order

SOON = 2.0
"""Seconds from the end of `orders stock receive` to the end of the waiting order."""


def test_a_waiting_order_completes_within_two_seconds_of_its_units(tmp_path: Path) -> None:
    empty, units = tmp_path / "empty.csv", tmp_path / "units.csv"
    empty.write_text("sku,on_hand\nTEA,0\n")
    units.write_text("sku,on_hand\nTEA,1\n")
    statuses = "select status from orders where order_id = 'T-1'"
    with Served(tmp_path / "data", "--stock", str(empty)) as server:
        status, _ = server.ask("POST", "/orders", order()["detail"])
        assert status == 201
        server.until(statuses, "WAITING")
        [(resume_at,)] = server.rows("select resume_at from orders where order_id = 'T-1'")
        assert resume_at > time.time() + 60
        serving.answer("stock", "receive", units, "--data", server.data)
        server.until(statuses, "COMPLETED", SOON)
        assert server.rows("select count(*) from waiting_orders") == [(0,)]
