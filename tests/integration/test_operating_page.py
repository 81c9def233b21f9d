"""Backup, upgrade and move as docs/operating.md describes them."""

import shutil
from pathlib import Path

from tests.fakes.older import unpacked
from tests.fakes.serving import Served, answer
from tests.host import order

WAITING = "select count(*) from orders where status = 'WAITING'"
DONE = "select count(*) from orders where status = 'COMPLETED'"


def waiting_order(server: Served) -> None:
    """Place an order that waits for units, and note settings."""
    (server.data / "settings.toml").write_text("MaxAttempts = 7\n")
    assert server.ask("POST", "/orders", order()["detail"])[0] == 201
    server.until(WAITING, 1)


def finish(data: Path, units: Path) -> None:
    """Serve a directory, and let its waiting order end."""
    with Served(data, "--workers", "0") as server:
        answer("stock", "receive", units, "--data", data)
        server.until(DONE, 1)
        server.stop()
    assert answer("audit", "--data", data)["findings"] == []


def test_a_backup_of_a_served_directory_continues_after_its_restore(tmp_path: Path) -> None:
    units, archive, new = tmp_path / "units.csv", tmp_path / "b.tar.gz", tmp_path / "new" / "data"
    units.write_text("sku,on_hand\nTEA,3\n")
    empty = tmp_path / "empty.csv"
    empty.write_text("sku,on_hand\nTEA,0\n")
    with Served(tmp_path / "old" / "data", "--workers", "0", "--stock", str(empty)) as server:
        waiting_order(server)
        assert answer("backup", archive, "--data", server.data)["figures"]["in_flight"] == 1
        server.stop()
    answer("restore", archive, "--data", new)
    finish(new, units)
    [setting] = answer("config", "MaxAttempts", "--data", new)["settings"]
    assert setting["value"] == "7"


def test_a_copy_and_an_export_move_a_directory(tmp_path: Path) -> None:
    units, empty = tmp_path / "units.csv", tmp_path / "empty.csv"
    units.write_text("sku,on_hand\nTEA,3\n")
    empty.write_text("sku,on_hand\nTEA,0\n")
    with Served(tmp_path / "old" / "data", "--workers", "0", "--stock", str(empty)) as server:
        waiting_order(server)
        server.stop()
    copied, moved = tmp_path / "copy" / "data", tmp_path / "moved" / "data"
    shutil.copytree(server.data, copied)
    answer("export", tmp_path / "e.ndjson.gz", "--data", server.data)
    answer("import", tmp_path / "e.ndjson.gz", "--data", moved)
    for data in (copied, moved):
        finish(data, units)


def test_an_upgrade_migrates_and_the_backup_before_it_goes_back(tmp_path: Path) -> None:
    older = unpacked("version-3-settled", tmp_path / "older")
    archive = tmp_path / "before-upgrade.tar.gz"
    before = answer("backup", archive, "--data", older.root)
    assert before["schema"] < 5
    number = len(answer("list", "--limit", "1000", "--data", older.root)["orders"])
    assert number == before["figures"]["orders"] > 0
    assert answer("restore", archive, "--data", tmp_path / "back")["schema"] == before["schema"]
