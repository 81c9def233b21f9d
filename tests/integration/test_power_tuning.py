"""The inputs of AWS Lambda Power Tuning: one for each function, with payloads of a real run."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.cli.power_tuning import UNKNOWN, Recorded, record, write
from infra.cli.stock_file import read_stock
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.local.platform import platform
from infra.local.template.loader import Template
from infra.local.template.project import TEMPLATE
from infra.local.workers.invocations import Result
from inventory.model import Receipt
from inventory.store import SQLiteInventory
from orders import outbox
from orders.dynamodb import DynamoOutbox

ORDER = re.compile(r"G\d+-\d{6}")
FUNCTIONS = set(dict(Template(TEMPLATE, {}, lambda *_: {}).of_type("AWS::Serverless::Function")))


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    return record(1, 60)


@pytest.fixture(scope="module")
def folder(recorded: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuning") / "new" / "folder"
    write(recorded, folder, UNKNOWN.format)
    return folder


def test_each_function_has_an_input(folder: Path) -> None:
    assert {path.stem.partition("-")[2] for path in folder.glob("*.json")} == FUNCTIONS


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_an_input_is_one_that_power_tuning_takes(folder: Path, name: str) -> None:
    [path] = folder.glob(f"*-{name}.json")
    text = path.read_text()
    settings = json.loads(text)
    assert len(settings["lambdaARN"].split(":")) == 7
    assert settings["lambdaARN"].endswith(f":function:{name}")
    assert settings["num"] >= 5
    assert all(128 <= memory <= 3_008 for memory in settings["powerValues"])
    payloads = settings["payload"]
    if isinstance(payloads, list):
        assert 2 <= len(payloads) <= settings["num"]
        assert all(set(one) == {"payload", "weight"} for one in payloads)
    assert len(json.dumps(settings)) <= 256 * 1024
    assert settings["strategy"] in {"cost", "speed", "balanced"}
    assert "autoOptimize" not in settings, "the template has the memory"


def test_every_step_can_be_repeated_in_the_order_of_the_files(
    recorded: Recorded, tmp_path: Path
) -> None:
    """Power Tuning gives up at an error of the function."""
    on_one_machine = {
        name: payloads for name, payloads in recorded.payloads.items() if name != "RelayFunction"
    }
    with platform(DataDirectory(tmp_path), workers=1) as engine:
        receipt = Receipt("tuning", dict(recorded.units))
        SQLiteInventory(engine.journal.database).receive(receipt, engine.clock.now())
        for claim in recorded.claims:
            assert error_of(engine, "ValidateOrderFunction", claim) is None
        for name, payloads in on_one_machine.items():
            for payload in payloads * 3:
                assert error_of(engine, name, payload) is None, name


def error_of(engine: Engine, name: str, payload: Any) -> Any:
    results: list[Result] = []
    engine.calls.invoke(name, payload, lambda result, _: results.append(result))
    while not results:
        engine.turn(0.05)
    return results[0].error


def test_the_stock_is_a_file_that_can_be_received(folder: Path, recorded: Recorded) -> None:
    units = {sku: on_hand for sku, on_hand in recorded.units.items() if on_hand}
    assert read_stock(folder / "stock.csv").units == units


def test_a_seed_has_the_same_orders_and_fields_in_its_payloads() -> None:
    one, other = (
        {
            name: [
                (re.findall(r"G\d+-\d{6}", json.dumps(found)), sorted(found)) for found in all_of
            ]
            for name, all_of in run.payloads.items()
        }
        for run in (record(5, 60), record(5, 60))
    )
    assert one == other


def test_the_relay_reads_its_payload(recorded: Recorded) -> None:
    accepted: list[Any] = []

    def put(messages: Any) -> list[str | None]:
        accepted.extend(messages)
        return [None] * len(messages)

    store = DynamoOutbox(None)  # type: ignore[arg-type]
    kept = SimpleNamespace(added_by=store.added_by, remove=lambda *_: None)
    ports = outbox.Ports(kept, SimpleNamespace(put=put), lambda: 0.0)
    assert outbox.relay(recorded.payloads["RelayFunction"][0]["Records"], ports, lambda: 60) == {}
    assert [message.body["DetailType"] for message in accepted] == ["Order Completed"]
