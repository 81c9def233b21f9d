"""`orders replay` of files: its requests, its checkpoint, its account, and its dry run."""

import gzip
import json
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from infra.cli.replaying.checkpoint import Checkpoints
from infra.local.template.project import ROOT
from infra.queries.pack import queries
from infra.queries.warehouse import run_query
from tests.fakes.serving import COMMAND, Served, answer, orders, rows
from tests.host import event, order

EXAMPLES = ROOT / "events_schema"
OF_DELIVERIES = {"duplicate_deliveries", "freshness", "replays"}
"""Named queries about deliveries, which a replay adds."""


def write_orders(file: Path, number: int, form: str = "ndjson") -> Path:
    """Write so many orders as lines, a list, or gzipped lines."""
    lines = [json.dumps(order(f"R-{each:06}")) for each in range(number)]
    text = f"[{','.join(lines)}]" if form == "json" else "\n".join(lines)
    if form == "gz":
        file.write_bytes(gzip.compress(text.encode()))
    else:
        file.write_text(text)
    return file


def write_events(file: Path, *events: dict[str, Any]) -> Path:
    file.write_text("".join(f"{json.dumps(each)}\n" for each in events))
    return file


def times_accepted(data: Path) -> Counter[str]:
    """Return how often the bus accepted the event of each order."""
    ids = "select order_id from events where detail_type = 'Order Created'"
    try:
        return Counter(row[0] for row in rows(data / "orderflow.db", ids))
    except sqlite3.OperationalError:  # the directory is not complete yet
        return Counter()


def figures(data: Path) -> dict[str, Any]:
    """Return the rows of every named query about orders."""
    return {
        query.name: run_query(data, query.name)
        for query in queries()
        if query.name not in OF_DELIVERIES
    }


def test_replays_of_examples_and_export_change_no_figure(tmp_path: Path) -> None:
    data, export = tmp_path / "data", tmp_path / "export.ndjson.gz"
    orders("emit", EXAMPLES, "--data", data)
    answer("run", "--count", 0, "--stock", EXAMPLES / "sample_stock.csv", "--data", data)
    answer("export", export, "--data", data)
    before = figures(data)
    assert before["revenue_by_day"]
    for source in (EXAMPLES, export):
        told = answer("replay", source, "--data", data)
        assert told["accepted"] > 10
        assert told["facts_skipped"] > 10
        assert told["accepted"] + told["facts_skipped"] == told["read"]
    answer("run", "--count", 0, "--data", data)
    assert figures(data) == before


def test_facts_are_sent_on_one_machine_alone(tmp_path: Path) -> None:
    folder = EXAMPLES / "order-completed" / "examples"
    told = answer("replay", folder, "--data", tmp_path / "data")
    assert (told["accepted"], told["facts_skipped"]) == (0, told["read"])
    assert not (tmp_path / "data").exists()
    told = answer("replay", folder, "--facts", "--data", tmp_path / "data")
    assert (told["accepted"], told["facts_skipped"]) == (told["read"], 0)
    refused = orders("replay", folder, "--facts", "--yes", "--region", "eu-west-1")
    assert refused.returncode == 1
    assert "--facts is for one machine" in refused.stderr


# ---- the checkpoint


def checkpoint_of(data: Path) -> int:
    """Return the number of the source's values that the only checkpoint counts."""
    return sum(json.loads(file.read_text())["offset"] for file in data.glob("replays/*.json"))


@pytest.mark.parametrize("form", ["ndjson", "json", "gz"])
def test_a_killed_replay_continues_and_leaves_no_event_out(tmp_path: Path, form: str) -> None:
    data, number = tmp_path / "data", 3_000
    file = write_orders(tmp_path / f"orders.{form}", number, form)
    command = ("replay", str(file), "--data", str(data), "--json")
    process = subprocess.Popen([COMMAND, *command], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        # the kill comes after a checkpoint of sent events
        while sum(times_accepted(data).values()) < 500 or not checkpoint_of(data):
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = times_accepted(data)
    assert 500 <= sum(before.values()) < number
    told = answer(*command[:-1], timeout=120)
    times = times_accepted(data)
    assert len(times) == number
    assert (told["read"], told["sent"], told["accepted"]) == (number, number, number)
    assert (told["state"], told["interruptions"]) == ("COMPLETED", 1)
    again = sum(times.values()) - number
    assert again < sum(before.values()), "it continued, and did not begin again"


def test_an_interrupted_replay_says_where_it_is_and_continues(tmp_path: Path) -> None:
    data, number = tmp_path / "data", 60
    file = write_orders(tmp_path / "orders.ndjson", number)
    command = [str(COMMAND), "replay", str(file), "--rate", "20", "--data", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while sum(times_accepted(data).values()) < 10:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    text = process.communicate(timeout=30)[0].decode()
    assert process.returncode == 130
    sent = sum(times_accepted(data).values())
    assert f"{sent} events accepted" in text
    assert "The same command continues it" in text
    [listed] = answer("replays", "list", "--data", data)["replays"]
    assert (listed["state"], listed["sent"]) == ("PAUSED", sent)
    told = answer("replay", file, "--rate", 20, "--data", data)
    assert (told["accepted"], told["interruptions"]) == (number, 1)
    assert set(times_accepted(data).values()) == {1}


def test_a_replay_of_files_is_paused_from_another_terminal(tmp_path: Path) -> None:
    data, number = tmp_path / "data", 600
    file = write_orders(tmp_path / "orders.ndjson", number)
    command = [str(COMMAND), "replay", str(file), "--rate", "0.1", "--name", "slow"]
    process = subprocess.Popen([*command, "--data", str(data)], stdout=subprocess.PIPE)
    while sum(times_accepted(data).values()) < 1:  # the next one is ten seconds away
        time.sleep(0.02)
    again = orders(*command[1:], "--data", data)
    assert (again.returncode, "is running as process" in again.stderr) == (1, True)
    assert answer("replays", "pause", "slow", "--data", data)["state"] == "PAUSED"
    assert not Checkpoints(data).is_running(Checkpoints(data).all()[0].key)
    text = process.communicate(timeout=30)[0].decode()
    assert process.returncode == 130
    assert "slow is PAUSED" in text
    resumed = answer("replays", "resume", "slow", "--data", data)
    assert str(file) in resumed["command"]
    assert answer("replays", "cancel", "slow", "--data", data)["state"] == "CANCELLED"
    told = answer("replay", file, "--limit", 5, "--name", "slow", "--data", data)
    assert (told["accepted"], told["interruptions"]) == (5, 0)


def test_a_completed_replay_begins_again(tmp_path: Path) -> None:
    data, file = tmp_path / "data", write_orders(tmp_path / "orders.ndjson", 5)
    for _ in range(2):
        told = answer("replay", file, "--data", data)
        assert (told["accepted"], told["interruptions"]) == (5, 0)
    assert set(times_accepted(data).values()) == {2}


def test_another_file_or_selection_has_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    data, file = tmp_path / "data", write_orders(tmp_path / "orders.ndjson", 5)
    for options in ((), ("--limit", 2), ("--filter", "order_id=R-000004")):
        answer("replay", file, *options, "--data", data)
    write_orders(file, 6)
    answer("replay", file, "--data", data)
    assert len(list((data / "replays").glob("*.json"))) == 4


# ---- the account


def test_the_account_has_reasons_outcomes_and_the_proof(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (tmp_path / "stock.csv").write_text("sku,on_hand\nTEA,100\n")
    bad = order("A-4", total=99)
    file = write_events(
        tmp_path / "events.ndjson",
        *(order("A-1"), order("A-2"), order("A-1", customer_id="C-9")),
        *(bad, event("Order Completed", "A-1")),
    )
    with Served(data, "--stock", str(tmp_path / "stock.csv")):
        answer("emit", write_events(tmp_path / "first.ndjson", order("A-1")), "--data", data)
        wait_for_end(data, "A-1")
        done = orders("replay", file, "--data", data, "--json")
        told = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 1, "an event was rejected"
    assert (told["read"], told["accepted"], told["rejected"]) == (5, 3, 2)
    assert sum(told["rejected_by_reason"].values()) == 2
    assert told["outcomes"]["new_orders"] == 1
    assert told["outcomes"]["duplicates_ignored"] == 1
    assert told["outcomes"]["conflicts_ignored"] == 1
    before, after = told["proof"]["before"], told["proof"]["after"]
    assert (before["charges"], after["charges"]) == (1, 2)
    assert (before["gateway_charges"], after["gateway_charges"]) == (1, 2)
    assert (after["orders_charged_twice"], after["orders_shipped_twice"]) == (0, 0)
    assert told["unprocessed"] == 0


def wait_for_end(data: Path, order_id: str) -> None:
    end = time.monotonic() + 30
    query = "select status from orders where order_id = ?"
    while rows(data / "orderflow.db", query, order_id) != [("COMPLETED",)]:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_new_ids_make_a_load_of_new_orders(tmp_path: Path) -> None:
    data, file = tmp_path / "data", write_orders(tmp_path / "orders.ndjson", 4)
    answer("replay", file, "--data", data)
    answer("replay", file, "--new-ids", "--data", data)
    times = times_accepted(data)
    assert len(times) == 8
    assert sum(each.startswith("R-000001") for each in times) == 2


def test_analysts_see_the_name_of_a_replay(tmp_path: Path) -> None:
    data, file = tmp_path / "data", write_orders(tmp_path / "orders.ndjson", 2)
    answer("replay", file, "--name", "after-the-outage", "--data", data)
    answer("run", "--count", 0, "--data", data)
    names = "select distinct replay_name from order_events_raw where event_type = 'Order Created'"
    assert answer("query", names, "--data", data)["rows"] == [["after-the-outage"]]


# ---- the dry run


def test_a_dry_run_names_the_rule_and_the_condition_that_fails_by_a_cent(tmp_path: Path) -> None:
    line = {"sku": "TEA", "quantity": 1, "unit_price": 999.99}
    file = write_events(tmp_path / "one.ndjson", order("A-1", items=[line], total=999.99))
    told = answer("replay", file, "--dry-run", "--data", tmp_path / "data")
    [high] = [each for each in told["events"][0]["rules"] if each["rule"] == "HighValueRule"]
    assert high["matches"] is False
    assert high["failed"] == ["detail.total wants >= 1000, has 999.99"]
    text = orders("replay", file, "--dry-run", "--data", tmp_path / "data").stdout
    assert "HighValueRule" in text
    assert "detail.total wants >= 1000, has 999.99" in text
    assert not (tmp_path / "data").exists()


def test_a_dry_run_says_conflict_for_changed_content(tmp_path: Path) -> None:
    data = tmp_path / "data"
    answer("replay", write_events(tmp_path / "one.ndjson", order("A-1")), "--data", data)
    answer("run", "--count", 0, "--data", data)
    line = {"sku": "TEA", "quantity": 3, "unit_price": 12.5}
    changed = write_events(tmp_path / "two.ndjson", order("A-1", items=[line], total=37.5))
    told = answer("replay", changed, "--dry-run", "--data", data)
    assert told["events"][0]["effect"] == "conflict"
    assert told["totals"]["effect"] == {"conflict": 1}


@pytest.mark.parametrize("form", ["ndjson", "json", "gz"])
def test_many_events_take_little_memory(tmp_path: Path, form: str) -> None:
    file = write_orders(tmp_path / f"orders.{form}", 10_000, form)
    for options in (("--dry-run",), ()):
        script = (
            "import re, sys; from infra.cli.main import main\n"
            "try: main()\nexcept SystemExit: pass\n"
            # unlike ru_maxrss, it leaves out the process that started this one
            "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())\n"
            "print(peak[1], file=sys.stderr)"
        )
        done = subprocess.run(
            [COMMAND.with_name("python"), "-c", script, "replay", file, *options]
            + ["--data", tmp_path / "data", "--json"],
            capture_output=True,
            check=True,
        )
        assert int(done.stderr.split()[-1]) < 200_000, "KiB"


# ---- the archive and dead letters


def test_the_archive_is_replayed_and_no_figure_changes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    answer("run", "--count", 30, "--data", data)
    before = figures(data)
    said = answer("replay", "--archive", "--dry-run", "--data", data)
    assert said["totals"]["analytics"] == {"counted before": said["would_send"]}
    told = answer("replay", "--archive", "--name", "whole", "--data", data, timeout=180)
    assert (told["state"], told["sent"]) == ("COMPLETED", said["would_send"])
    for name in ("charges", "refunds", "shipments", "gateway_charges", "carrier_shipments"):
        assert told["proof"]["before"][name] == told["proof"]["after"][name]
    assert told["outcomes"]["duplicates_ignored"] > 20
    assert figures(data) == before
    [listed] = answer("replays", "list", "--data", data)["replays"]
    assert (listed["name"], listed["state"]) == ("whole", "COMPLETED")
    assert answer("replays", "show", "whole", "--data", data)["sent"] == told["sent"]
    refused = orders("replay", "--archive", "--name", "whole", "--data", data)
    assert "Replay whole already exists" in refused.stderr


def test_a_served_replay_is_paused_resumed_and_cancelled(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Served(data) as served:
        file = write_orders(tmp_path / "orders.ndjson", 200)
        answer("replay", file, "--wait", 0, "--data", data)
        command = [str(COMMAND), "replay", "--archive", "--rate", "2", "--name", "slow"]
        process = subprocess.Popen(
            [*command, "--rule", "OrderCreatedRule", "--data", str(data)], stdout=subprocess.PIPE
        )
        served.until("select count(*) from replays where replayed > 1", 1)
        paused = answer("replays", "pause", "slow", "--data", data)
        assert (paused["state"], paused["rules"]) == ("PAUSED", ["OrderCreatedRule"])
        text = process.communicate(timeout=30)[0].decode()
        assert "slow is PAUSED" in text
        assert answer("replays", "resume", "slow", "--data", data)["state"] == "RUNNING"
        assert answer("replays", "cancel", "slow", "--data", data)["state"] == "CANCELLED"
        again = orders("replays", "pause", "slow", "--data", data)
        assert (again.returncode, "slow is CANCELLED" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ((), "name files or folders, or say --archive or --dead-letters"),
        (("--archive", "--filter", "order_id=A"), "--filter is for files"),
        (("--archive", "--speed", "2"), "--speed is for files"),
        (("--archive", "--rule", "Nope"), "'Nope' does not exist"),
        (("--archive", "--dead-letters"), "name files or folders"),
        (("--archive", "--reason", "x"), "--reason selects dead letters"),
        (("--archive", "--rate", "1", "--region", "eu-west-1", "--yes"), "--rate is for"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, options: tuple[str, ...], problem: str
) -> None:
    done = orders("replay", *options, "--data", tmp_path / "data")
    assert done.returncode in (1, 2)
    assert problem in " ".join(done.stderr.replace("│", " ").split())


def test_dead_letters_are_replayed_by_their_reason(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (tmp_path / "stock.csv").write_text("sku,on_hand\nTEA,100\n")
    conflict = order("A-1", customer_id="C-9")
    file = write_events(tmp_path / "e.ndjson", order("A-1"), conflict, order("A-2"))
    answer("run", "--from", file, "--stock", tmp_path / "stock.csv", "--data", data)
    options = ("--dead-letters", "--reason", "orderconflict", "--data", data)
    said = answer("replay", *options, "--dry-run")
    assert said["totals"]["effect"] == {"conflict": 1}
    assert answer("replay", *options)["accepted"] == 1
    none = ("--dead-letters", "--reason", "no such reason", "--data", data)
    assert answer("replay", *none)["accepted"] == 0
