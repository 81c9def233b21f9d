"""Replays of the archive on AWS, which EventBridge paces itself."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from infra.deployed.account import Account, translate_errors
from infra.errors import AWSError

ENDED = ("COMPLETED", "CANCELLED", "FAILED")

_ADVICE = "deploy the stack, or name its --region or --profile"


class ArchiveReplays:
    """The replays of an archive in an account; ``archive`` is its name.

    A replay's own ARN has its name alone, so no permission keeps the replays of other archives
    apart. They are neither listed nor cancelled here.
    """

    def __init__(self, account: Account, archive: str) -> None:
        self.client = account.client("events")
        self.archive = archive

    def start(self, name: str, since: float, until: float, rules: Sequence[str]) -> None:
        """Start a replay to the archive's bus; ``rules`` are logical ids of the template.

        Raises
        ------
        AWSError
            The archive or a rule does not exist, or EventBridge refuses the replay.
        """
        with translate_errors(f"the archive {self.archive}", _ADVICE):
            archive = self.client.describe_archive(ArchiveName=self.archive)
            bus = archive["EventSourceArn"]
            destination: dict[str, Any] = {"Arn": bus}
            if rules:
                destination["FilterArns"] = self._arns(bus.rpartition("/")[2], rules)
            self.client.start_replay(
                ReplayName=name,
                EventSourceArn=archive["ArchiveArn"],
                EventStartTime=datetime.fromtimestamp(since, UTC),
                EventEndTime=datetime.fromtimestamp(until, UTC),
                Destination=destination,
            )

    def _arns(self, bus: str, rules: Sequence[str]) -> list[str]:
        """Return the ARNs of rules; CloudFormation puts the stack's name around a logical id."""
        pages = self.client.get_paginator("list_rules").paginate(EventBusName=bus)
        found = [rule for page in pages for rule in page["Rules"]]
        arns = []
        for wanted in rules:
            named = [each for each in found if f"-{wanted}-" in f"-{each['Name']}-"]
            if not named:
                known = ", ".join(each["Name"] for each in found) or "none"
                raise AWSError(f"--rule: the bus {bus} has no rule {wanted}; its rules are {known}")
            arns += [each["Arn"] for each in named]
        return arns

    def all(self) -> list[dict[str, Any]]:
        """Return the replays of the archive, as ``orders replays list`` prints them."""
        found: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        with translate_errors("the replays", _ADVICE):
            while True:
                page = self.client.list_replays(**token)
                found += [_as_json(one) for one in page["Replays"] if self._is_own(one)]
                if not page.get("NextToken"):
                    return sorted(found, key=lambda each: str(each["started"]))
                token = {"NextToken": page["NextToken"]}

    def find(self, name: str) -> dict[str, Any]:
        """Return a replay; raise `AWSError` if the archive has none of this name."""
        with translate_errors(f"the replay {name}", "see `orders replays list`"):
            found = self.client.describe_replay(ReplayName=name)
        if not self._is_own(found):
            raise AWSError(
                f"the replay {name} is not of the archive {self.archive}; see `orders replays list`"
            )
        return _as_json(found)

    def _is_own(self, replay: Mapping[str, Any]) -> bool:
        """Return whether a replay is of this archive."""
        return str(replay["EventSourceArn"]).endswith(f":archive/{self.archive}")

    def cancel(self, name: str) -> None:
        """End a replay; raise `AWSError` if it has ended, or is of another archive."""
        self.find(name)
        with translate_errors(f"the replay {name}", "see `orders replays list`"):
            self.client.cancel_replay(ReplayName=name)


def _as_json(replay: dict[str, Any]) -> dict[str, Any]:
    def text(field: str) -> str:
        value = replay.get(field)
        return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else ""

    return {
        "name": replay["ReplayName"],
        "state": replay["State"],
        "source": "archive",
        "started": text("ReplayStartTime"),
        "updated": text("ReplayEndTime") or text("EventLastReplayedTime"),
        "sent": None,
        "since": text("EventStartTime"),
        "until": text("EventEndTime"),
    }
