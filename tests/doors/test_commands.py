"""What commands tell of a directory to which events of any JSON came."""

import json
import sqlite3
from pathlib import Path

from hypothesis import strategies as st
from typer.testing import CliRunner

from infra.cli.main import app
from tests.doors.conftest import Through
from tests.doors.platforms import RESTART_EVERY, Shipped
from tests.doors.texts import REPORTED, objects
from tests.host import order
from tests.strategies import damaged

ORDER = order("A-1")["detail"]


def told(*arguments: object) -> str:
    """Return what a command prints that succeeds."""
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def events(directory: Path) -> list[tuple[str, str]]:
    """Return the events of a data directory: their types and ids, in order."""
    query = "select detail_type, id from events order by seq"
    connection = sqlite3.connect(f"file:{directory}/orderflow.db?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_commands_read_whatever_came(through: Through, shipped: Shipped, tmp_path: Path) -> None:
    """`show`, `list`, `dead-letters list`, `export` and `import`, while the platform is stopped."""
    count = 0

    def read(where: Path) -> None:
        file, other = tmp_path / "all.ndjson", tmp_path / f"other-{count}"
        shown = json.loads(told("show", "A-1", "--data", where, "--json").splitlines()[-1])
        assert shown["order_id"] == "A-1"
        assert shown["events"]
        listed = json.loads(told("list", "--data", where, "--json").splitlines()[-1])
        assert listed["orders"]
        assert "letter" in told("dead-letters", "list", "--data", where, "--json")
        told("export", file, "--data", where)
        told("import", file, "--data", other)
        assert events(other) == events(where)

    def put(given: tuple[str, str]) -> None:
        nonlocal count
        kind, text = given
        fields = {"EventBusName": "orders-bus", "Source": "orders.service", "DetailType": kind}
        texts = [text, text.replace("{", '{"order_id":"A-1",', 1).replace(",}", "}")]
        shipped.put([{**fields, "Detail": one} for one in texts])
        shipped.rest()
        count += 1
        if count % RESTART_EVERY == 0:
            shipped.stopped(read)

    kinds = st.sampled_from(
        ["Order Created", "Order Updated", "Order Cancelled", "Order Teleported"]
    )
    details = objects | damaged(st.just(ORDER)).map(json.dumps)
    always = [("Order Created", text) for text in REPORTED]
    through(shipped, st.tuples(kinds, details), put, always)
