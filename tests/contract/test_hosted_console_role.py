"""The role of the hosted console has the calls of the console's code, and nothing else.

Sources: "Service Authorization Reference" for the action of an operation; "IAM and AWS STS quotas".
"""

import re
import sys
from collections.abc import Iterator
from functools import cache
from unittest.mock import patch

import botocore.session
import grimp
from botocore import xform_name

from infra.local.template.loader import Template
from infra.queries.athena import TEMPLATE
from kernel.events import SOURCE, OrderCancelled, OrderCreated, OrderUpdated
from tests.contract.test_hosted_console import HOSTED, RESOURCES, properties
from tests.contract.test_permissions import CONSOLE, OBSERVED, WAREHOUSE, granted
from tests.contract.test_template import (
    CONSUMERS,
    DEAD_LETTER_QUEUES,
    QUEUES,
    ROOT,
    TABLE_ACTIONS,
    listed,
    statements,
)

NAMES = {"stepfunctions": "states"}
"""Services whose actions have another prefix than their client's name."""

ACTIONS = {
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "lambda:Invoke": "lambda:InvokeFunction",
    "s3:HeadObject": "s3:GetObject",
}
"""Operations that another action authorizes."""

UNUSED = {
    "dynamodb:Scan": "of the list of a command; no page scans the table",
    "sqs:StartMessageMoveTask": "of a redrive without ids; the console names dead letters",
}
"""Actions of operations that the console's modules have for commands alone."""

LETTERS = set(DEAD_LETTER_QUEUES)
RUNS = {"execution:Name:*"}
SCHEDULED = {
    f"{name}{qualifier}"
    for name in ("ReconcileFunction", "DailyReportFunction")
    for qualifier in ("", ":*")
}
TABLE = {"OrdersTable"}

ON: dict[str, set[str]] = {
    "cloudformation:ListStackResources": {"stack/${AWS::StackName}/*"},
    "cloudwatch:DescribeAlarms": {"alarm:*"},
    "cloudwatch:GetMetricData": {"*"},
    "cloudwatch:ListMetrics": {"*"},
    "cognito-idp:AdminGetUser": {"ConsoleUserPool"},
    "cognito-idp:AdminListGroupsForUser": {"ConsoleUserPool"},
    "dynamodb:BatchGetItem": TABLE,
    "dynamodb:DeleteItem": TABLE,
    "dynamodb:GetItem": TABLE,
    "dynamodb:Query": {"OrdersTable", "OrdersTable/index/due", "OrdersTable/index/open"},
    "dynamodb:UpdateItem": TABLE,
    "events:CancelReplay": {"replay/*"},
    "events:DescribeArchive": {"OrdersArchive"},
    "events:DescribeReplay": {"replay/*"},
    "events:ListReplays": {"*"},
    "events:ListRules": {"*"},
    "events:PutEvents": {"OrdersBus"},
    "events:StartReplay": {"OrdersArchive", "OrdersBus", "replay/*"},
    "firehose:PutRecord": {"OrderEventsStream"},
    "lambda:InvokeFunction": SCHEDULED,
    "logs:FilterLogEvents": {"FunctionsLogGroup"},
    "sqs:ChangeMessageVisibility": LETTERS,
    "sqs:DeleteMessage": LETTERS,
    "sqs:GetQueueAttributes": set(QUEUES),
    "sqs:GetQueueUrl": set(CONSUMERS),
    "sqs:ReceiveMessage": LETTERS,
    "sqs:SendMessage": set(QUEUES),
    "states:DescribeExecution": RUNS,
    "states:DescribeStateMachine": {"OrderProcessing"},
    "states:DescribeStateMachineForExecution": RUNS,
    "states:GetExecutionHistory": RUNS,
    "states:StartExecution": {"OrderProcessing"},
}
"""The resources of each action, but for those of Athena's queries and of objects."""

QUERIED = WAREHOUSE | {
    ("glue:GetTable", f"table/AnalyticsDatabase/{view}") for view in ("orders", "order_lines")
}
LOOKS = {(f"s3:{one}Object", "AnalyticsBucket/console/*") for one in ("Get", "Put")}


@cache
def sources() -> dict[str, str]:
    """Return the modules that the console of a stack imports and that may call AWS, as text."""
    own = [path.name for path in (ROOT / "services").iterdir() if (path / "__init__.py").is_file()]
    with patch.object(sys, "path", [str(ROOT), str(ROOT / "services"), *sys.path]):
        graph = grimp.build_graph("infra", *own, exclude_type_checking_imports=True, cache_dir=None)
    packages = ("infra.console.stack", "infra.console.hosted")
    found = set().union(*(graph.find_upstream_modules(one, as_package=True) for one in packages))
    found |= {name for name in graph.modules if name.startswith(packages)}
    texts = {}
    for name in found:
        of_a_stack = (*packages, "infra.deployed", "infra.dead_letters", "infra.queries")
        if name.startswith("infra.") and not name.startswith(of_a_stack):
            continue  # of one machine
        path = ROOT / ("" if name.startswith("infra.") else "services") / name.replace(".", "/")
        file = (
            path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        )
        texts[name] = file.read_text(encoding="utf-8")
    return texts


def called() -> Iterator[str]:
    """Yield the actions of the operations that the console's modules call, by client."""
    session = botocore.session.get_session()
    for name, text in sources().items():
        if not name.startswith("infra."):
            continue  # the table's adapters: see `table_actions`
        for service in re.findall(r"client\(\s*\"([\w-]+)\"", text):
            if service == "dynamodb":
                continue
            model = session.get_service_model(service)
            operations = {xform_name(one): one for one in model.operation_names}
            users = _users(name, text)
            words = re.findall(r"\.(\w+)\(", users) + re.findall(r"paginator\(\"(\w+)\"\)", users)
            for word in words:
                if word in operations:
                    action = f"{NAMES.get(service, service)}:{operations[word]}"
                    yield ACTIONS.get(action, action)


def _users(name: str, text: str) -> str:
    """Return the text that calls the clients of a module: the function hands its clients over."""
    if name != "infra.console.hosted.function":
        return text
    return "".join(
        other for one, other in sources().items() if one.startswith("infra.console.hosted.")
    )


def table_actions() -> set[str]:
    """Return the actions of the table's methods that the console's modules and stores call."""
    methods = re.findall(r"\b_?table(?:\(\))?\.(\w+)\(", "".join(sources().values()))
    return {TABLE_ACTIONS[one] for one in methods if one in TABLE_ACTIONS}


def test_each_call_of_the_console_is_listed_with_its_resources() -> None:
    """A new call needs its line here, its permission, and its line in docs/console.md."""
    athena = {action for action, _ in QUERIED if action.startswith("athena:")}
    looks = {action for action, _ in LOOKS}
    listed_here = {one for one in ON if not one.startswith("dynamodb:")}
    assert set(called()) - UNUSED.keys() == listed_here | athena | looks
    assert table_actions() - UNUSED.keys() == {one for one in ON if one.startswith("dynamodb:")}


def test_the_page_lists_the_permissions_of_the_console_of_a_stack() -> None:
    """A person needs the role's permissions, without those of sign-in and sessions."""
    text = (ROOT / "docs/console.md").read_text(encoding="utf-8")
    part = text.partition("Required IAM permissions")[2].partition("The console of a stack")[0]
    written, service = set(), ""
    for word in re.findall(r"`((?:[a-z]+:)?[A-Z]\w+)`", part):
        service = word.partition(":")[0] if ":" in word else service
        written.add(word if ":" in word else f"{service}:{word}")
    hosted = {"dynamodb:DeleteItem"} | {one for one in ON if one.startswith("cognito-idp:")}
    athena = {action for action, _ in QUERIED if action.startswith("athena:")}
    assert written == (ON.keys() - hosted) | athena | {"glue:GetTable"}


def test_the_role_has_the_consoles_calls_and_nothing_else() -> None:
    needed = {(action, resource) for action, resources in ON.items() for resource in resources}
    assert granted(CONSOLE) == needed | OBSERVED | QUERIED | LOOKS


def test_the_console_deletes_no_items_but_its_own() -> None:
    [deletes] = [
        one for one in statements(CONSOLE) if "dynamodb:DeleteItem" in listed(one["Action"])
    ]
    assert listed(deletes["Action"]) == ["dynamodb:DeleteItem"]
    keys = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["console#*"]}}
    assert deletes["Condition"] == keys
    text = sources()["infra.console.hosted.sessions"]
    assert 'f"console#session#{digest}"' in text


def test_the_console_sends_requests_and_never_a_fact_of_the_platform() -> None:
    [sends] = [one for one in statements(CONSOLE) if one["Action"] == "events:PutEvents"]
    assert set(sends["Condition"]) == {"StringEquals"}
    condition = sends["Condition"]["StringEquals"]
    assert condition["events:source"] == SOURCE
    requests = {one.name for one in (OrderCreated, OrderUpdated, OrderCancelled)}
    assert set(condition["events:detail-type"]) == requests


def test_the_roles_policies_fit_into_a_role() -> None:
    """IAM counts at most 10,240 characters of a role's inline policies, without white space."""
    names = {name: f"{'o' * 32}-{name}-ABCDEFGHIJKLM" for name in RESOURCES}
    arn = "arn:aws:service:ap-southeast-1:123456789012:"
    template = Template(
        TEMPLATE,
        HOSTED,
        lambda name, _: {"Ref": arn + names[name], "Arn": arn + names[name], "Alias": names[name]},
    )
    document = template.resolve(properties(CONSOLE)["Policies"], CONSOLE)
    assert len(re.sub(r"\s", "", str([one["PolicyDocument"] for one in document]))) < 10_240
