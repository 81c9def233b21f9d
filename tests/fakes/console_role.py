"""The role of the hosted console, as IAM applies it to the calls of the console's code.

A call without a permission is refused as AWS refuses it, and fails the test. Calls of the test
itself are not those of the console: no frame of them is in `infra.console`.

Sources: "Service Authorization Reference" for the resources of an action; "Using IAM with DynamoDB
transactions": a transaction needs the permissions of its writes.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from infra.deployed.stack import DeployedStack
from tests.contract.test_permissions import CONSOLE, granted, short
from tests.contract.test_template import listed, statements

Request = Mapping[str, Any]
Needs = list[tuple[str, str]]

_call = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001 - boto3 has no hook before

_PREFIXES = {"stepfunctions": "states"}
_ACTIONS = {"ChangeMessageVisibilityBatch": "ChangeMessageVisibility", "HeadObject": "GetObject"}
_WRITES = {"Update": "UpdateItem", "Put": "PutItem", "Delete": "DeleteItem"}
_ANY = {"GetMetricData", "ListMetrics", "ListReplays", "ListRules"}
_OWN_KEYS = "console#"

_OF_SERVICES: Mapping[str, str] = {
    "athena": "workgroup/Workgroup",
    "cloudformation": "stack/${AWS::StackName}/*",
    "cognito-idp": "ConsoleUserPool",
    "firehose": "OrderEventsStream",
    "logs": "FunctionsLogGroup",
}
"""The resource of each call of a service that has one."""


class Denied(AssertionError):
    """Calls of the console that its role does not allow."""


@contextmanager
def role_of_the_console(stack: DeployedStack) -> Iterator[None]:
    """Refuse the calls of the console that its role does not allow, and then fail.

    Raises
    ------
    Denied
        There was such a call.
    """
    allowed, denied = granted(CONSOLE), set[tuple[str, str]]()
    logical = {physical: name for name, physical in stack.names.items()}

    def checked(client: Any, operation: str, request: Request) -> Any:
        if _is_of_the_console():
            service = client.meta.service_model.service_name
            needed = needs(service, operation, request, logical)
            missing = {one for one in needed if one not in allowed}
            denied.update(missing)
            if missing:
                message = ", ".join(f"{action} on {resource}" for action, resource in missing)
                refusal = {"Code": "AccessDeniedException", "Message": message}
                raise ClientError({"Error": refusal}, operation)  # type: ignore[typeddict-item]
        return _call(client, operation, request)

    with patch.object(BaseClient, "_make_api_call", checked):
        yield
    if denied:
        raise Denied(f"ConsoleRole lacks {sorted(denied)}")


def _is_of_the_console() -> bool:
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - the caller of the client
    while frame is not None:
        if "/infra/console/" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def needs(service: str, operation: str, request: Request, logical: Mapping[str, str]) -> Needs:
    """Return the action and the resources of a call, in short as `granted` has them."""
    own: Mapping[str, Callable[[str, Request, Mapping[str, str]], Needs]] = {
        "dynamodb": _of_dynamodb,
        "events": _of_events,
        "s3": _of_s3,
        "sqs": _of_sqs,
        "stepfunctions": _of_states,
        "cloudwatch": _of_cloudwatch,
    }
    if service in own:
        needed = own[service](operation, request, logical)
    else:
        needed = [(operation, _OF_SERVICES[service])]
    prefix = _PREFIXES.get(service, service)
    return [(f"{prefix}:{_ACTIONS.get(action, action)}", name) for action, name in needed]


def _of_dynamodb(operation: str, request: Request, logical: Mapping[str, str]) -> Needs:
    if operation == "TransactWriteItems":
        writes = [(kind, one) for item in request["TransactItems"] for kind, one in item.items()]
        return [need for kind, one in writes for need in _of_dynamodb(_WRITES[kind], one, logical)]
    tables = request.get("RequestItems") or [request["TableName"]]
    index = f"/index/{request['IndexName']}" if "IndexName" in request else ""
    key = request.get("Key", {}).get("pk", {}).get("S", "")
    condition = "" if operation != "DeleteItem" or key.startswith(_OWN_KEYS) else f" of {key}"
    return [(operation, f"{logical.get(table, table)}{index}{condition}") for table in tables]


def _of_events(operation: str, request: Request, logical: Mapping[str, str]) -> Needs:
    if operation == "PutEvents":
        return [("PutEvents", _bus_of(entry, logical)) for entry in request["Entries"]]
    if operation == "StartReplay":
        names = ("OrdersArchive", "OrdersBus", "replay/*")
        return [(operation, name) for name in names]
    if operation == "DescribeArchive":
        return [(operation, "OrdersArchive")]
    return [(operation, "*" if operation in _ANY else "replay/*")]


def _bus_of(entry: Request, logical: Mapping[str, str]) -> str:
    """Return the bus of an event; with the event, if the role's condition does not admit it."""
    [sends] = [one for one in statements(CONSOLE) if one["Action"] == "events:PutEvents"]
    condition = sends["Condition"]["StringEquals"]
    admitted = entry["Source"] in listed(condition["events:source"])
    admitted = admitted and entry["DetailType"] in listed(condition["events:detail-type"])
    bus = logical.get(entry["EventBusName"], short({"Ref": "OrdersBus"}))
    return bus if admitted else f"{bus} for {entry['DetailType']} of {entry['Source']}"


def _of_s3(operation: str, request: Request, logical: Mapping[str, str]) -> Needs:
    folder = request["Key"].partition("/")[0]
    return [(operation, f"{logical.get(request['Bucket'])}/{folder}/*")]


def _of_sqs(operation: str, request: Request, logical: Mapping[str, str]) -> Needs:
    name = request.get("QueueName") or logical.get(request["QueueUrl"], request["QueueUrl"])
    return [(operation, name)]


def _of_states(operation: str, request: Request, logical: Mapping[str, str]) -> Needs:
    if "executionArn" in request:
        return [(operation, "execution:Name:*")]
    arn = request["stateMachineArn"]
    return [(operation, logical.get(arn, arn))]


def _of_cloudwatch(operation: str, request: Request, logical: Mapping[str, str]) -> Needs:
    return [(operation, "*" if operation in _ANY else "alarm:*")]
