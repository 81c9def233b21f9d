"""`orders dead-letters jobs`: many dead letters at a pace, with a server and without one."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.serving import Served, answer, orders, rows
from tests.host import order

MANY = 6


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with dead letters of two causes, and of one order twice."""
    root = tmp_path_factory.mktemp("jobs")
    broken = [order(f"BAD-{number}", currency="EURO") for number in range(MANY)]
    events = [*broken, order("BAD-0", currency="EURO", customer_id="C-9"), order("B-1", total=99)]
    with Served(root / "data") as server:
        entries = [entry(each) for each in events]
        assert server.client("events").put_events(Entries=entries)["FailedEntryCount"] == 0
        server.until("select count(*) from messages where queue = 'QuarantineQueue'", MANY + 2)
        server.stop()
    return root / "data"


def entry(event: dict[str, Any]) -> dict[str, str]:
    """Return an event as an entry of PutEvents."""
    names = {"EventBusName": "orders-bus", "Source": event["source"]}
    return names | {"DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "data"))


@pytest.fixture
def served(data: Path) -> Iterator[Served]:
    with Served(data) as server:
        yield server


def jobs(*arguments: object, data: Path) -> Any:
    return answer("dead-letters", "jobs", *arguments, "--data", data)


def refused(*arguments: object, data: Path) -> str:
    """Return the error of a command that must fail."""
    done = orders("dead-letters", "jobs", *arguments, "--data", data)
    assert done.returncode in (1, 2), done.stdout
    return done.stderr


def open_ids(data: Path) -> list[int]:
    query = "select id from messages where queue = 'QuarantineQueue' order by id"
    return [row[0] for row in rows(data / "orderflow.db", query)]


def group(data: Path) -> Any:
    """Return the group of the refused currency."""
    groups = answer("dead-letters", "groups", "--data", data)["groups"]
    [found] = [each for each in groups if "currency" in each["label"]]
    return found


def members(data: Path) -> list[int]:
    """Return the dead letters of the refused currency."""
    listed = answer("dead-letters", "list", "--reason", "currency", "--data", data)
    return sorted(each["id"] for each in listed["dead_letters"])


def test_a_dry_run_shows_the_effect_and_does_nothing(data: Path) -> None:
    before, found = open_ids(data), group(data)
    told = jobs("start", "redrive", "--group", found["key"], "--dry-run", data=data)
    assert (told["dry_run"], told["label"]) == (True, found["label"])
    assert told["letters"] == members(data)
    assert told["destinations"] == {"a run with its event": MANY + 1}
    text = orders(
        *("dead-letters", "jobs", "start", "redrive", "--group", found["key"], "--dry-run"),
        *("--most", 2, "--pace", 0.5, "--data", data),
    ).stdout
    assert "5 newer ones stay open" in text
    assert "about 4 s at this pace" in text
    assert open_ids(data) == before
    assert jobs("list", data=data) == {"jobs": []}


def test_a_discard_without_a_server_ends_and_is_undone(data: Path) -> None:
    before, chosen = open_ids(data), members(data)
    options = ("--group", group(data)["key"], "--reason", "a test")
    done = jobs("start", "discard", *options, data=data)
    assert (done["state"], done["handled"], done["refused"]) == ("COMPLETED", MANY + 1, 0)
    assert (done["reason"], done["letters"]) == ("a test", chosen)
    assert set(open_ids(data)) == set(before) - set(chosen)
    text = orders("dead-letters", "jobs", "show", done["id"], "--data", data).stdout
    assert "7 of 7" in text
    undone = jobs("undo", done["id"], data=data)
    assert (undone["action"], undone["undoes"], undone["done"]) == ("restore", done["id"], MANY + 1)
    assert open_ids(data) == before
    assert "is undone already" in refused("undo", done["id"], data=data)
    listed = jobs("list", data=data)["jobs"]
    assert [(each["id"], each["undone_by"]) for each in listed] == [
        (undone["id"], None),
        (done["id"], undone["id"]),
    ]


def test_a_redrive_without_a_server_is_processed_while_it_waits(data: Path) -> None:
    before = open_ids(data)
    done = jobs("start", "redrive", "--order", "BAD-0", data=data)
    assert (done["label"], done["total"], done["done"]) == ("order BAD-0", 2, 2)
    after = open_ids(data)  # both are refused again, as other dead letters
    assert len(after) == len(before)
    assert set(before) - set(after) == set(done["letters"])


def test_a_job_that_is_not_waited_for_is_continued_by_a_run(data: Path) -> None:
    started = orders(
        *("dead-letters", "jobs", "start", "discard", "--queue", "QuarantineQueue"),
        *("--reason", "a test", "--no-wait", "--data", data),
    )
    assert "`orders run --count 0` continues it" in started.stdout
    assert len(open_ids(data)) == MANY + 2
    orders("run", "--count", 0, "--data", data)
    [job] = jobs("list", data=data)["jobs"]
    assert (job["state"], job["label"]) == ("COMPLETED", "QuarantineQueue")
    assert open_ids(data) == []


def test_a_served_job_is_paused_resumed_and_cancelled(served: Served) -> None:
    data, before = served.data, open_ids(served.data)
    options = ("--all", "--most", 7, "--pace", 0.5, "--reason", "a test", "--no-wait")
    started = jobs("start", "discard", *options, data=data)
    assert (started["total"], started["rate"]) == (7, 0.5)
    assert jobs("pause", started["id"], data=data)["state"] == "PAUSED"
    assert "is PAUSED, which forbids" in refused("pause", started["id"], data=data)
    assert jobs("resume", started["id"], data=data)["state"] == "RUNNING"
    ended = jobs("cancel", started["id"], data=data)
    assert (ended["state"], ended["handled"] < 7) == ("CANCELLED", True)
    assert open_ids(data) == before[ended["handled"] :]


def test_a_served_job_is_waited_for(served: Served) -> None:
    ids = open_ids(served.data)[:2]
    done = jobs("start", "discard", *ids, "--reason", "a test", data=served.data)
    assert (done["state"], done["letters"]) == ("COMPLETED", ids)
    assert jobs("undo", done["id"], data=served.data)["state"] == "COMPLETED"
    assert ids[0] in open_ids(served.data)


def test_refused_dead_letters_are_listed_and_fail_the_command(data: Path) -> None:
    first = open_ids(data)[0]
    options = ("start", "discard", first, "--reason", "a test", "--no-wait")
    jobs(*options, data=data)
    done = orders("dead-letters", "jobs", *options[:-1], "--json", "--data", data)
    told = json.loads(done.stdout)
    assert (done.returncode, told["refused"]) == (1, 1)
    assert told["refusals"][0]["id"] == first


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("start", "redrive"), "--group, --order or --queue"),
        (("start", "redrive", "1", "--all"), "--group, --order or --queue"),
        (("start", "redrive", "--group", "nope"), "there is no group 'nope' by reason"),
        (("start", "redrive", "--queue", "nope"), "is no dead-letter queue"),
        (("start", "redrive", "--order", "nope"), "no open dead letter is selected"),
        (("start", "redrive", "999"), "there is no open dead letter 999"),
        (("start", "redrive", "x"), "it must be a number"),
        (("start", "discard", "--all"), "--reason: is empty"),
        (("start", "redrive", "--all", "--pace", "0"), "rate: is a number"),
        (("start", "redrive", "--all", "--pace", "nan"), "rate: is a number"),
        (("start", "burn", "--all"), "burn"),
        (("show", "7"), "there is no job 7 on dead letters"),
        (("cancel", "7"), "there is no job 7 on dead letters"),
        (("undo", "0"), "greater than or equal to 1"),
        (("list", "--stack", "orderflow"), "--stack: a stack has no jobs"),
        (("start", "redrive", "--all", "--region", "us-east-1"), "--stack: a stack has no jobs"),
    ],
)
def test_wrong_arguments_are_refused(
    template: Path, arguments: tuple[str, ...], problem: str
) -> None:
    assert problem in " ".join(refused(*arguments, data=template).split())
