"""``orders events``: what it prints, on which stream, and how it exits."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from infra.cli.commands import events
from infra.cli.errors import CommandError
from infra.contracts.baseline import Contract, present
from infra.contracts.folder import FOLDER
from kernel.events import CONTRACTS

EXAMPLE = FOLDER / "order-created/examples/minimal.json"


def run(*arguments: object, input: str | bytes | None = None) -> Result:  # noqa: A002 - click's name
    return CliRunner().invoke(events.app, [str(one) for one in arguments], input=input)


def answer(result: Result) -> Any:
    return json.loads(result.stdout.splitlines()[-1])


def refusal(result: Result) -> str:
    """Return what the command says as it fails: one line on standard error, printed by `main`."""
    assert isinstance(result.exception, CommandError)
    return str(result.exception)


def test_list_has_every_event_with_its_sender() -> None:
    result = run("list", "--json")
    assert result.exit_code == 0
    listed = {one["name"]: one for one in answer(result)["events"]}
    assert list(listed) == list(CONTRACTS)
    assert listed["Order Created"]["from"] == "upstream"
    assert listed["Order Created"]["version"] == CONTRACTS["Order Created"].version
    assert listed["Order Completed"]["from"] == "platform"
    assert Path(listed["Order Failed"]["schema"]).is_file()


def test_list_is_a_table_for_people() -> None:
    result = run("list")
    assert result.exit_code == 0
    for name in CONTRACTS:
        assert name in result.stdout


@pytest.mark.parametrize(
    "name", ["order-created", "Order Created", "OrderCreated", "ORDER_CREATED"]
)
def test_show_takes_a_name_in_any_spelling(name: str) -> None:
    shown = answer(run("show", name, "--json"))
    assert shown["name"] == "Order Created"
    assert shown["example"] == json.loads(EXAMPLE.read_text())
    fields = {field["name"]: field for field in shown["fields"]}
    assert fields["items[].sku"]["required"]
    assert not fields["email"]["required"]
    assert fields["items[].quantity"]["limits"] == "1 to 1,000,000"


def test_show_prints_fields_an_example_and_the_schemas_path() -> None:
    result = run("show", "order-cancelled")
    assert result.exit_code == 0
    for said in ("Order Cancelled", "order_id", "required", "detail-type", "schema.json"):
        assert said in result.stdout


@pytest.mark.parametrize(
    ("name", "hint"),
    [("order-create", "did you mean order-created?"), ("xyz", "see: orders events list")],
)
def test_an_unknown_event_is_one_line_with_a_hint(name: str, hint: str) -> None:
    result = run("show", name)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert refusal(result) == f"no event is named {name!r}; {hint}"


def test_validate_counts_valid_events() -> None:
    result = run("validate", FOLDER)
    assert result.exit_code == 0
    assert result.stdout.endswith(" valid.\n")
    assert answer(run("validate", FOLDER, "--json"))["invalid"] == 0


def test_validate_names_each_problem_by_file_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    good = json.dumps(json.loads(EXAMPLE.read_text()))
    path.write_text(f"{good}\n{good.replace('25.0', '24.99')}\nno JSON\n{good}\n")
    result = run("validate", path)
    assert result.exit_code == 1
    first, second, summary = result.stdout.splitlines()
    assert first == (f"{path}:2: detail.total: 24.99 is not the sum of the lines, which is 25.00")
    assert second.startswith(f"{path}:3: is not JSON (")
    assert summary == "4 events: 2 valid, 2 invalid."


def test_validate_names_every_problem_of_an_event(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(EXAMPLE.read_text().replace("25.0", "24.99").replace("A-1002", "A 1002"))
    result = run("validate", path)
    first, second, summary = result.stdout.splitlines()
    assert first.startswith(f"{path}:1: detail.order_id: ")
    assert second.startswith(f"{path}:1: detail.total: ")
    assert "more)" not in result.stdout
    assert summary == "1 event: 0 valid, 1 invalid."
    [problem] = answer(run("validate", path, "--json"))["problems"]
    assert [each["field"] for each in problem["errors"]] == ["detail.order_id", "detail.total"]


def test_validate_gives_the_same_as_json(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text(EXAMPLE.read_text().replace("25.0", "24.99").replace("\n", "") + "\nno JSON\n")
    result = run("validate", path, "--json")
    assert result.exit_code == 1
    said = answer(result)
    assert {key: said[key] for key in ("events", "valid", "invalid", "unreadable_files")} == {
        "events": 2,
        "valid": 0,
        "invalid": 2,
        "unreadable_files": 0,
    }
    first, second = said["problems"]
    assert (first["file"], first["line"], first["field"]) == (str(path), 1, "detail.total")
    assert (second["line"], second["field"]) == (2, None)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.json", None, "does not exist"),
        ("empty.ndjson", b"", "is empty"),
        ("binary.json", b"PK\3\4\0\0", "is binary"),
    ],
)
def test_an_unreadable_file_is_one_clear_line_and_the_others_are_checked(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    result = run("validate", path, EXAMPLE)
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert line.startswith(f"orders: {path}: {said}")
    assert result.stdout == "1 event: 1 valid, 1 file could not be read.\n"


def test_validate_reads_standard_input() -> None:
    result = run("validate", "-", input=EXAMPLE.read_bytes())
    assert result.exit_code == 0
    assert result.stdout == "1 event: 1 valid.\n"


@pytest.mark.parametrize("arguments", [["validate"], ["show"], ["diff"], ["list", "--what"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_diff_against_the_release_is_empty_when_nothing_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "released", present)
    result = run("diff", "order-created")
    assert result.exit_code == 0
    assert "nothing changed" in result.stdout


def test_diff_separates_breaking_and_compatible_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    old = copy.deepcopy(dict(present()["Order Created"].schema))
    detail = old["$defs"]["OrderCreated"]["properties"]
    detail["colour"] = {"type": "string"}
    del detail["email"]
    monkeypatch.setattr(events, "released", lambda: {"Order Created": Contract("1.0", old)})
    result = run("diff", "order-created")
    assert result.exit_code == 1
    assert result.stdout == (
        "breaking: detail.colour is removed\ncompatible: detail.email is new\n"
    )
    assert answer(run("diff", "order-created", "--json")) == {
        "event": "Order Created",
        "breaking": [{"field": "detail.colour", "what": "is removed"}],
        "compatible": [{"field": "detail.email", "what": "is new"}],
    }


def test_diff_compares_two_schema_files(tmp_path: Path) -> None:
    old, new = FOLDER / "order-failed/schema.json", tmp_path / "new.json"
    schema = json.loads(old.read_text())
    schema["$defs"]["OrderFailed"]["required"].remove("message")
    new.write_text(json.dumps(schema))
    result = run("diff", old, new)
    assert result.exit_code == 1
    assert result.stdout == "breaking: detail.message became optional\n"
    assert run("diff", old, old).exit_code == 0


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_diff_refuses_a_file_without_a_schema_in_one_line(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content)
    result = run("diff", FOLDER / "order-failed/schema.json", path)
    assert result.exit_code == 1
    assert refusal(result).startswith(f"{path}: ")


def test_diff_names_a_missing_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "released", dict)
    assert "is not released yet" in refusal(run("diff", "order-created"))
    assert "second schema file" in refusal(run("diff", EXAMPLE))
