"""Why messages of a deployed stack failed, as their functions logged it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from infra.dead_letters.reading import Letter
from infra.deployed.stack import DeployedStack
from infra.local.engine.batch_failures import failure_reasons
from infra.local.template.stack import Queue

AT_ONCE = 20
"""Letters that are looked up together: a filter pattern has at most 1,024 characters."""

PAGES = 20
"""Pages of log events that are read at most."""

SLACK = 3_600.0
"""Seconds for which a message may have waited beyond its tries."""


def logged_reasons(
    stack: DeployedStack, letters: Sequence[Letter], sources: Mapping[str, Queue]
) -> dict[str, str]:
    """Return the reasons of letters that a queue gave up, as far as the log has them.

    SQS keeps a message's id when it moves it to a dead-letter queue, and a function logs its reason
    under that id (`lambda_support.queue_messages`).
    """
    asked = [one for one in letters if one["queue"] in sources][:AT_ONCE]
    group = stack.names.get("FunctionsLogGroup")
    if not asked or group is None:
        return {}
    begin = min(_seconds(one["since"]) for one in asked)
    end = max(_seconds(one["since"]) + _tries(sources[one["queue"]]) for one in asked)
    try:
        return _read(stack, group, [str(one["id"]) for one in asked], begin, end)
    except Exception:  # noqa: BLE001 - a reason more is no reason to fail: the rights may be missing
        return {}


def _read(
    stack: DeployedStack, group: str, ids: Sequence[str], begin: float, end: float
) -> dict[str, str]:
    """Return the last reason of each message in a stretch of the log."""
    request = {
        "logGroupName": group,
        "filterPattern": " ".join(f'?"{one}"' for one in ids),
        "startTime": int(begin * 1000),
        "endTime": int(end * 1000),
    }
    client = stack.client("logs")
    found: dict[str, str] = {}
    for _ in range(PAGES):
        page = client.filter_log_events(**request)
        found |= failure_reasons([event["message"] for event in page["events"]])
        if "nextToken" not in page:
            break
        request["nextToken"] = page["nextToken"]
    return {one: reason for one, reason in found.items() if one in ids}


def _tries(queue: Queue) -> float:
    return queue.visibility * queue.max_receives + SLACK


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
