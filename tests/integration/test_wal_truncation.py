"""The write-ahead logs of both databases are empty at a clean end and when the engine is idle."""

import sqlite3
from contextlib import closing
from pathlib import Path

from infra.local.directory.wal_truncation import IDLE, IdleTruncation, truncate_logs
from tests.fakes import serving


def log_size(path: Path) -> int:
    log = path.with_name(f"{path.name}-wal")
    return log.stat().st_size if log.exists() else 0


def written(path: Path) -> sqlite3.Connection:
    """Return an open connection that has written into the log."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table t (x)")
    assert log_size(path)
    return connection


def test_a_run_leaves_no_log(tmp_path: Path) -> None:
    serving.answer("run", "--count", "50", "--data", tmp_path / "d")
    assert [log_size(tmp_path / "d" / name) for name in ("orderflow.db", "sandbox.db")] == [0, 0]


def test_the_logs_are_truncated_once_after_work(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    truncation = IdleTruncation((path, tmp_path / "missing.db"))
    with closing(written(path)) as connection:
        truncation.observe(1e6, busy=False)
        assert log_size(path)  # there was no work yet
        truncation.observe(1e6, busy=True)
        truncation.observe(1e6 + IDLE - 1, busy=False)
        assert log_size(path)
        truncation.observe(1e6 + IDLE, busy=False)
        assert log_size(path) == 0
        connection.execute("insert into t values (1)")
        truncation.observe(1e6 + 9 * IDLE, busy=False)
        assert log_size(path)
        assert connection.execute("select count(*) from t").fetchone() == (1,)


def test_a_reader_postpones_the_truncation_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    with closing(written(path)) as connection, closing(sqlite3.connect(path)) as reader:
        reader.execute("begin")
        reader.execute("select * from t").fetchall()
        connection.execute("insert into t values (1)")
        truncation = IdleTruncation([path])
        truncation.observe(0.0, busy=True)
        truncation.observe(IDLE, busy=False)
        assert not truncate_logs([path])
        assert log_size(path)
        reader.execute("rollback")
        truncation.observe(2 * IDLE, busy=False)
        assert log_size(path) == 0
        assert connection.execute("select x from t").fetchall() == [(1,)]
