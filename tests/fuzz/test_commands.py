"""Commands read a directory that has events of any JSON."""

import json
import sqlite3
from pathlib import Path

from hypothesis import strategies as st
from typer.testing import CliRunner

from infra.cli.main import app
from tests.fuzz.conftest import Fuzz
from tests.fuzz.platforms import RESTART_EVERY, Shipped
from tests.fuzz.texts import REPORTED, objects
from tests.host import order
from tests.strategies import damaged

ORDER = order("A-1")["detail"]


def output_of(*arguments: object) -> str:
    """Return the output of a command, which must succeed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
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


def test_commands_read_events_of_any_json(fuzz: Fuzz, shipped: Shipped, tmp_path: Path) -> None:
    """`show`, `list`, `dead-letters list`, `export` and `import`, while the platform is stopped."""
    count = 0

    def read(directory: Path) -> None:
        file, other = tmp_path / "all.ndjson", tmp_path / f"other-{count}"
        shown = json.loads(output_of("show", "A-1", "--data", directory, "--json").splitlines()[-1])
        assert shown["order_id"] == "A-1"
        assert shown["events"]
        listed = json.loads(output_of("list", "--data", directory, "--json").splitlines()[-1])
        assert listed["orders"]
        assert "letter" in output_of("dead-letters", "list", "--data", directory, "--json")
        output_of("export", file, "--data", directory)
        output_of("import", file, "--data", other)
        assert events(other) == events(directory)

    def put(case: tuple[str, str]) -> None:
        nonlocal count
        kind, text = case
        fields = {"EventBusName": "orders-bus", "Source": "orders.service", "DetailType": kind}
        texts = [text, text.replace("{", '{"order_id":"A-1",', 1).replace(",}", "}")]
        shipped.put([{**fields, "Detail": detail} for detail in texts])
        shipped.rest()
        count += 1
        if count % RESTART_EVERY == 0:
            shipped.stopped(read)

    kinds = st.sampled_from(
        ["Order Created", "Order Updated", "Order Cancelled", "Order Teleported"]
    )
    details = objects | damaged(st.just(ORDER)).map(json.dumps)
    fixed = [("Order Created", text) for text in REPORTED]
    fuzz(shipped, st.tuples(kinds, details), put, fixed)
