"""``orders test-pattern``."""

import json
from pathlib import Path

import pytest
import typer

from infra.cli.commands.pattern import explain_pattern as command
from infra.cli.errors import CommandError

PATTERN = '{"detail":{"total":[{"numeric":[">=",1000]}]}}'


def test_a_match_ends_with_0_and_a_failed_condition_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = tmp_path / "event.json"
    event.write_text('{"detail":{"total":1000}}')
    command(PATTERN, str(event), as_json=True)
    assert json.loads(capsys.readouterr().out)["matches"] is True
    with pytest.raises(typer.Exit) as ended:
        command(PATTERN, '{"detail":{"total":999.99}}')
    assert ended.value.exit_code == 1
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("detail.total", ">= 1000", "999.99", "does not match"))


@pytest.mark.parametrize(
    ("pattern", "event", "message"),
    [
        ("{}", "{}", "PATTERN: Event pattern is not valid"),
        (PATTERN, "missing.json", "EVENT: missing.json cannot be read"),
        (PATTERN, "[1]", "EVENT: is not a JSON object"),
        (PATTERN, "{", "EVENT: is not JSON"),
    ],
)
def test_a_wrong_argument_is_named(pattern: str, event: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        command(pattern, event)
