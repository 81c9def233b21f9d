"""Exports, backups and audits of a directory in which a burst of orders is under way.

`make exports COUNT=200` takes many of them.
"""

import json
import shutil
import threading
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest
from typer.testing import CliRunner

from infra.cli.generator import generate
from infra.cli.main import app
from tests.e2e.upstream import to_entries
from tests.fakes.serving import Served

BURST = 400
"""Orders of one burst."""

PAUSE = 0.1
"""Seconds between two requests of ten events: the platform lags, and catches up."""

ROUNDS = 20
"""Exports of one directory before the next directory, because its size grows."""


class Burst(threading.Thread):
    """A context that puts bursts of orders of every kind until its end."""

    def __init__(self, server: Served) -> None:
        super().__init__()
        self.client = server.client("events")
        self.put = 0
        self.failure: Exception | None = None
        self._end = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def run(self) -> None:
        """Put ten events at a time."""
        try:
            for seed in count(1):
                entries = list(to_entries(generate(BURST, seed)))
                for first in range(0, len(entries), 10):
                    told = self.client.put_events(Entries=entries[first : first + 10])
                    assert told["FailedEntryCount"] == 0, told
                    self.put += len(told["Entries"])
                    if self._end.wait(PAUSE):
                        return
        except Exception as error:  # noqa: BLE001 - raised where the block ends
            self.failure = error


def test_each_export_and_backup_during_a_burst_has_one_consistent_moment(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    left = int(pytestconfig.getoption("--exports"))
    exports: list[dict[str, Any]] = []
    while left > 0:
        rounds = min(left, ROUNDS)
        folder = tmp_path / "burst"
        exports += during_a_burst(folder, rounds)
        shutil.rmtree(folder)
        left -= rounds
    assert max(totals["in_flight"] for totals in exports) > 0
    moving = sum(
        bool(totals["to_be_sent"] or totals["messages"] or totals["stock"]["reserved"])
        for totals in exports
    )
    print(f"{len(exports)} exports, {moving} of them while orders were half way")  # noqa: T201


def during_a_burst(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Export, back up and audit repeatedly during bursts; return the totals of each export."""
    stock = folder / "stock.csv"
    folder.mkdir()
    units = {
        sku: 1_000_000 if units else 0 for sku, units in generate(BURST, 1).receipt.units.items()
    }
    stock.write_text("sku,on_hand\n" + "".join(f"{sku},{n}\n" for sku, n in units.items()))
    with Served(folder / "data", "--stock", str(stock)) as server:
        with Burst(server) as burst:
            server.until("select count(*) > 0 from orders where status = 'COMPLETED'", 1)
            exports = [one_round(server.data, folder / f"{number}") for number in range(rounds)]
        assert server.stop() == 0
        assert burst.put > 0
        sound(server.data)
    return exports


def one_round(data: Path, folder: Path) -> dict[str, Any]:
    """Export and import, back up and restore; audit each, and the directory itself."""
    folder.mkdir()
    totals: dict[str, Any] = answer("export", folder / "orders.ndjson.gz", "--data", data)["totals"]
    told = answer("import", folder / "orders.ndjson.gz", "--data", folder / "imported")
    assert (told["known"], told["totals"]) == (0, totals)
    sound(folder / "imported")
    answer("backup", folder / "orders.tar", "--data", data)
    answer("restore", folder / "orders.tar", "--data", folder / "restored")
    sound(folder / "restored")
    sound(data)
    shutil.rmtree(folder)
    return totals


def sound(data: Path) -> None:
    """Assert that an audit of a directory finds nothing."""
    told = answer("audit", "--data", data)
    assert (told["number"], told["findings"]) == (0, [])


def answer(*arguments: object) -> Any:
    """Run a command in this process; return the JSON object on its last line."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert result.exception is None, f"{arguments}: {result.output} {result.exception!r}"
    return json.loads(result.stdout.splitlines()[-1])
