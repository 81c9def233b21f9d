"""Handlers that worker processes run in tests of the workers."""

import os
import signal
import sys
import time
from typing import Any

from kernel import clock
from storage.sqlite.database import database


def echo(event: Any, context: Any) -> Any:
    """Return the event."""
    return event


def seen(event: Any, context: Any) -> dict[str, Any]:
    """Return the process, the environment and the context of the invocation."""
    return {
        "pid": os.getpid(),
        "environment": {key: os.environ.get(key) for key in event["variables"]},
        "name": context.function_name,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "request": context.aws_request_id,
        "milliseconds": context.get_remaining_time_in_millis(),
        "now": clock.now(),
    }


def fails(event: Any, context: Any) -> Any:
    """Raise."""
    raise LookupError(event["message"])


def answers_no_json(event: Any, context: Any) -> Any:
    """Return a value that is not JSON."""
    return {"a": object()}


class Unreadable(Exception):
    """An error whose message cannot be read."""

    def __str__(self) -> str:
        raise ValueError("no words")


def fails_unreadable(event: Any, context: Any) -> Any:
    """Raise an error whose message cannot be read."""
    raise Unreadable


def prints_lone_surrogate(event: Any, context: Any) -> Any:
    """Print and measure text that UTF-8 cannot encode."""
    sys.stdout.write("lone \ud800 surrogate\n")
    sys.stdout.write('{"_aws": "\ud800"}')
    return event


def sleeps(event: Any, context: Any) -> Any:
    """Sleep for some seconds."""
    time.sleep(event["seconds"])
    return event


def hangs(event: Any, context: Any) -> Any:
    """Never return, and ignore SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)


def crashes(event: Any, context: Any) -> Any:
    """End the process."""
    os._exit(event.get("status", 3))


def leaves(event: Any, context: Any) -> Any:
    """Exit with `sys.exit`."""
    sys.exit(1)


def large(event: Any, context: Any) -> Any:
    """Return a text of some bytes."""
    return "x" * event["bytes"]


def prints(event: Any, context: Any) -> Any:
    """Print a line and a metric."""
    sys.stdout.write(event["line"] + "\n")
    sys.stdout.write('{"_aws":{"CloudWatchMetrics":[]}}\n')
    return None


def writes(event: Any, context: Any) -> Any:
    """Write a number; then raise, sleep or return, as the event says."""
    with database(os.environ["STORE_URL"]).write() as connection:
        connection.execute("insert into t values (?)", (event["n"],))
        if "raises" in event:
            raise LookupError(event["raises"])
    time.sleep(event.get("seconds", 0))
    return {"n": event["n"], "pid": os.getpid()}


def stubborn(event: Any, context: Any) -> Any:
    """Ignore every signal and every exception, and write numbers for ever.

    Each is its own transaction; if `open` is true, all are in one that does not end.
    """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGALRM}:
        signal.signal(number, signal.SIG_IGN)
    store, number, left_open = database(os.environ["STORE_URL"]), event["n"], event["open"]
    while True:
        try:
            with store.write() as connection:
                while True:
                    connection.execute("insert into t values (?)", (number,))
                    number += 1
                    time.sleep(0.01)
                    if not left_open:
                        break
        except BaseException:  # noqa: BLE001, S110 - it ignores every exception
            pass
