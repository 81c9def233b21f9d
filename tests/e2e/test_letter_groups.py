"""`orders dead-letters groups`, and letters as a file that `orders replay` reads."""

import json
from pathlib import Path

import pytest

from tests.fakes.serving import answer, orders
from tests.host import order


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("groups")
    (root / "stock.csv").write_text("sku,on_hand\nTEA,100\n")
    first = [order(f"A-{number}") for number in range(4)]
    second = [order(f"A-{number}", customer_id="C-9") for number in range(4)]
    broken = order("B-1", total=99)
    file = root / "events.ndjson"
    file.write_text("".join(f"{json.dumps(each)}\n" for each in first))
    answer("run", "--from", file, "--stock", root / "stock.csv", "--data", root / "data")
    file.write_text("".join(f"{json.dumps(each)}\n" for each in [*second, broken]))
    orders("run", "--from", file, "--data", root / "data")
    return root / "data"


def test_letters_of_one_cause_are_one_group(data: Path) -> None:
    groups = answer("dead-letters", "groups", "--data", data)["groups"]
    [conflicts] = [group for group in groups if "OrderConflict" in group["label"]]
    assert (conflicts["count"], conflicts["orders"], conflicts["last_hour"]) == (4, 4, 4)
    assert "A-1" not in conflicts["label"]
    assert {sample["order_id"] for sample in conflicts["samples"]} <= {f"A-{n}" for n in range(4)}
    text = orders("dead-letters", "groups", "--data", data).stdout
    assert "4 letters of 4 orders in QuarantineQueue; 4 in the last hour" in text
    [queue] = answer("dead-letters", "groups", "--by", "queue", "--data", data)["groups"]
    assert queue["label"] == "QuarantineQueue"


def test_letters_of_a_reason_are_a_replayable_file(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "letters.ndjson"
    options = ("--reason", "orderconflict", "--to-file", file, "--data", data)
    assert answer("dead-letters", "list", *options)["written"] == 4
    said = answer("replay", file, "--dry-run", "--data", data)
    assert said["totals"]["effect"] == {"conflict": 4}
    refused = orders("dead-letters", "list", *options)
    assert (refused.returncode, "exists; name another file" in refused.stderr) == (1, True)
