"""``make bench-clients``: clients that put events as fast as possible, and the fate of each event.

By default ten clients run for a minute, each in a separate process with boto3's default retries.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from tests.bench.platform_burst import Memory
from tests.fakes.serving import Served

ROOT = Path(__file__).parents[2]
FORK = multiprocessing.get_context("fork")
PATIENCE = 1_800.0
"""Maximum seconds until the server has processed all events."""

_ENDED = "status in ('COMPLETED', 'FAILED', 'CANCELLED')"


@dataclass(slots=True)
class ClientResult:
    """The answers that a client got."""

    acknowledged: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Durations of requests, including retries."""

    throttles: int = 0
    errors: Counter[str] = field(default_factory=Counter)


def client(number: int, address: str, seconds: float, most: int, connection: Any) -> None:
    """Put events for some seconds, ten per request, and send the result to the parent process."""
    result = ClientResult()
    events = _client(address)
    events.meta.events.register("response-received.events", _count_throttles(result))
    end = time.monotonic() + seconds
    for first in range(0, most, 10):
        if time.monotonic() >= end:
            break
        entries = [_entry(f"L{number}-{first + each}") for each in range(10)]
        started = time.perf_counter()
        try:
            answered = events.put_events(Entries=entries)
        except (BotoCoreError, ClientError) as error:
            result.errors[type(error).__name__] += 1
        else:
            answers = answered["Entries"]
            result.acknowledged += [entry["EventId"] for entry in answers if "EventId" in entry]
        result.seconds.append(time.perf_counter() - started)
    connection.send(result)


def _client(address: str) -> Any:
    return boto3.client(
        "events",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(read_timeout=60),
    )


def _count_throttles(result: ClientResult) -> Any:
    def look(parsed_response: Any = None, **_: Any) -> None:
        error = (parsed_response or {}).get("Error", {})
        result.throttles += error.get("Code") == "ThrottlingException"

    return look


def _entry(order_id: str) -> dict[str, str]:
    detail = {
        "order_id": order_id,
        "customer_id": "C-1",
        "currency": "USD",
        "items": [{"sku": "TEA", "quantity": 1, "unit_price": 12.5}],
        "total": 12.5,
        "timestamp": "2026-01-31T12:00:00Z",
        "email": "ada@example.com",
    }
    return {
        "EventBusName": "orders-bus",
        "Source": "orders.service",
        "DetailType": "Order Created",
        "Detail": json.dumps(detail),
    }


def load(folder: Path, clients: int, seconds: float, most: int) -> dict[str, Any]:
    """Serve, run clients, wait until all orders have ended; return the measurements."""
    stock = folder / "stock.csv"
    stock.write_text("sku,on_hand\nTEA,100000000\n")
    with Served(folder / "data", "--stock", str(stock)) as server:
        assert server.process is not None
        with Memory([server.process.pid, *_children(server.process.pid)]) as memory:
            results = _put(server.address, clients, seconds, most)
            meanwhile = _ended(server)
            started = time.monotonic()
            wanted = sum(len(result.acknowledged) for result in results)
            while _ended(server) < wanted and time.monotonic() - started < PATIENCE:
                time.sleep(1)
            worked = time.monotonic() - started
        code = server.stop()
    return {
        "clients": clients,
        **_summary(results, seconds),
        **_losses(server, results),
        "ended_meanwhile": meanwhile,
        "work_off_seconds": round(worked, 1),
        "exit_code": code,
        "resident_mb": round(memory.resident),
        "proportional_mb": round(memory.proportional),
        "database_mb": round((folder / "data" / "orderflow.db").stat().st_size / 1e6, 1),
    }


def _ended(server: Served) -> int:
    [(ended,)] = server.rows(f"select count(*) from orders where {_ENDED}")
    return int(ended)


def _put(address: str, clients: int, seconds: float, most: int) -> list[ClientResult]:
    """Run clients concurrently; return their results."""
    running = []
    for number in range(clients):
        ours, theirs = FORK.Pipe(duplex=False)
        process = FORK.Process(
            target=client, args=(number, address, seconds, most // clients, theirs)
        )
        process.start()
        theirs.close()
        running.append((process, ours))
    results: list[ClientResult] = []
    for process, ours in running:
        results.append(ours.recv())
        process.join()
    return results


def _children(pid: int) -> list[int]:
    """Return the ids of a process's descendants."""
    own = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return own + [grandchild for child in own for grandchild in _children(child)]


def _summary(results: list[ClientResult], seconds: float) -> dict[str, Any]:
    taken = [1000 * second for result in results for second in result.seconds]
    cuts = quantiles(taken, n=100)
    acknowledged = sum(len(result.acknowledged) for result in results)
    return {
        "requests": len(taken),
        "acknowledged": acknowledged,
        "acknowledged_per_second": round(acknowledged / seconds, 1),
        "p50_ms": round(cuts[49], 1),
        "p99_ms": round(cuts[98], 1),
        "longest_ms": round(max(taken), 1),
        "throttles": sum(result.throttles for result in results),
        "errors": dict(sum((result.errors for result in results), Counter[str]())),
    }


def _losses(server: Served, results: list[ClientResult]) -> dict[str, int]:
    """Return the numbers of lost acknowledged events, and of their orders that did not end."""
    stored = dict(server.rows("select id, order_id from events"))
    done = {order for (order,) in server.rows(f"select order_id from orders where {_ENDED}")}
    acknowledged = [event for result in results for event in result.acknowledged]
    return {
        "lost": sum(event not in stored for event in acknowledged),
        "not_ended": sum(stored.get(event) not in done for event in acknowledged),
    }


def main() -> int:
    """Measure, print the table, save the figures; return 1 if an acknowledged event was lost."""
    parser = argparse.ArgumentParser(prog="make bench-clients", description=__doc__)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--most", type=int, default=100_000, help="maximum number of orders")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "clients.json")
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder:
        figures = load(Path(folder), chosen.clients, chosen.seconds, chosen.most)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    table = Table("figure", "value", title=f"{chosen.clients} clients, {chosen.seconds:g} s")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), str(value))
    Console().print(table)
    sys.stdout.write(f"figures: {chosen.out}\n")
    return 1 if figures["lost"] or figures["not_ended"] else 0


if __name__ == "__main__":
    sys.exit(main())
