"""The figures of the platform in Prometheus's text format.

Source: Prometheus, "Exposition formats", text format 0.0.4: a metric's samples are one group after
its ``# HELP`` and ``# TYPE``; the buckets of a histogram are cumulative and end with ``+Inf``.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from infra.local.directory.measure_buckets import BOUNDS, COUNTED
from infra.local.engine.measures import Key, Sum, Sums
from infra.views.health import Health

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]

_ENDED = ("completed", "failed", "cancelled")


def metrics_text(sums: Sums, health: Health, version: str) -> str:
    """Return the measures and the health as text that Prometheus scrapes."""
    lines = [
        *_gauge("build_info", "The version of the server.", "version", {version: 1}),
        *_family(
            "orderflow_events_total",
            "counter",
            "Events that the bus accepted, by detail type.",
            (({"detail_type": key.label}, number.number) for key, number in _of(sums, "events")),
        ),
        *_family(
            "orderflow_orders_ended_total",
            "counter",
            "Orders that ended, by outcome and reason.",
            (
                ({"outcome": outcome, "reason": key.label}, number.number)
                for outcome in _ENDED
                for key, number in _of(sums, outcome)
            ),
        ),
        *_histogram(
            "orderflow_time_to_complete_seconds",
            "Time from the arrival of an order to its completion.",
            "",
            sums,
            "time_to_complete",
        ),
        *_histogram(
            "orderflow_time_to_deliver_seconds",
            "Time from the arrival of an event to its delivery to a rule's target.",
            "target",
            sums,
            "time_to_deliver",
        ),
        *_gauges(health),
    ]
    return "\n".join(lines) + "\n"


def _gauges(health: Health) -> Iterator[str]:
    needs: defaultdict[str, int] = defaultdict(int)
    for need in health.needs:
        needs[need.kind] += need.count
    yield from _gauge("needs", "Items that need an operator.", "kind", needs)
    backlog = {stage.name: stage.count for stage in health.stages}
    yield from _gauge("backlog", "Open work by stage.", "stage", backlog)
    waiting = {each.waits_for: each.count for each in health.waiting}
    yield from _gauge("orders_waiting", "Waiting orders, by the cause of the wait.", "for", waiting)
    open_orders = {"": health.totals.get("open", 0)}
    yield from _gauge("orders_open", "Orders that have not ended.", "", open_orders)
    if health.reviews is not None:
        yield from _gauge("reviews_open", "Open reviews.", "", {"": health.reviews})
    if health.sink is not None:
        lag = {"": health.sink.lag_seconds}
        yield from _gauge("sink_lag_seconds", "Age of the oldest event not in a file.", "", lag)
    if health.disk is not None:
        sizes = {"free": health.disk.free, "databases": health.disk.databases}
        sizes["logs"] = health.disk.logs
        yield from _gauge("disk_bytes", "Free bytes, and sizes of files.", "what", sizes)
    if health.workers is not None and health.workers.wanted is not None:
        workers = health.workers
        numbers = {"alive": workers.alive or 0, "wanted": workers.wanted or 0}
        yield from _gauge("workers", "Worker processes.", "state", numbers)
        help_ = "Workers that ended and were replaced."
        samples: list[tuple[Labels, float]] = [({}, workers.replaced or 0)]
        yield from _family("orderflow_workers_replaced_total", "counter", help_, samples)


def _gauge(name: str, help_: str, label: str, values: Mapping[str, float]) -> Iterator[str]:
    samples = (({label: key} if label else {}, value) for key, value in values.items())
    yield from _family(f"orderflow_{name}", "gauge", help_, samples)


def _of(sums: Sums, name: str) -> Iterator[tuple[Key, Sum]]:
    return ((key, each) for key, each in sums.items() if key.name == name and key.bucket == COUNTED)


def _family(
    name: str, kind: str, help_: str, samples: Iterable[tuple[Labels, float]]
) -> Iterator[str]:
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield f"{name}{_labels(labels)} {value}"


def _histogram(name: str, help_: str, label: str, sums: Sums, measure: str) -> Iterator[str]:
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} histogram"
    found: defaultdict[str, dict[int, Sum]] = defaultdict(dict)
    for key, each in sums.items():
        if key.name == measure:
            found[key.label][key.bucket] = each
    for value, buckets in found.items():
        own = {label: value} if label else {}
        below = 0
        for bucket, bound in enumerate(BOUNDS):
            below += buckets[bucket].number if bucket in buckets else 0
            yield f"{name}_bucket{_labels({**own, 'le': f'{bound:g}'})} {below}"
        number = sum(each.number for each in buckets.values())
        yield f"{name}_bucket{_labels({**own, 'le': '+Inf'})} {number}"
        yield f"{name}_sum{_labels(own)} {sum(each.seconds for each in buckets.values())}"
        yield f"{name}_count{_labels(own)} {number}"


def _labels(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
