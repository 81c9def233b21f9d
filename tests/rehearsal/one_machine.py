"""The rehearsal's input on the one-machine runtime."""

import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from infra.cli.generator import Generated
from storage.sqlite.database import Database
from tests.e2e.scenarios import SITUATIONS, parameters_of
from tests.host import Host, host
from tests.rehearsal import outcome
from tests.rehearsal.feed import in_portions
from tests.rehearsal.ministack import RehearsalError
from tests.rehearsal.outcome import REQUESTS, Outcome

T = TypeVar("T")

PATIENCE = 120.0
"""Maximum seconds until the process answers."""

_FORK = multiprocessing.get_context("fork")


def situation(name: str) -> Outcome:
    """Return the outcome of a situation on a host of its own."""
    return _in_process(_situation, name)


def generated(orders: Generated) -> tuple[dict[str, Outcome], str]:
    """Return the outcome of each order, and the stock."""
    return _in_process(_generated, orders)


def _in_process(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a separate process, because services cache their wiring per process."""
    ours, theirs = _FORK.Pipe()
    process = _FORK.Process(target=_call, args=(theirs, function, arguments), daemon=True)
    process.start()
    theirs.close()
    done: bool
    answer: Any
    try:
        done, answer = ours.recv() if ours.poll(PATIENCE) else (False, "no answer in time")
    except EOFError:
        done, answer = False, "its process ended"
    process.terminate()
    process.join()
    if not done:
        raise RehearsalError(f"the one-machine runtime failed: {answer}")
    result: T = answer
    return result


def _call(connection: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        connection.send((True, function(*arguments)))
    except Exception as error:  # noqa: BLE001 - reported by the calling process
        connection.send((False, f"{type(error).__name__}: {error}"))


def _situation(name: str) -> Outcome:
    parameters = parameters_of(name)
    with (
        tempfile.TemporaryDirectory() as folder,
        host(Path(folder), parameters=parameters) as machine,
    ):
        machine.receive(TEA=1000, VASE=0)
        SITUATIONS[name](machine)
        return Outcome(
            outcome.paths(machine.paths()),
            outcome.status(
                machine.status(), [letter["queue"] for letter in machine.dead_letters()]
            ),
            outcome.events(_published(machine)),
            "; ".join(_charges(machine).values()) or "none",
            outcome.stock(machine.rows("select * from stock")),
        )


def _generated(orders: Generated) -> tuple[dict[str, Outcome], str]:
    with tempfile.TemporaryDirectory() as folder, host(Path(folder)) as machine:
        machine.receive(**orders.receipt.units)
        in_portions(machine, orders)
        charges, events = _charges(machine), _published(machine)
        outcomes = {
            row["order_id"]: Outcome(
                outcome.paths(machine.paths(row["order_id"])),
                row["status"],
                outcome.events(sorted(event for event in events if event[0] == row["order_id"])),
                charges.get(row["order_id"], "none"),
            )
            for row in machine.rows("select order_id, status from orders order by order_id")
        }
        return outcomes, outcome.stock(machine.rows("select * from stock"))


def _published(machine: Host) -> list[tuple[str, str]]:
    rows = machine.rows("select order_id, detail_type from events order by seq")
    return [
        (row["order_id"], row["detail_type"]) for row in rows if row["detail_type"] not in REQUESTS
    ]


def _charges(machine: Host) -> dict[str, str]:
    path = machine.directory.sandbox
    gateway: dict[str, list[str]] = {}
    if path.exists():
        for row in Database(str(path)).rows("select key, status from gateway_charges order by id"):
            gateway.setdefault(row["key"], []).append(row["status"])
    return {
        row["order_id"]: outcome.charge(
            row["status"], row["amount"], gateway.get(row["charge_id"], [])
        )
        for row in machine.rows("select * from charges order by order_id")
    }
