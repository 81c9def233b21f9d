"""With ``--json`` standard output is one JSON document, for every command, also for an error."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from infra.cli import main as command_line
from tests.fakes.serving import orders

EXAMPLE = "events_schema/order-created/examples/out-of-stock.json"
DATA, OTHER, WAITING, FILES = "{data}", "{files}/other", "{files}/waiting", "{files}"

SUCCESS: dict[str, list[str]] = {
    "run": ["--count", "3", "--workers", "0", "--data", OTHER],
    "emit": [EXAMPLE, "--data", OTHER],
    "replay": [EXAMPLE, "--dry-run", "--data", OTHER],
    "status": ["--data", DATA],
    "show": ["{order}", "--data", DATA],
    "list": ["--data", DATA],
    "stock receive": ["events_schema/sample_stock.csv", "--data", OTHER],
    "dead-letters list": ["--data", DATA],
    "dead-letters history": ["--data", DATA],
    "dead-letters groups": ["--data", DATA],
    "dead-letters jobs list": ["--data", DATA],
    "views list": ["--data", DATA],
    "views save": ["mine", "--filter", "status=FAILED", "--data", DATA],
    "views delete": ["mine", "--data", DATA],
    "replays list": ["--data", DATA],
    "dead-letters redrive": ["--all", "--data", DATA],
    "events list": [],
    "events show": ["order-created"],
    "events validate": [EXAMPLE],
    "events unmatched": ["--data", DATA],
    "subscribe": ["mine", "--pattern", '{"source": ["shop"]}', "--to", "file", "--data", OTHER],
    "unsubscribe": ["mine", "--data", OTHER],
    "events diff": ["order-created"],
    "test-pattern": ['{"source": ["shop"]}', '{"source": "shop"}'],
    "workflow test": ["PauseOrder", "--input", "{input}", "--result", "{input}"],
    "workflow run": [
        *("order_processing", "--input", "{input}", "--case", "CardDeclined"),
        *("--mocks", "workflows/order_processing.mocks.json"),
    ],
    "workflow graph": [],
    "invoke": ["ReconcileFunction", "--event", "{input}", "--fresh"],
    "retry": ["A-1007", "--data", WAITING],
    "note": ["A-1007", "a test", "--data", WAITING],
    "cancel": ["A-1007", "--reason", "a test", "--data", WAITING],
    "reviews list": ["--data", DATA],
    "reviews close": ["{review}", "--reason", "a test", "--data", DATA],
    "stock list": ["--data", DATA],
    "stock show": ["{sku}", "--data", DATA],
    "stock adjust": ["{sku}", "+1", "--reason", "a test", "--data", DATA],
    "query": ["select 1 as one", "--data", DATA],
    "report": ["--data", DATA],
    "cost": ["--data", DATA],
    "export": [f"{FILES}/a.ndjson", "--data", DATA],
    "import": [f"{FILES}/a.ndjson", "--data", f"{FILES}/imported"],
    "backup": [f"{FILES}/a.tar", "--data", DATA],
    "restore": [f"{FILES}/a.tar", "--data", f"{FILES}/restored"],
    "audit": ["--data", DATA],
    "config": ["--data", DATA],
    "prune": ["--dry-run", "--orders-days", "9", "--data", DATA],
    "logs": ["{order}", "--data", DATA],
}
"""Arguments with which a command succeeds; `ELSEWHERE` has the others."""

ELSEWHERE = {
    "serve",  # `test_server.py`
    "console",  # `tests/e2e/test_stack_console.py`
    "workflow redrive",  # needs a failed execution
    "doctor",  # needs a free port; `test_audit.py`
    "tail",  # a document a line; `test_tail.py`
    *(f"replays {verb}" for verb in ("show", "pause", "resume", "cancel")),  # `test_replay.py`
    *(  # need dead letters; `tests/e2e/test_letter_job_commands.py`
        f"dead-letters jobs {verb}"
        for verb in ("start", "show", "pause", "resume", "cancel", "undo")
    ),
    *("approve", "reject"),  # need an order that awaits it
    *(f"dead-letters {verb}" for verb in ("show", "discard", "undo", "edit")),  # need a letter
}
"""Commands whose success other tests check; here they are tried with wrong usage alone."""


def subcommands() -> Iterator[str]:
    """Yield every command that has the option ``--json``."""
    group: Any = typer.main.get_command(command_line.app)
    for name in command_line.COMMANDS:
        yield from _within(name, group.get_command(None, name))


def _within(path: str, command: Any) -> Iterator[str]:
    below = getattr(command, "commands", None) or {}
    for key, each in below.items():
        yield from _within(f"{path} {key}", each)
    if not below and any("--json" in parameter.opts for parameter in command.params):
        yield path


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Return the exit code of a command and its document, the whole of its output."""
    sys.argv = ["orders", *arguments, "--json"]
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict)
    return int(ended.value.code or 0), document


def succeed(*arguments: str) -> dict[str, Any]:
    """Run a command in a process; return its document, the whole of its output."""
    done = orders(*arguments, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0, (arguments, document, done.stderr)
    assert document, arguments
    assert "error" not in document, arguments
    return dict(document)


def _filled(argument: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        argument = argument.replace(f"{{{name}}}", value)
    return argument


@pytest.fixture
def kept_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [])


@pytest.mark.long
def test_every_command_prints_one_document_for_a_success(tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text('{"detail": {"order_id": "A-1"}}')
    names = {"data": str(tmp_path / "data"), "files": str(tmp_path)}
    names["input"] = str(tmp_path / "input.json")
    succeed("run", "--count", "40", "--workers", "0", "--data", names["data"])
    names["order"] = succeed("list", "--data", names["data"])["orders"][0]["order_id"]
    reviews = succeed("reviews", "list", "--data", names["data"])["reviews"]
    names["review"] = reviews[0]["order_id"]
    names["sku"] = succeed("stock", "list", "--data", names["data"])["stock"][0]["sku"]
    waiting = _filled(WAITING, names)
    succeed("stock", "receive", "events_schema/sample_stock.csv", "--data", waiting)
    succeed("emit", EXAMPLE, "--data", waiting)
    succeed("run", "--count", "0", "--workers", "0", "--data", waiting)
    assert set(subcommands()) == {*SUCCESS, *ELSEWHERE}, "give a new command its arguments"
    for command, arguments in SUCCESS.items():
        succeed(*command.split(), *(_filled(each, names) for each in arguments))


@pytest.mark.usefixtures("kept_arguments")
@pytest.mark.parametrize("command", list(subcommands()))
def test_every_command_prints_one_document_for_wrong_usage(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document = run([*command.split(), "--no-such-option"], capsys)
    assert code == 2
    assert document["error"]["kind"] == "WrongUsage"
    assert "--no-such-option" in document["error"]["message"]


@pytest.mark.usefixtures("kept_arguments")
def test_a_refusal_and_a_failed_result_have_the_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = str(tmp_path / "nowhere")
    code, document = run(["list", "--data", nowhere], capsys)
    assert code == 1
    assert nowhere in document["error"]["message"]
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    code, document = run(["emit", str(broken), "--data", nowhere], capsys)
    assert code == 1
    assert document["rejected"] == 1
    assert document["error"]["message"]
