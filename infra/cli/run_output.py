"""Output of ``orders run``: its figures, the paths of its files, and commands to try next."""

from datetime import UTC, datetime
from shutil import which
from typing import Any

from infra.cli.generator import EXPECTED, Generated
from infra.local.directory.data_directory import DataDirectory
from infra.terminal.output import Styled, Table, Terminal

_ROWS = (
    ("accepted", "events put on the bus"),
    ("rejected", "events that break their contract, never on the bus"),
    ("quarantined", "events quarantined with a reason"),
    ("duplicates", "events of a known order: ignored"),
    ("completed", "orders paid, taken from stock and shipped"),
    ("failed", "compensated orders: nothing charged, reserved or shipped"),
    ("cancelled", "orders compensated on request"),
    ("in_flight", "orders that have not ended"),
    ("not_begun", "accepted orders without a record"),
    ("dead_letters", "messages that wait for an operator"),
    ("failed_items", "items that the platform could not handle; the log has their traces"),
    ("high_value", "orders flagged for review"),
    ("revenue", "of completed orders"),
    ("units_shipped", "units that left the stock"),
)
_LIMITED = (
    ("begun", "calls that found a free execution"),
    ("throttled", "calls that found none"),
    ("cold", "calls that began with an init phase"),
    ("timed_out", "calls that did not answer"),
    ("minutes_median", "until half of the orders had ended, in skipped time"),
    ("minutes_99_percent", "until 99 % had ended"),
    ("minutes_last", "until the last one had ended"),
)
_ALARMING = ("in_flight", "not_begun", "dead_letters", "failed_items", "quarantined")

SHOWN = 10
"""Failed items that are printed one by one."""


def show_run(
    console: Terminal, result: dict[str, Any], where: DataDirectory, generated: Generated | None
) -> None:
    """Print the result of a run."""
    if generated is not None and generated.count:
        console.print(_kinds(generated), "")
    table = Table(title="This run")
    for name, meaning in _ROWS:
        table.add_row(name.replace("_", " "), result[name], meaning, style=_style(name, result))
    rate = f"{result['orders_per_second']} orders/s in {result['seconds']} s"
    table.add_row("speed", rate, "orders that ended, duplicates included")
    console.print(table)
    if "lambda_faults" in result:
        console.print("", _account(result["lambda_faults"]))
    _failures(console, result)
    _waiting(console, result, datetime.now(UTC))
    _files(console, result, where, generated)


def _account(figures: dict[str, Any]) -> Table:
    """Return the figures of calls and of time in an account with limits."""
    table = Table(title=f"Lambda with {figures['limits']}")
    for name, meaning in _LIMITED:
        if name in figures:
            table.add_row(name.replace("_", " "), figures[name], meaning)
    return table


def _failures(console: Terminal, result: dict[str, Any]) -> None:
    """Print the first failed items."""
    for item in result["failures"][:SHOWN]:
        line = f"failed {item['kind']} {item['item']}: {item['error']}: {item['message']}"
        console.print(line, style="yellow")


def _waiting(console: Terminal, result: dict[str, Any], now: datetime) -> None:
    """Print the remaining waits with their ends."""
    if not result["waiting"]:
        return
    console.print("", Styled("Waiting", "bold"))
    for item in result["waiting"]:
        first = "" if item["count"] == 1 else ", the first"
        until = _moment(datetime.fromisoformat(item["next_at"]), now)
        console.print(f"{item['what']}{first} until {until}")
    if not result["sandbox"]:
        console.print("`orders serve` processes it when due, `orders run --count 0` afterwards")


def _moment(then: datetime, now: datetime) -> str:
    """Return a time of day in UTC, with the date if it is not today, and the remaining time."""
    form = "%H:%M:%S UTC" if then.date() == now.date() else "%Y-%m-%d %H:%M:%S UTC"
    return f"{then.strftime(form)} ({_distance((then - now).total_seconds())})"


def _distance(seconds: float) -> str:
    for unit, size in (("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"in {round(seconds / size)} {unit}"
    return f"in {round(seconds)} s" if seconds > 0 else "due now"


def _kinds(generated: Generated) -> Table:
    title = f"{generated.count} generated orders (seed {generated.seed})"
    table = Table("kind", "orders", "result", title=title)
    for kind, meaning in EXPECTED.items():
        table.add_row(kind, generated.kinds[kind], meaning)
    return table


def _style(name: str, result: dict[str, Any]) -> str:
    return "yellow" if name in _ALARMING and result[name] else ""


def _files(
    console: Terminal, result: dict[str, Any], where: DataDirectory, generated: Generated | None
) -> None:
    files = len(list(where.bucket.glob("order_events/dt=*/*.parquet")))
    command = "orders" if which("orders") else ".venv/bin/orders"
    data = "" if where.root.name == ".orderflow" else f" --data {where.root}"
    table = Table()
    kind = "a sandbox: waits were skipped" if result["sandbox"] else "real: no wait was skipped"
    table.add_row("directory", kind)
    table.add_row("Parquet", f"{where.bucket / 'order_events'} ({files} files)")
    table.add_row("log", where.log)
    order = generated.events[0][1]["detail"]["order_id"] if generated and generated.events else None
    if order:
        table.add_row("one order", f"{command} show {order}{data}")
        table.add_row("its mail", f"{command} show {order} --mail FILE.eml{data}")
    console.print("", Styled("Where it is", "bold"), table)
    console.print("", Styled("What to try next", "bold"))
    table = Table()
    table.add_row(f"{command} list{data}", "the orders, the newest first")
    table.add_row(f"{command} query revenue_by_day{data}", "revenue, from the analysts' files")
    table.add_row(f"{command} report{data}", "the daily report, as a page")
    if result["totals"]["dead_letters"]:
        table.add_row(f"{command} dead-letters list{data}", "messages that need an operator")
    table.add_row(f"{command} serve{data}", "the HTTP API and the AWS endpoint")
    console.print(table)
