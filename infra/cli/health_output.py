"""The health of a platform on one screen."""

import time
from collections.abc import Iterable, Iterator

from infra.terminal.output import Styled, Table, console
from infra.views.health import Health, Latency, plural
from kernel.timestamps import moment

SHOWN = 6
"""Lines of a part; the others are counted."""


def show_health(health: Health) -> None:
    """Print the health: the needs first, then the figures."""
    verdict = "no item needs an operator"
    if health.needs:
        verdict = plural(len(health.needs), "item", "need") + " an operator"
    when = health.at.replace("T", " ")[:19]
    console.print(Styled(f"{verdict}   {when} UTC", "bold red" if health.needs else "bold green"))
    console.print(Styled(f"{health.place}{_sandbox(health)}", "dim"))
    _show_needs(health)
    figures = Table()
    for label, value in _figures(health):
        figures.add_row(Styled(label, "bold"), value)
    console.print("", figures)


def _sandbox(health: Health) -> str:
    """Return a remark on the clock of a sandbox, in which `orders run` skipped waits."""
    minutes = round((moment(health.at).timestamp() - time.time()) / 60)
    return f" (a sandbox: its clock is {minutes:,} min ahead)" if minutes > 0 else ""


def _show_needs(health: Health) -> None:
    if health.needs:
        console.print()
    for need in health.needs[:SHOWN]:
        since = f" (since {_minute(need.since)})" if need.since else ""
        console.print(Styled(f"!! {need.text}{since}", "red"), f"   {need.remedy}")
    if len(health.needs) > SHOWN:
        console.print(f"   and {len(health.needs) - SHOWN} more; --json has all")


def _figures(health: Health) -> Iterator[tuple[str, str]]:
    totals = ", ".join(f"{number:,} {name}" for name, number in health.totals.items())
    yield "orders", totals or "none yet"
    yield "per minute", ", ".join(f"{rate.per_minute:g} {rate.name}" for rate in health.rates)
    yield "last hour", ", ".join(f"{rate.last_hour:,} {rate.name}" for rate in health.rates)
    yield from ((each.name, _percentiles(each)) for each in health.latencies)
    waiting = [
        f"{each.count:,} for {each.waits_for}; {each.order_id} since {_minute(each.since)},"
        f" until {_minute(each.until)}"
        for each in health.waiting
    ]
    yield from _lines("waiting", waiting)
    yield "backlog", ", ".join(f"{each.name} {each.count:,}" for each in health.stages) or "none"
    failures = [
        f"{each.reason} {each.last_hour:,} (the hour before {each.hour_before:,})"
        for each in health.failures
    ]
    yield from _lines("failures", failures)
    if health.reviews is not None:
        yield "reviews", f"{health.reviews:,} open"
    yield from _platform(health)


def _platform(health: Health) -> Iterator[tuple[str, str]]:
    if health.sink is not None:
        waiting = "" if health.sink.waiting is None else f", {health.sink.waiting:,} events wait"
        yield "analytics", f"{_duration(health.sink.lag_seconds)} behind{waiting}"
    if health.disk is not None:
        disk = health.disk
        sizes = f"databases {_bytes(disk.databases)}, their logs {_bytes(disk.logs)}"
        yield "disk", f"{_bytes(disk.free)} free; {sizes}"
    workers = health.workers
    if workers is None:
        if health.disk is not None:
            yield "server", "none"
        return
    state = "ready" if workers.ready else f"not ready: {workers.problem}"
    processes = ""
    if workers.wanted:
        processes = f", {workers.alive} of {workers.wanted} workers, {workers.replaced} replaced"
    yield "server", f"{workers.address} {state}{processes}"


def _lines(label: str, values: list[str]) -> Iterable[tuple[str, str]]:
    """Return a line for each value, the first with the label."""
    lines = values[:SHOWN] or ["none"]
    if len(values) > SHOWN:
        lines.append(f"and {len(values) - SHOWN} more; --json has all")
    return zip([label, *[""] * len(lines)], lines, strict=False)


def _percentiles(latency: Latency) -> str:
    if latency.p50 is None or latency.p99 is None:
        return "no value in the last hour"
    p50, p99 = _duration(latency.p50), _duration(latency.p99)
    return f"p50 {p50}, p99 {p99} of {latency.count:,} in the last hour"


def _duration(seconds: float) -> str:
    """Return seconds in a unit that a person reads: ms, s, min or h."""
    for unit, size in (("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    if 0 < seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s"


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _bytes(number: int) -> str:
    size = 1e9 if number >= 1e9 else 1e6  # noqa: PLR2004 - from a gigabyte on
    return f"{number / size:.1f} {'GB' if size > 1e6 else 'MB'}"  # noqa: PLR2004
