"""Moving to and from a deployed stack: its queues, and a table that is read while it rests."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.deployed.stack import DeployedStack
from infra.errors import Refusal
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import stack_of
from infra.moving import export_file as bundle
from infra.moving.dynamodb import DynamoPlace
from infra.moving.queues import StackQueues
from infra.moving.reading import READINGS, Reading
from infra.moving.sqlite import SQLitePlace
from inventory.model import Move, Receipt
from kernel.order_record import Entry, Message, Reservation, Status
from storage.dynamodb.records import DynamoRecords
from tests.fakes.older import asked, unpacked
from tests.fakes.records import NOW, order
from tests.integration import deployed
from tests.integration.dynamo_stores import DynamoStores, OneAtATime, moto

Act = Callable[[], object]
KINDS = ("message", "letter")


def answer(*arguments: object) -> Any:
    result = deployed.run(*arguments, "--json")
    assert result.exception is None, f"{result.output} {result.exception!r}"
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the messages and dead letters of a directory."""
    folder = tmp_path_factory.mktemp("source")
    where = unpacked("version-3-settled", folder)
    reader = where.reader()
    rows = list(SQLitePlace(reader, "", stack_of(where)).rows())
    reader.close()
    found = folder / "moved.ndjson.gz"
    bundle.write(found, "machine", [row for row in rows if row["kind"] in KINDS], NOW)
    return found


def rows_of(file: Path, *kinds: str) -> list[dict[str, Any]]:
    return [row for row in bundle.rows(file) if row["kind"] in kinds]


def held(stack: DeployedStack, queue: str) -> list[dict[str, Any]]:
    """Return the messages of a queue, which stay there."""
    taken = stack.client("sqs").receive_message(
        QueueUrl=stack.name(queue),
        MaxNumberOfMessages=10,
        VisibilityTimeout=0,
        MessageAttributeNames=["All"],
    )
    found: list[dict[str, Any]] = taken.get("Messages", [])
    return found


# ---- a stack's queues


def test_messages_and_dead_letters_reach_the_stacks_queues_once(
    file: Path, stack: DeployedStack
) -> None:
    told = answer("import", file, *deployed.PLACE)
    assert told["totals"]["dead_letters"] == 6
    [bounced] = held(stack, "ConfirmationsDeadLetterQueue")
    [letter] = [row for row in rows_of(file, "letter") if row["queue"].startswith("Confirm")]
    assert bounced["Body"] == letter["body"]
    source = bounced["MessageAttributes"]["SOURCE_QUEUE"]["StringValue"]
    assert source == letter["attributes"]["SOURCE_QUEUE"] == "ConfirmationsQueue"
    assert len(held(stack, "AttentionQueue")) == 4
    assert len(held(stack, "QuarantineQueue")) == 1
    assert len(held(stack, "OrderChangesQueue")) == 1
    assert answer("import", file, *deployed.PLACE)["added"] == 0
    assert len(held(stack, "AttentionQueue")) == 4


def test_a_stacks_dead_letters_are_carried_and_stay_where_they_are(
    file: Path, stack: DeployedStack, tmp_path: Path
) -> None:
    answer("import", file, *deployed.PLACE)
    stack.client("sqs").purge_queue(QueueUrl=stack.name("OrderChangesQueue"))
    back = tmp_path / "back.ndjson"
    told = answer("export", back, *deployed.PLACE)
    assert [note for note in told["notes"] if "wait in" in note or "not shown" in note] == []

    def letters(found: Path) -> list[Any]:
        return sorted((row["queue"], row["body"]) for row in rows_of(found, "letter"))

    assert letters(back) == letters(file)
    assert len(held(stack, "AttentionQueue")) == 4
    goal = DataDirectory(tmp_path / "goal")
    answer("import", back, "--data", goal.root)
    sources = "select json_extract(attributes, '$.SOURCE_QUEUE') from messages where queue = ?"
    query = sources.replace("?", "'ConfirmationsDeadLetterQueue'")
    assert asked(goal, query) == [("ConfirmationsQueue",)]
    assert answer("audit", "--data", goal.root)["ok"]


def test_what_a_stack_keeps_to_itself_is_said(file: Path, stack: DeployedStack) -> None:
    answer("import", file, *deployed.PLACE)
    queues = StackQueues(stack, patience=0)
    assert queues.left()[0].startswith("about 1 messages wait in OrderChangesQueue")


def test_a_table_alone_keeps_them_to_be_moved_on(file: Path, tmp_path: Path) -> None:
    with moto() as client:
        stores = DynamoStores(client)
        there = ("--table", stores.table.name, "--region", "us-east-1")
        notes = answer("import", file, *there)["notes"]
        assert any("stored in the table: name the stack with --stack" in note for note in notes)
        back = tmp_path / "back.ndjson"
        answer("export", back, *there)
        assert sorted(map(str, rows_of(back, *KINDS))) == sorted(map(str, rows_of(file, *KINDS)))
        again = answer("import", back, *there)
        assert (again["added"], again["totals"]["dead_letters"]) == (0, 6)


def test_runs_and_events_go_into_the_tables_outbox_once(stack: DeployedStack) -> None:
    place = DynamoPlace(stack.table(), StackQueues(stack, patience=0))
    run = {"name": "A-1-x", "input": {"resume": {"order_id": "A-1"}}}
    row = {"kind": "outbox", "id": "i", "what": "run", "body": run, "created_at": NOW}
    place.add(row)
    [item] = [item for item in stack.table().scan() if item["sk"] == "outbox"]
    assert item["out"]["0"][:2] == ["run", json.dumps(run, separators=(",", ":"))]
    assert place.find(row) == row


# ---- a table is read as of one moment


@pytest.fixture
def stores() -> Iterator[DynamoStores]:
    with moto() as client:
        yield DynamoStores(client)


class Others:
    """Actions of others while a reader pauses, one at each pause."""

    def __init__(self, *acts: Act) -> None:
        self.acts = list(acts)
        self.pauses = 0

    def __call__(self, _: float) -> None:
        self.pauses += 1
        if self.acts:
            self.acts.pop(0)()


def claimed(stores: DynamoStores) -> Act:
    """Have an order that is there reserve its units; return what does it."""
    stores.inventory().receive(Receipt("digest", {"TEA": 9, "CUP": 9}), NOW)
    known = stores.orders().save(order(version=0).change(Entry("RECEIVED", NOW)))
    change = known.change(
        Entry("STOCK_RESERVED", NOW), status=Status.RESERVED, reservation=Reservation.RESERVED
    )
    return lambda: stores.inventory().move(change, Move.RESERVE, known.demand)


def test_a_table_that_rests_is_read_twice_at_once(stores: DynamoStores) -> None:
    claimed(stores)
    others = Others()
    rows = list(DynamoPlace(stores.table, sleep=others).rows())
    assert {row["kind"] for row in rows} == {"stock", "receipt", "order"}
    assert others.pauses == 0


class Between(OneAtATime):
    """A client that lets others write once it has scanned."""

    def __init__(self, client: Any, act: Act) -> None:
        super().__init__(client)
        self.act: Act | None = act

    def scan(self, **arguments: Any) -> Any:
        found = self.client.scan(**arguments)
        act, self.act = self.act, None
        if act:
            act()
        return found


def test_what_moves_after_the_scan_is_read_as_of_one_moment(stores: DynamoStores) -> None:
    others = Others()
    client = Between(stores.client, claimed(stores))
    place = DynamoPlace(stores.table.__class__(stores.table.name, lambda: client), sleep=others)
    rows = list(place.rows())
    [record] = [row["record"] for row in rows if row["kind"] == "order"]
    assert record["reservation"] == "RESERVED"
    assert {row["sku"]: row["reserved"] for row in rows if row["kind"] == "stock"} == {
        "TEA": 2,
        "CUP": 1,
    }
    assert others.pauses == 1


def test_an_order_that_comes_meanwhile_is_read_too(stores: DynamoStores) -> None:
    claimed(stores)
    later = order(order_id="A-2", version=0).change(Entry("RECEIVED", NOW))
    client = Between(stores.client, lambda: stores.orders().save(later))
    table = stores.table.__class__(stores.table.name, lambda: client)
    rows = list(DynamoPlace(table, sleep=Others()).rows())
    assert {row["record"]["order_id"] for row in rows if row["kind"] == "order"} == {"A-1", "A-2"}


def test_a_table_that_never_rests_is_refused(stores: DynamoStores, tmp_path: Path) -> None:
    claimed(stores)
    records = DynamoRecords(stores.table)
    number = iter(range(99))

    def note() -> None:
        records.note("A-1", Entry("DUPLICATE_IGNORED", NOW + next(number)))

    note()
    others = Others(*[note] * READINGS)
    client = Between(stores.client, note)
    table = stores.table.__class__(stores.table.name, lambda: client)
    file = tmp_path / "moved.ndjson"
    with pytest.raises(Refusal, match="orders move in") as refused:
        bundle.write(file, "table", DynamoPlace(table, sleep=others).rows(), NOW)
    assert "point in time" in str(refused.value)
    assert not list(tmp_path.iterdir())
    assert others.pauses == READINGS - 1


def test_a_message_in_an_outbox_is_no_rest(stores: DynamoStores) -> None:
    stores.orders().send(Message("run", {"name": "x", "input": {}}), NOW)
    with pytest.raises(Refusal, match="messages wait in the outbox"):
        list(DynamoPlace(stores.table, sleep=Others()).rows())


def test_what_cannot_change_is_read_once(stores: DynamoStores) -> None:
    ended = order(version=0, status=Status.FAILED, lease_owner=None).change(Entry("FAILED", NOW))
    stores.orders().save(ended)
    reading = Reading(stores.table, Others())
    assert [item["sk"] for item in reading.settled()] == ["order"]
