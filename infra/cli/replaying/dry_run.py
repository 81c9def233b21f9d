"""The dry run of a replay: the forecast of each event, and the totals."""

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from infra.cli.event_files import Line
from infra.cli.replaying.progress import ReplayProgress
from infra.cli.replaying.tally import SHOWN, Tally
from infra.local.directory.data_directory import DataDirectory
from infra.local.template.stack import Stack
from infra.terminal.output import Styled, Table, console
from infra.views.forecast_store import ForecastStore
from infra.views.health import plural
from infra.views.replay_forecast import Forecast, Forecaster

IN_TEXT, IN_JSON = 20, 1_000
"""Events that are shown: in text, and in the JSON document. The totals have all."""

_TOTALS = {
    "type": "events by type",
    "rule": "events by rule",
    "effect": "effect on the orders",
    "analytics": "analytics",
}


def forecast(
    events: Iterable[tuple[int, list[Line]]],
    where: DataDirectory,
    stack: Stack,
    tally: Tally,
    now: float,
    *,
    from_archive: bool = False,
) -> dict[str, Any]:
    """Print the effects of the events, without changing anything; return them for ``--json``."""
    listed: list[dict[str, Any]] = []
    progress = ReplayProgress(done="selected")
    with ExitStack() as exits:
        real = where.reader(unmigrated=True) if where.database.exists() else None
        if real is not None:
            exits.callback(real.close)
        store = exits.enter_context(ForecastStore(real))
        forecaster = Forecaster(stack, store, real, now, from_archive=from_archive)
        for line in (line for _, lines in events for line in lines):
            assert line.event is not None
            explained = len(listed) < IN_JSON
            result = forecaster.forecast(line.event, line.envelope or {}, explained=explained)
            if explained:
                listed.append({"file": line.path, "line": line.number, **result.to_json()})
            if len(listed) <= IN_TEXT and explained:
                _show(line, result)
            progress.show(tally["read"], tally["sent"])
    progress.clear()
    if tally["sent"] > IN_TEXT:
        console.print(f"… and {tally['sent'] - IN_TEXT:,} more events", "")
    totals = {name: dict(counts.most_common()) for name, counts in forecaster.totals.items()}
    _show_totals(totals, tally)
    return {"would_send": tally["sent"], **tally.to_json(), "totals": totals, "events": listed}


def _show(line: Line, result: Forecast) -> None:
    console.print(Styled(f"{result.type} {result.order_id} ({line.path}:{line.number})", "bold"))
    table = Table()
    table.add_row("effect", f"{result.effect}: {result.because}")
    table.add_row("analytics", result.analytics)
    for each in result.rules:
        if each.matches:
            targets = [key for key in result.targets if key.startswith(f"{each.rule}/")]
            for key in targets:
                table.add_row(f"{each.rule} ✓", f"{key.partition('/')[2]}: {result.targets[key]}")
        elif each.is_near:
            table.add_row(f"{each.rule} ✗", "; ".join(each.failed))
    others = [each.rule for each in result.rules if not each.matches and not each.is_near]
    if others:
        table.add_row("other types", ", ".join(others))
    console.print(table)


def _show_totals(totals: dict[str, dict[str, int]], tally: Tally) -> None:
    invalid = f"{tally['rejected']:,} {'is' if tally['rejected'] == 1 else 'are'} invalid"
    console.print(f"{plural(tally['sent'], 'event')} would be sent, {invalid}")
    if tally["facts_skipped"]:
        console.print(
            f"{plural(tally['facts_skipped'], 'fact')} of the platform would be skipped (--facts"
            " sends them, on one machine)"
        )
    if tally["not_selected"]:
        console.print(f"{plural(tally['not_selected'], 'event', 'are')} not selected")
    for reason, number in tally.reasons.most_common(SHOWN):
        console.print(f"  {number:,} invalid: {reason}")
    table = Table("total of", "value", "events", right=("events",))
    for name, counts in totals.items():
        label = _TOTALS[name]
        for value, number in counts.items():
            table.add_row(label, value, f"{number:,}")
            label = ""
    console.print(table)
