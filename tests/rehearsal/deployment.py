"""The stack on MiniStack: deployed through CloudFormation, with resources by logical id.

``python -m tests.rehearsal.deployment --endpoint-url URL`` deploys to a running MiniStack.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from infra.cli.commands.serve import SAMPLE_STOCK
from infra.cli.stock_file import read_stock
from infra.local.template.loader import STACK
from infra.local.template.project import ROOT
from infra.packaging.console_function import FUNCTION as CONSOLE
from infra.packaging.definitions import BUILD, state_machines
from infra.packaging.definitions import TEMPLATE as BUILT_TEMPLATE
from infra.terminal.output import console, errors
from inventory.dynamodb import DynamoInventory
from storage.dynamodb.table import Table
from tests.rehearsal.ministack import Endpoint, RehearsalError
from tests.rehearsal.package import console_package, package
from tests.rehearsal.template import PATIENCE, adapted, parameters, read


class Pace(NamedTuple):
    """The times of a deployment that differ from the template's.

    Parameters
    ----------
    patience : int
        Factor for the timeouts of functions.
    visibility : int
        Visibility timeout of queues with a consumer, in seconds, instead of minutes.
    receives : int or None
        Maximum receive count, instead of the template's, which takes up to an hour.
    """

    patience: int = PATIENCE
    visibility: int = 3
    receives: int | None = 5


PACE = Pace()
"""The pace without faults."""


SENDER = "orders@example.com"
"""The template's mail sender."""

BUILT = ROOT / BUILD
"""The output of `make build`, which `sam deploy` uploads."""

_BUCKET, _TIMEOUT = "packages", 120.0


class Deployment:
    """A deployed stack."""

    def __init__(self, endpoint: Endpoint, removed: Mapping[str, str]) -> None:
        self.endpoint = endpoint
        self.removed = removed
        answer = self.client("cloudformation").describe_stack_resources(StackName=STACK)
        self._resources = answer["StackResources"]
        self.names = self._of_type("")

    def client(self, service: str) -> Any:
        """Return the client of a service."""
        return self.endpoint.client(service)

    @cached_property
    def table(self) -> Table:
        """The orders' table."""
        return Table(self.names["OrdersTable"], partial(_same, self.client("dynamodb")))

    @cached_property
    def queues(self) -> dict[str, str]:
        """The queues' URLs by logical id."""
        return self._of_type("AWS::SQS::Queue")

    @cached_property
    def consumed(self) -> set[str]:
        """The logical ids of queues that a function consumes."""
        mappings = self.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        sources = {mapping["EventSourceArn"].rsplit(":", 1)[-1] for mapping in mappings}
        return {name for name, url in self.queues.items() if url.rsplit("/", 1)[-1] in sources}

    def _of_type(self, kind: str) -> dict[str, str]:
        """Return physical names by logical ids."""
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for resource in self._resources
            if kind in ("", resource["ResourceType"])
        }


def _same(client: Any) -> Any:
    return client


def deploy(endpoint: Endpoint, pace: Pace = PACE) -> Deployment:
    """Deploy the template.

    Raises
    ------
    RehearsalError
        CloudFormation did not create the stack; the message has its reasons.
    """
    template = built_template()
    uploaded = _upload(endpoint, template)
    body, out = adapted(template, uploaded.pop("package"), uploaded, pace.patience)
    variables = body["Resources"][CONSOLE]["Properties"]["Environment"]["Variables"]
    variables["CONSOLE_DOMAIN"] = endpoint.url
    cloudformation = endpoint.client("cloudformation")
    cloudformation.create_stack(
        StackName=STACK,
        TemplateURL=_template_url(endpoint, body),
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters().items()
        ],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    _await(cloudformation, endpoint)
    deployed = Deployment(endpoint, out)
    for name in deployed.consumed:
        _shorten_retries(deployed.client("sqs"), deployed.queues[name], pace)
    # on AWS a person verifies the sender once
    endpoint.client("sesv2").create_email_identity(EmailIdentity=SENDER)
    return deployed


def built_template() -> dict[str, Any]:
    """Return the template that `make build` left; raise `RehearsalError` if there is none."""
    path = BUILT / BUILT_TEMPLATE
    if not path.is_file():
        raise RehearsalError(f"{path} is missing; run make build")
    return read(path)


def _shorten_retries(sqs: Any, queue: str, pace: Pace) -> None:
    """Shorten a queue's retries, because MiniStack's clock cannot be moved."""
    present = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])
    redrive = json.loads(present["Attributes"]["RedrivePolicy"])
    changed = {"maxReceiveCount": pace.receives} if pace.receives else {}
    attributes = {
        "VisibilityTimeout": str(pace.visibility),
        "RedrivePolicy": json.dumps({**redrive, **changed}),
    }
    sqs.set_queue_attributes(QueueUrl=queue, Attributes=attributes)


def _upload(endpoint: Endpoint, template: Mapping[str, Any]) -> dict[str, str]:
    """Upload packages and built definitions into a bucket; return their URLs by name."""
    s3 = endpoint.client("s3")
    s3.create_bucket(Bucket=_BUCKET)
    contents = {"package": package(), CONSOLE: console_package(BUILT / CONSOLE)}
    for _, properties in state_machines(template):
        name = properties["DefinitionUri"]
        contents[name] = (BUILT / name).read_bytes()
    for name, content in contents.items():
        s3.put_object(Bucket=_BUCKET, Key=_key(name), Body=content)
    return {name: f"s3://{_BUCKET}/{_key(name)}" for name in contents}


def _template_url(endpoint: Endpoint, body: Mapping[str, Any]) -> str:
    """Upload a template: a request may have 51,200 bytes of it only (CloudFormation quotas)."""
    endpoint.client("s3").put_object(Bucket=_BUCKET, Key="template.json", Body=json.dumps(body))
    return f"{endpoint.url}/{_BUCKET}/template.json"


def _key(name: str) -> str:
    return Path(name).name


def _await(cloudformation: Any, endpoint: Endpoint) -> None:
    stack: dict[str, Any] = {"StackStatus": "not requested"}
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        [stack] = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
        if stack["StackStatus"] == "CREATE_COMPLETE":
            return
        if not stack["StackStatus"].endswith("IN_PROGRESS"):
            break
        time.sleep(0.2)
    reasons = [*endpoint.errors(), stack.get("StackStatusReason") or stack["StackStatus"]]
    raise RehearsalError(f"the stack was not created: {'; '.join(reasons)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy to a running MiniStack, with the sample stock, so that the examples work."""
    parser = argparse.ArgumentParser(prog="python -m tests.rehearsal.deployment")
    parser.add_argument("--endpoint-url", default="http://127.0.0.1:4566")
    url = parser.parse_args(arguments).endpoint_url
    try:
        deployed = deploy(Endpoint(url))
    except (RehearsalError, BotoCoreError, ClientError) as error:
        errors.print(f"deployment: {error}")
        return 1
    DynamoInventory(deployed.table).receive(read_stock(SAMPLE_STOCK), time.time())
    console.print(
        f"{len(deployed.names)} resources deployed to {url}, with the sample stock; try",
        f"  orders emit events_schema/order-created/examples/minimal.json --endpoint-url {url}",
        f"  orders list --endpoint-url {url}",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
