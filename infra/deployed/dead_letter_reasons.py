"""Reasons of a deployed stack's dead letters, from the log of their functions."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from infra.dead_letters.batch_failures import failure_reasons
from infra.deployed.bounds import TimeLimit
from infra.deployed.stack import DeployedStack
from infra.local.template.stack import Queue
from infra.views.dead_letter import DeadLetter

MAX_IDS = 20
"""Dead letters of one query: a filter pattern has at most 1,024 characters."""

PAGES = 20
"""Maximum number of pages of log events."""

SLACK = 3_600.0
"""Seconds that a message may have waited in addition to its receives."""


def logged_reasons(
    stack: DeployedStack,
    dead_letters: Sequence[DeadLetter],
    sources: Mapping[str, Queue],
    limit: TimeLimit,
) -> dict[str, str]:
    """Return the reasons of dead letters that a queue gave up, by id, as far as they are logged.

    The log is read until half of the time of ``limit`` has passed.

    SQS keeps a message's id when it moves it to a dead-letter queue, and a function logs its reason
    under that id (`lambda_support.queue_messages`).
    """
    failed = [item for item in dead_letters if item.queue in sources][:MAX_IDS]
    group = stack.names.get("FunctionsLogGroup")
    if not failed or group is None:
        return {}
    begin = min(_seconds(item.since) for item in failed)
    end = max(_seconds(item.since) + _patience(sources[item.queue]) for item in failed)
    try:
        return _read(stack, group, [str(item.id) for item in failed], (begin, end), limit)
    except Exception:  # noqa: BLE001 - the list is useful without: permissions may be missing
        return {}


def _read(
    stack: DeployedStack,
    group: str,
    ids: Sequence[str],
    period: tuple[float, float],
    limit: TimeLimit,
) -> dict[str, str]:
    """Return the last reason of each message, from a period of the log."""
    request = {
        "logGroupName": group,
        "filterPattern": " ".join(f'?"{number}"' for number in ids),
        "startTime": int(period[0] * 1000),
        "endTime": int(period[1] * 1000),
    }
    client = stack.client("logs")
    reasons: dict[str, str] = {}
    for _ in range(PAGES):
        if limit.is_over(0.5):
            break
        page = client.filter_log_events(**request)
        reasons |= failure_reasons([event["message"] for event in page["events"]])
        if "nextToken" not in page:
            break
        request["nextToken"] = page["nextToken"]
    return {number: reason for number, reason in reasons.items() if number in ids}


def _patience(queue: Queue) -> float:
    """Return the seconds after which a queue has given up a message."""
    return queue.visibility * queue.max_receives + SLACK


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
