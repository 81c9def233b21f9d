"""A deployed stack: the names of its resources, by their ids in the template."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.deployed.account import Account, translate_errors
from infra.errors import NotFound
from infra.local.template.loader import STACK
from storage.dynamodb.table import Table


@dataclass(frozen=True, slots=True)
class DeployedStack:
    """A stack on AWS, or at an endpoint that answers for it.

    ``names`` are the names of its resources by their ids in the template.
    """

    names: Mapping[str, str]
    account: Account

    @property
    def queues(self) -> dict[str, str]:
        """The addresses of the queues by their ids in the template.

        Other ids end like that of a queue: SAM names an event source by its function and its
        queue. The physical id of a queue alone is an address ("AWS::SQS::Queue" in the AWS
        CloudFormation template reference).
        """
        return {
            name: address
            for name, address in self.names.items()
            if name.endswith("Queue") and "://" in address
        }

    def client(self, service: str, **config: Any) -> Any:
        """Return the client of a service; ``config`` is botocore's."""
        return self.account.client(service, **config)

    def table(self) -> Table:
        """Return the table of the orders."""
        client = self.client("dynamodb")
        return Table(self.name("OrdersTable"), lambda: client)

    def name(self, logical_id: str) -> str:
        """Return the name that AWS gave a resource of the template."""
        if logical_id not in self.names:
            raise NotFound(
                f"the stack has no {logical_id}; name Orderflow's with --stack, or deploy it again"
            )
        return self.names[logical_id]


def find(account: Account, name: str | None = None) -> DeployedStack:
    """Return a stack by its name.

    Raises
    ------
    AWSError
        No stack has this name, or AWS refused the call.
    """
    name = name or STACK
    client = account.client("cloudformation")
    subject = f"the stack {name} at {account.where}"
    with translate_errors(
        subject, "deploy it, or name another with --stack, --region or --profile"
    ):
        pages = client.get_paginator("list_stack_resources").paginate(StackName=name)
        names = {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for page in pages
            for resource in page["StackResourceSummaries"]
            if "PhysicalResourceId" in resource
        }
    return DeployedStack(names, account)
