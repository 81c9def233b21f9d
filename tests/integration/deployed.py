"""A deployed stack on moto: resources as the template has them, under the template's ids.

Moto's CloudFormation takes thirty packages more, so that a command is given the stack rather than
finds it; `tests/integration/test_account.py` is about finding it.
"""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from typer.testing import CliRunner, Result

from infra.cli.main import EXPECTED, app
from infra.deployed.account import Account
from infra.deployed.stack import DeployedStack
from infra.local.template.project import TEMPLATE
from tests.fakes.quick_moto import quick_aws
from tests.rehearsal.template import read

REGION, BUCKET = "us-east-1", "orderflow-bucket"
PLACE = ("--stack", "orderflow-test", "--region", REGION)
RESOURCES = read(TEMPLATE)["Resources"]
QUEUES = {name: one for name, one in RESOURCES.items() if one["Type"] == "AWS::SQS::Queue"}

_TABLE = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
_ROLE = "arn:aws:iam::123456789012:role/any"
_MACHINE = {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
_STREAM = {"RoleARN": _ROLE, "BucketARN": f"arn:aws:s3:::{BUCKET}", "Prefix": "order_events/"}


@contextmanager
def stack() -> Iterator[DeployedStack]:
    """Deploy to an AWS of its own; its functions are `Functions`."""
    with quick_aws():
        account = FakeAccount(region=REGION)
        wanted = RESOURCES["OrdersTable"]["Properties"]
        account.client("dynamodb").create_table(
            TableName="orders", **{name: wanted[name] for name in _TABLE}
        )
        account.client("s3").create_bucket(Bucket=BUCKET)
        account.client("firehose").create_delivery_stream(
            DeliveryStreamName="events", S3DestinationConfiguration=_STREAM
        )
        machine = account.client("stepfunctions").create_state_machine(
            name="orderflow-order-processing", definition=json.dumps(_MACHINE), roleArn=_ROLE
        )
        names = {
            "OrdersTable": "orders",
            "AnalyticsBucket": BUCKET,
            "AnalyticsDatabase": "orderflow_dev",
            "Workgroup": "orderflow_dev",
            "OrderProcessing": machine["stateMachineArn"],
            "DailyReportFunction": "daily-report",
            "ReconcileFunction": "reconcile",
            # as SAM names an event source
            "RestartOrderFunctionRetryQueue": "d8aa7036-0635-4fd4-89a2-0691b248eb86",
        }
        yield DeployedStack({**_queues(account), **names}, account)


def _queues(account: Account) -> dict[str, str]:
    sqs = account.client("sqs")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in QUEUES}
    for name, queue in QUEUES.items():
        policy = queue["Properties"].get("RedrivePolicy")
        if policy:
            goal = policy["deadLetterTargetArn"]["Fn::GetAtt"][0]
            redrive = {**policy, "deadLetterTargetArn": arn_of(goal)}
            sqs.set_queue_attributes(
                QueueUrl=urls[name], Attributes={"RedrivePolicy": json.dumps(redrive)}
            )
    return urls


def arn_of(queue: str) -> str:
    """Return a queue's ARN."""
    return f"arn:aws:sqs:{REGION}:123456789012:{queue}"


@dataclass(slots=True)
class Functions:
    """Lambda: keeps each call; the report's function writes a page, unless it is to fail."""

    calls: list[tuple[str, Any]] = field(default_factory=list)
    failure: Mapping[str, str] | None = None
    pages: Any = None

    def invoke(self, **call: Any) -> dict[str, Any]:
        given = json.loads(call["Payload"])
        self.calls.append((call["FunctionName"], given))
        if self.failure:
            said = io.BytesIO(json.dumps(self.failure).encode())
            return {"FunctionError": "Unhandled", "Payload": said}
        if call["FunctionName"] == "daily-report":
            key = f"reports/dt={given['date']}/report.html"
            self.pages.put_object(Bucket=BUCKET, Key=key, Body=b"<!doctype html>")
        return {"Payload": io.BytesIO(b"null")}


@dataclass(frozen=True)
class FakeAccount(Account):
    """Moto's AWS, with functions, and with the operation of SQS that it lacks."""

    functions: Functions = field(default_factory=Functions)

    def client(self, service: str, **config: Any) -> Any:
        if service == "lambda":
            self.functions.pages = super().client("s3")
            return self.functions
        client = super().client(service, **config)
        return MovingQueues(client) if service == "sqs" else client


class MovingQueues:
    """A client of SQS that moves dead letters of a queue back to it, at once and all of them."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def start_message_move_task(self, *, SourceArn: str) -> None:  # noqa: N803 - boto3's name
        url = self.client.get_queue_url(QueueName=SourceArn.rpartition(":")[2])["QueueUrl"]
        [source] = self.client.list_dead_letter_source_queues(QueueUrl=url)["queueUrls"]
        while messages := self.client.receive_message(QueueUrl=url).get("Messages"):
            for one in messages:
                self.client.send_message(QueueUrl=source, MessageBody=one["Body"])
                self.client.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])


def run(*arguments: object) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, [str(one) for one in arguments])


def answer(*arguments: object) -> Any:
    """Return the JSON object that a command prints of the stack."""
    result = run(*arguments, *PLACE, "--json")
    assert result.exception is None, f"{result.output} {result.exception!r}"
    return json.loads(result.stdout.splitlines()[-1])


def refusal(*arguments: object) -> str:
    """Return what a command fails with."""
    result = run(*arguments)
    assert isinstance(result.exception, EXPECTED), f"{result.output} {result.exception!r}"
    return str(result.exception)
