"""Who sends and reads each event, the invalid examples, and the gate of the last release."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.cli.event_files import read_events
from infra.contracts import schemas
from infra.contracts.baseline import Contract, broken, present
from infra.contracts.folder import FOLDER, INVALID, PARTICIPANTS, slug
from infra.contracts.participants import UPSTREAM, participants
from kernel.errors import InvalidEvent
from kernel.events import CONTRACTS, REQUESTS, parse
from tests.contract.test_contracts import JSON, add, drop


def test_each_event_has_a_sender_and_a_reader() -> None:
    for name, found in participants().items():
        assert found.version == CONTRACTS[name].version
        assert found.senders, name
        assert found.readers, name
        assert (UPSTREAM in found.senders) is (name in REQUESTS)


def test_the_readers_are_those_of_the_rules() -> None:
    readers = {str(reader) for reader in participants()["Order Created"].readers}
    machine = "orderflow-order-processing"
    assert readers == {machine, "FlagHighValueFunction", "OrderEventsStream"}
    assert "ChangeOrderFunction" in map(str, participants()["Order Cancelled"].readers)
    assert participants()["Payment Refunded"].senders == ("payments",)
    written = json.loads((FOLDER / PARTICIPANTS).read_text())
    assert written["High Value Order Flagged"]["senders"] == ["high_value"]


@pytest.mark.parametrize("name", CONTRACTS)
def test_each_invalid_example_gets_the_errors_that_it_lists(name: str) -> None:
    examples: list[dict[str, Any]] = json.loads((FOLDER / slug(name) / INVALID).read_text())
    assert len(examples) > 5
    for example in examples:
        with pytest.raises(InvalidEvent) as refused:
            parse(example["event"])
        problems = [f"{field}: {problem}" for field, problem in refused.value.problems]
        assert problems == example["errors"]
    names = {example["name"] for example in examples}
    assert ("total-is-not-the-sum" in names) is ("items" in CONTRACTS[name].model_fields)


def test_invalid_examples_are_no_events_of_the_folder() -> None:
    assert [line.problem for line in read_events(FOLDER) if line.problem] == []


# ---- the gate


def check_with(monkeypatch: pytest.MonkeyPatch, old: dict[str, Contract]) -> Any:
    monkeypatch.setattr(schemas, "released", lambda: old)
    return CliRunner().invoke(schemas.app, ["--check"])


def with_change(name: str, change: Callable[[JSON], None]) -> dict[str, Contract]:
    """Return a release in which the contract of an event was another one."""
    schema: JSON = json.loads(json.dumps(present()[name].schema))
    change(schema)
    return {name: Contract(present()[name].version, schema)}


def test_a_breaking_change_fails_with_the_change_and_the_consumer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = with_change("Payment Refunded", lambda schema: add(schema, "note", required=True))
    assert broken(old, present()) == ["Payment Refunded"]
    result = check_with(monkeypatch, old)
    assert result.exit_code == 1
    assert "Payment Refunded: detail.note is removed" in result.stderr
    assert "sent by payments; read by OrderEventsStream" in result.stderr


def test_a_removed_event_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    result = check_with(monkeypatch, {"Order Eaten": Contract("1.0", {})})
    assert result.exit_code == 1
    assert "Order Eaten is removed" in result.stderr


def test_an_optional_field_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    old = with_change("Order Created", lambda schema: drop(schema, "email"))
    result = check_with(monkeypatch, old)
    assert result.exit_code == 0
    assert "detail.email is new. Nothing breaks" in result.stderr
