"""Delete the stack of a stage that keeps nothing, with the resources that its template retains.

CloudFormation skips a retained resource (``DELETE_SKIPPED``), and lists a deleted stack's resources
for 90 days, so the command can be repeated after an interruption.

Sources: "DeletionPolicy attribute" in the AWS CloudFormation User Guide; ``ListStackResources`` in
its API Reference; "Deleting a bucket" in the Amazon S3 User Guide.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from infra.release.stage import ReleaseError, Stage
from infra.release.validation import Clients

PAGE = 1000
"""Objects of one DeleteObjects request (Amazon S3 API Reference)."""

GONE = frozenset(
    {
        "404",
        "AWS.SimpleQueueService.NonExistentQueue",
        "NoSuchBucket",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
    }
)
"""Error codes of a resource that does not exist."""


def delete_stage(stage: Stage, clients: Clients) -> Iterator[str]:
    """Delete a stage's stack, then what it retained; yield a line for each.

    Raises
    ------
    ReleaseError
        The stage keeps its data, its stack is protected, or no such stack was found.
    """
    if stage.is_lasting:
        raise ReleaseError(
            f"{stage.name} keeps its bus, archive, bucket, tables and dead-letter queues. If you"
            " mean it, remove its stack's termination protection, delete the stack in"
            " CloudFormation, and then these one by one"
        )
    formation = clients("cloudformation")
    stack = _find(formation, stage.stack)
    if not stack["StackStatus"].startswith("DELETE_COMPLETE"):
        if stack.get("EnableTerminationProtection"):
            raise ReleaseError(
                f"{stage.stack} has termination protection; remove it first: aws cloudformation"
                f" update-termination-protection --stack-name {stage.stack}"
                " --no-enable-termination-protection"
            )
        formation.delete_stack(StackName=stack["StackId"])
        formation.get_waiter("stack_delete_complete").wait(StackName=stack["StackId"])
        yield f"deleted the stack {stage.stack}"
    skipped = _skipped(formation, stack["StackId"])
    for kind, remove in REMOVERS.items():
        for physical_id in skipped.get(kind, ()):
            if _unless_gone(partial(remove, clients, physical_id)):
                yield f"deleted {kind} {physical_id}"


def _find(formation: Any, name: str) -> dict[str, Any]:
    """Return the stack of this name, or else the newest deleted one."""
    newest: dict[str, Any] | None = None
    for page in formation.get_paginator("list_stacks").paginate():
        for stack in page["StackSummaries"]:
            if stack["StackName"] != name:
                continue
            if stack["StackStatus"] != "DELETE_COMPLETE":
                described = formation.describe_stacks(StackName=stack["StackId"])
                return dict(described["Stacks"][0])
            if newest is None or stack["CreationTime"] > newest["CreationTime"]:
                newest = stack
    if newest is None:
        raise ReleaseError(f"there is no stack {name}, and none was deleted in the last 90 days")
    return newest


def _skipped(formation: Any, stack_id: str) -> dict[str, list[str]]:
    """Return the ids of the resources that a deleted stack left, by type."""
    found: dict[str, list[str]] = {}
    for page in formation.get_paginator("list_stack_resources").paginate(StackName=stack_id):
        for resource in page["StackResourceSummaries"]:
            if resource["ResourceStatus"] == "DELETE_SKIPPED":
                found.setdefault(resource["ResourceType"], []).append(
                    resource["PhysicalResourceId"]
                )
    return found


def _unless_gone(call: Callable[[], object]) -> bool:
    """Return whether there was something to delete."""
    from botocore.exceptions import ClientError

    try:
        call()
    except ClientError as error:
        if error.response["Error"]["Code"] not in GONE:
            raise
        return False
    return True


def _bucket(clients: Clients, name: str) -> None:
    """Delete a bucket with every version of every object."""
    storage = clients("s3")
    for page in storage.get_paginator("list_object_versions").paginate(Bucket=name):
        entries = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in entries]
        for start in range(0, len(objects), PAGE):
            batch = {"Objects": objects[start : start + PAGE], "Quiet": True}
            failed = storage.delete_objects(Bucket=name, Delete=batch).get("Errors")
            if failed:
                raise ReleaseError(f"{name}/{failed[0]['Key']} stays: {failed[0]['Message']}")
    storage.delete_bucket(Bucket=name)


REMOVERS: dict[str, Callable[[Clients, str], object]] = {
    "AWS::S3::Bucket": _bucket,
    "AWS::DynamoDB::Table": lambda clients, name: clients("dynamodb").delete_table(TableName=name),
    "AWS::SQS::Queue": lambda clients, url: clients("sqs").delete_queue(QueueUrl=url),
    # the archive has a rule of its own on the bus, and a bus with rules is not deleted
    "AWS::Events::Archive": lambda clients, name: clients("events").delete_archive(
        ArchiveName=name
    ),
    "AWS::Events::EventBus": lambda clients, name: clients("events").delete_event_bus(Name=name),
}
"""How a retained resource is deleted, by type and in this order."""
