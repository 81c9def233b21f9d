"""The account's quota of concurrent executions, before a stage is deployed.

A reservation fails the deployment if it leaves the account less than `UNRESERVED`, and the stage's
functions throttle each other below what their sources may take at once. A new account has 10.

Sources: "Lambda quotas" and "Configuring reserved concurrency" in the AWS Lambda Developer Guide;
"Read/write capacity mode" in the Amazon DynamoDB Developer Guide, for the partitions of a new
on-demand table; "Requesting a quota increase" in the Service Quotas User Guide.
"""

from typing import Any, NamedTuple

from infra.local.template.loader import Template
from infra.release.stage import ReleaseError, Stage

UNRESERVED = 100
"""Concurrent executions that Lambda keeps for functions without a reservation."""

STREAM_SHARDS = 4
"""Shards of the stream of a new on-demand table, each with one concurrent batch."""

USUAL = 1000
"""Lambda's default quota of an account that is not new."""

QUOTA_CODE = "L-B99A9384"
"""Service Quotas' code of Lambda's concurrent executions."""


class Need(NamedTuple):
    """The concurrent executions that a stage takes, by reason."""

    unreserved: int
    reserved: int
    provisioned: int
    consumers: int
    streams: int

    @property
    def total(self) -> int:
        """The quota that the account needs."""
        return sum(self)


def need_of(template: Template, stage: Stage) -> Need:
    """Return what a stage's functions take at once."""
    consumers = streams = reserved = provisioned = 0
    for name, properties in template.of_type("AWS::Serverless::Function"):
        place = f"Resources.{name}.Properties"
        own = {
            key: template.resolve(properties.get(key), place)
            for key in ("ReservedConcurrentExecutions", "ProvisionedConcurrencyConfig")
            if key in properties
        }
        reserved += _number(own.get("ReservedConcurrentExecutions"))
        config = own.get("ProvisionedConcurrencyConfig")
        if isinstance(config, dict):
            provisioned += int(config["ProvisionedConcurrentExecutions"])
        for event in properties.get("Events", {}).values():
            streams += STREAM_SHARDS * (event["Type"] == "DynamoDB")
            if event["Type"] == "SQS":
                scaling = template.resolve(event["Properties"]["ScalingConfig"], place)
                consumers += int(scaling["MaximumConcurrency"])
    return Need(UNRESERVED * stage.is_lasting, reserved, provisioned, consumers, streams)


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int | str) else 0


def check_account(stage: Stage, need: Need, functions: Any) -> str:
    """Return a line about the account's quota.

    Parameters
    ----------
    stage : Stage
        The stage.
    need : Need
        The concurrent executions that it takes.
    functions : Any
        boto3's client of Lambda.

    Raises
    ------
    ReleaseError
        The quota is too small for a stage that lasts; the message has the command to ask for more.
    """
    quota = int(functions.get_account_settings()["AccountLimit"]["ConcurrentExecutions"])
    found = f"{quota} concurrent executions in {stage.region}, {need.total} are needed"
    if quota >= need.total:
        return f"account: {found}"
    if not stage.is_lasting:
        return f"account: {found} at a burst; {stage.name} is deployed and then waits longer"
    wanted = max(need.total, USUAL)
    raise ReleaseError(
        f"account: {found} ({need.unreserved} that Lambda keeps unreserved, {need.reserved}"
        f" reserved, {need.provisioned} provisioned, {need.consumers} of the queues' consumers,"
        f" {need.streams} of the stream). Ask for more, and deploy when it is granted:\n"
        f"  aws service-quotas request-service-quota-increase --region {stage.region}"
        f" --service-code lambda --quota-code {QUOTA_CODE} --desired-value {wanted}\n"
        "  (where Service Quotas refuses a value up to the default, open a support case)"
    )
