"""Faults during a redrive: a lease, a crash, a failure of the new run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infra.dead_letters.reading import closed_letters, history, letters
from infra.views.local_story import read_story
from kernel.clock import timestamp
from storage.sqlite.database import Database
from tests.fakes.redrives import redrive
from tests.faults.scene import NEVER_SHIPPED, Killed, Scene, dead_letters, paid, stock
from tests.host import Host, event, order

MINUTE = 60.0
BACK_IN_STOCK = {"on_hand": 10, "reserved": 0, "shipped": 1, "restocked": 1}


AT_FIRST, ALWAYS = "tok_refund_fails_5", "tok_refund_fails"


def refund_fails(machine: Host, token: str = AT_FIRST) -> int:
    """Let an order's refund fail permanently; return the id of its dead letter."""
    machine.receive(TEA=10)
    machine.put(order(shipping_address=NEVER_SHIPPED, payment_token=token))
    while not dead_letters(machine):
        if not machine.engine.turn(0) and machine.engine.idle:
            machine.engine.skip()
    [letter] = open_letters(machine)
    assert (letter["queue"], machine.status()) == ("AttentionQueue", "COMPENSATING")
    return int(letter["id"])


def open_letters(machine: Host) -> list[dict[str, Any]]:
    return letters(machine.database, machine.engine.stack.dead_letter_queues)


def redriven(machine: Host, *ids: int) -> Any:
    """Redrive letters; return the answer."""
    asked = machine.engine.call(lambda now: redrive(machine.engine, ids, now))
    machine.engine.turn(0)
    return asked.result(0)


def closed(machine: Host, number: int) -> dict[str, Any] | None:
    return next(iter(closed_letters(machine.database, [number])), None)


def work(machine: Host, number: int, within: float = MINUTE) -> None:
    """Work until the outcome of a redriven letter is known; skip ``within`` seconds at most."""
    end = machine.engine.clock.now() + within
    while (letter := closed(machine, number)) is not None and letter["state"] == "PENDING":
        assert machine.engine.clock.now() < end, "the redriven letter has no outcome"
        if not machine.engine.turn(0) and machine.engine.idle:
            machine.engine.skip()


@pytest.mark.parametrize("ahead", [0.0, 6_000.0])
def test_f40_a_redrive_while_a_dead_run_holds_the_order(scene: Scene, ahead: float) -> None:
    """F40: a redrive while a lost run holds the lease -> the new run takes it over at once."""
    with scene.open(later=ahead) as machine:
        number = refund_fails(machine)
    with scene.open() as machine:
        [held] = machine.rows("select lease_until from orders")
        assert held["lease_until"] > machine.engine.clock.now()
        [answer] = redriven(machine, number)
        assert answer["state"] == "running"
        work(machine, number)
        letter = closed(machine, number)
        assert letter is not None
        assert (letter["state"], letter["outcome"]) == ("DONE", "order T-1: refunded, FAILED")
        assert (machine.status(), paid(machine)) == ("FAILED", ["REFUNDED"])
        assert stock(machine) == BACK_IN_STOCK
        assert open_letters(machine) == []


@pytest.mark.parametrize(
    ("moment", "commit"), [("before", 1), *(("after", commit) for commit in range(1, 6))]
)
def test_f41_a_crash_during_a_redrive(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, moment: str, commit: int
) -> None:
    """F41: kill -9 at any commit of a redrive -> the letter or its successor is stored."""
    with scene.open() as machine:
        number = refund_fails(machine)
    with monkeypatch.context() as patch, scene.open() as machine:
        kill_at_commit(patch, machine.database, commit, moment)
        redriven(machine, number)
        work(machine, number)
    with scene.open() as machine:
        assert is_seen(machine, number)
        if open_letters(machine):  # it was killed before the redrive was committed
            redriven(machine, number)
        machine.settle()
        assert (machine.status(), paid(machine)) == ("FAILED", ["REFUNDED"])
        assert stock(machine) == BACK_IN_STOCK
        assert open_letters(machine) == []


def is_seen(machine: Host, number: int) -> bool:
    """Return whether a letter is open or has a run as its successor."""
    letter = closed(machine, number)
    if letter is None:
        return number in [one["id"] for one in open_letters(machine)]
    runs = machine.rows("select 1 from executions where name = ?", f"T-1-redrive-{number}")
    return bool(runs)


def kill_at_commit(patch: pytest.MonkeyPatch, database: Database, number: int, moment: str) -> None:
    """Kill the process at the n-th commit of its engine from now on."""
    write, commits = Database.write, [0]

    @contextmanager
    def counted(written: Database, **how: bool) -> Iterator[Any]:
        commits[0] += written is database
        if commits[0] == number and moment == "before":
            raise Killed
        with write(written, **how) as connection:
            yield connection
        if commits[0] == number and moment == "after":
            raise Killed

    patch.setattr(Database, "write", counted)


def hold_by_another(machine: Host) -> None:
    """Give the order's lease to another run."""
    with machine.database.write() as connection:
        connection.execute(
            "update orders set lease_owner = 'somebody', lease_until = 9e9, version = version + 1"
        )
        connection.execute(
            "insert into executions (name, machine, kind, status, definition, input, started_at)"
            " values ('somebody', ?, 'EXPRESS', 'RUNNING', '', '{}', 0)",
            (machine.engine.profile.order_machine,),
        )


def test_f42_a_redrive_that_fails_again(machine: Host) -> None:
    """F42: a redriven run fails as before -> a new letter, with the history of the old one."""
    number = refund_fails(machine, ALWAYS)
    redriven(machine, number)
    work(machine, number)
    [letter] = open_letters(machine)
    assert letter["reason"].startswith("PaymentGatewayError")
    before = closed(machine, number)
    assert before is not None
    assert (before["state"], before["replaced_by"]) == ("REPLACED", letter["id"])
    told = [(one["letter"], one["what"]) for one in history(machine.database, letter["id"])]
    assert told == [(number, "REDRIVEN"), (number, "REPLACED")]
    assert (machine.status(), paid(machine)) == ("COMPENSATING", ["CHARGED"])


def test_f42_a_redrive_whose_run_vanishes(scene: Scene) -> None:
    """F42: a redriven run vanishes without a trace -> the letter returns with the reason."""
    with scene.open() as machine:
        number = refund_fails(machine, ALWAYS)
        redriven(machine, number)
        with machine.database.write() as connection:
            connection.execute("delete from executions where name like '%-redrive-%'")
    with scene.open() as machine:
        work(machine, number)
        [letter] = open_letters(machine)
        assert letter["id"] == number
        assert letter["reason"].endswith(f"redriven in vain: its run T-1-redrive-{number} is gone")


def test_f42_a_redrive_that_is_ignored(machine: Host) -> None:
    """F42: a redriven run is ignored because an ended run holds the order -> the letter returns."""
    number = refund_fails(machine, ALWAYS)
    redriven(machine, number)
    hold_by_another(machine)
    while "OrderIgnored" not in machine.paths()[-1]:
        machine.engine.turn(0)
    with machine.database.write() as connection:
        connection.execute("update executions set status = 'FAILED' where name = 'somebody'")
    work(machine, number)
    [letter] = open_letters(machine)
    assert letter["id"] == number
    assert "its run was ignored: run somebody, which has ended, holds it" in letter["reason"]


def test_f42_a_redrive_while_another_run_does_the_same(machine: Host) -> None:
    """F42: another run has the order at that moment -> the letter waits for that run."""
    number = refund_fails(machine)
    executions, name = machine.engine.executions, machine.engine.profile.order_machine
    resume = {"resume": {"order_id": "T-1"}}
    machine.engine.clock.offset += 301.0  # the lease has expired
    machine.engine.call(lambda now: executions.start(name, "twin", resume, now))
    while "twin" not in {row["lease_owner"] for row in machine.rows("select * from orders")}:
        machine.engine.turn(0)
    redriven(machine, number)
    work(machine, number)
    letter = closed(machine, number)
    assert letter is not None
    assert (letter["state"], letter["outcome"]) == ("DONE", "order T-1: refunded, FAILED")


def test_f43_an_event_that_is_edited(machine: Host) -> None:
    """F43: a quarantined order is edited and redriven -> it completes; both events are kept."""
    machine.receive(TEA=10)
    machine.put(order(currency="usd"))
    machine.settle()
    [letter] = open_letters(machine)
    assert letter["reason"].startswith("InvalidEvent: detail.currency")
    event = letter["body"]["event"]
    right = {**event, "detail": {**event["detail"], "currency": "USD"}}
    edit = machine.engine.dead_letters.edit
    edited = machine.engine.call(lambda now: edit(letter["id"], right, "ada", now))
    machine.engine.turn(0)
    assert edited.result(0)["state"] == "edited"
    redriven(machine, letter["id"])
    machine.settle()
    assert (machine.status(), paid(machine)) == ("COMPLETED", ["CHARGED"])
    assert open_letters(machine) == []
    told = history(machine.database, letter["id"])
    assert [one["what"] for one in told] == ["EDITED", "REDRIVEN", "DONE"]
    assert (told[0]["who"], told[0]["detail"]) == ("ada", {"before": event, "after": right})


def test_f44_a_refund_that_fails_at_every_reconciliation(machine: Host) -> None:
    """F44: a refund fails at every reconciliation -> one open letter with a failure count."""
    number = refund_fails(machine, ALWAYS)
    machine.settle()
    assert len(machine.paths()) > 2
    [letter] = open_letters(machine)
    assert letter["id"] == number
    assert f"{len(machine.paths())} times, the last" in letter["reason"]
    newest = machine.rows("select name from executions where status = 'FAILED' order by id")[-1]
    assert letter["body"]["execution"] == newest["name"]


def test_a_mail_in_retry_is_listed_as_a_retry_and_not_as_a_dead_letter(
    machine: Host,
) -> None:
    machine.put(order(email="ada@bounce.example"))
    while not machine.rows("select 1 from messages where attributes like '%ERROR%'"):
        machine.engine.turn(0)
    told = read_story(machine.directory, "T-1").to_json()
    assert told["dead_letters"] == []
    [retry] = told["retries"]
    assert (retry["queue"], retry["attempts"]) == ("ConfirmationsQueue", 1)
    assert retry["reason"].startswith("MailError: ")
    [row] = machine.rows("select visible_at from messages where queue = 'ConfirmationsQueue'")
    assert retry["next"] == timestamp(row["visible_at"])


def test_a_mail_that_never_succeeds_is_a_dead_letter_with_its_reason(machine: Host) -> None:
    machine.put(order(email="ada@bounce.example"))
    machine.settle()
    [letter] = open_letters(machine)
    assert "received 20 times without success; MailError: " in letter["reason"]
    told = read_story(machine.directory, "T-1").to_json()
    assert told["retries"] == []
    assert [one["reason"] for one in told["dead_letters"]] == [letter["reason"]]


def test_a_request_for_an_unknown_order_is_a_dead_letter_with_that_reason(machine: Host) -> None:
    machine.put(event("Order Cancelled", "never"))
    machine.settle()
    [letter] = open_letters(machine)
    assert letter["reason"] == (
        "OrderNotFound: order never did not arrive within 24 hours of this request;"
        " send the order first, then the request again"
    )
