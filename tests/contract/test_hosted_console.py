"""The hosted console of the template: off by default, its own API and users, and a narrow role.

Sources: "Service Authorization Reference" for the action of an operation; AWS::Cognito::UserPool,
UserPoolClient, UserPoolDomain and UserPoolGroup in the AWS CloudFormation Template Reference;
"Working with AWS Lambda proxy integrations for HTTP APIs" and "Throttle requests to your HTTP APIs"
in the Amazon API Gateway Developer Guide.
"""

import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest.mock import patch

import botocore.session
import grimp
import pytest
from botocore import xform_name

from infra.console.hosted.function import ConsoleSettings
from infra.console.hosted.sign_in import GOODBYE, LIFETIME, RETURN
from infra.console.stack import limits
from infra.local.template.loader import Template
from infra.queries.athena import TEMPLATE
from infra.server.tokens import LOOK, OPERATE
from kernel.events import SOURCE, OrderCancelled, OrderCreated, OrderUpdated
from tests.contract.replacement import identities, replaced
from tests.contract.test_permissions import CONSOLE, OBSERVED, WAREHOUSE, granted
from tests.contract.test_template import (
    BODY,
    CONSUMERS,
    DEAD_LETTER_QUEUES,
    QUEUES,
    ROOT,
    TABLE_ACTIONS,
    listed,
    statements,
)
from tests.contract.test_updates import depends_on

OFF, HOSTED = {"Console": "off"}, {"Console": "hosted"}
RESOURCES: dict[str, Any] = BODY["Resources"]
OURS = {name for name, one in RESOURCES.items() if one.get("Condition") == "HostedConsole"}

PAGE = 8
"""Requests of a browser at once for a page that it has not seen: the page and its files."""

API_GATEWAY_WAITS = 30
"""Seconds (API Gateway, "Quotas for configuring and running an HTTP API")."""


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[name]["Properties"]
    return found


# ---- off and on


def test_the_console_is_off_unless_it_is_asked_for() -> None:
    parameter = BODY["Parameters"]["Console"]
    assert (parameter["Default"], parameter["AllowedValues"]) == ("off", ["off", "hosted"])
    assert BODY["Conditions"]["HostedConsole"] == {"Fn::Equals": [{"Ref": "Console"}, "hosted"]}


def test_each_resource_of_the_console_has_the_condition() -> None:
    assert {name for name in RESOURCES if name.startswith("Console")} == OURS
    assert {RESOURCES[name]["Type"] for name in OURS} == {
        *(f"AWS::ApiGatewayV2::{one}" for one in ("Api", "Integration", "Route", "Stage")),
        *(f"AWS::Cognito::UserPool{one}" for one in ("", "Client", "Domain", "Group")),
        *("AWS::IAM::Role", "AWS::Lambda::Permission", "AWS::Serverless::Function"),
    }


def test_nothing_else_refers_to_the_console() -> None:
    """A reference to a resource that does not exist fails the deployment."""
    for name, resource in RESOURCES.items():
        assert name in OURS or not depends_on(resource) & OURS, name
    for name, output in BODY["Outputs"].items():
        if depends_on(output["Value"]) & OURS:
            assert output["Condition"] == "HostedConsole", name


def test_switching_the_console_changes_no_other_resource() -> None:
    off, hosted = identities(TEMPLATE, OFF), identities(TEMPLATE, HOSTED)
    assert replaced(off, hosted) == {}
    assert replaced(hosted, off) == {key: ["(removed)"] for key in OURS}


def test_switching_it_off_deletes_all_of_it() -> None:
    """A kept pool would be an orphan with its users: the next one is another pool."""
    for name in OURS:
        assert not {"DeletionPolicy", "UpdateReplacePolicy"} & RESOURCES[name].keys(), name
    assert "DeletionProtection" not in properties("ConsoleUserPool")


# ---- the API and its function


def test_the_api_calls_the_published_alias_alone() -> None:
    alias = {"Ref": "ConsoleFunction.Alias"}
    integration, permission = properties("ConsoleIntegration"), properties("ConsolePermission")
    assert integration["IntegrationType"] == "AWS_PROXY"
    assert integration["IntegrationUri"] == permission["FunctionName"] == alias
    assert integration["PayloadFormatVersion"] == "2.0"  # Mangum reads either; cookies need 2.0
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert permission["SourceArn"]["Fn::Sub"].endswith(":${ConsoleApi}/*/*")
    route = properties("ConsoleRoute")
    assert (route["RouteKey"], route["AuthorizationType"]) == ("$default", "NONE")
    assert route["Target"] == {"Fn::Sub": "integrations/${ConsoleIntegration}"}
    assert "CorsConfiguration" not in properties("ConsoleApi"), "no other origin may read a page"


def test_the_function_answers_before_the_api_gives_up() -> None:
    timeout = properties("ConsoleFunction")["Timeout"]
    assert max(limits.HOSTED.page, limits.HOSTED.operation.seconds) < timeout < API_GATEWAY_WAITS
    assert properties("ConsoleIntegration")["TimeoutInMillis"] == API_GATEWAY_WAITS * 1000


def test_the_stage_is_throttled_and_admits_pages() -> None:
    limits = properties("ConsoleStage")["DefaultRouteSettings"]
    assert set(limits) == {"ThrottlingRateLimit", "ThrottlingBurstLimit"}
    assert PAGE <= limits["ThrottlingRateLimit"] <= 2 * PAGE
    assert 2 * PAGE <= limits["ThrottlingBurstLimit"] <= 4 * PAGE


def test_the_console_takes_a_bounded_part_of_the_accounts_concurrency() -> None:
    """A reservation below the burst would throttle the function, and raise the orders' alarm."""
    reserved = properties("ConsoleFunction")["ReservedConcurrentExecutions"]
    burst = properties("ConsoleStage")["DefaultRouteSettings"]["ThrottlingBurstLimit"]
    assert reserved == {"Fn::If": ["Lasting", burst, {"Ref": "AWS::NoValue"}]}


def test_the_access_log_has_no_query_string() -> None:
    """A sign-in's query has its code, and a filter's a customer."""
    log = properties("ConsoleStage")["AccessLogSettings"]
    assert log["DestinationArn"] == {"Fn::GetAtt": ["ApiLogGroup", "Arn"]}
    assert set(re.findall(r"\$context\.([\w.]+)", log["Format"])) == {
        *("requestTime", "requestId", "httpMethod", "path", "status"),
        *("responseLatency", "responseLength", "error.message"),
    }


def test_the_function_has_the_settings_of_the_console() -> None:
    function = properties("ConsoleFunction")
    given = function["Environment"]["Variables"]
    assert {name for name in given if name.startswith("CONSOLE_")} == {
        name.upper() for name in ConsoleSettings.model_fields
    }
    assert given["CONSOLE_URL"] == {"Fn::GetAtt": ["ConsoleApi", "ApiEndpoint"]}
    assert given["CONSOLE_POOL"] == {"Ref": "ConsoleUserPool"}
    assert given["CONSOLE_CLIENT"] == {"Ref": "ConsoleUserPoolClient"}
    assert function["Handler"] == "infra.console.hosted.function.handler"
    assert RESOURCES["ConsoleFunction"]["Metadata"] == {"BuildMethod": "makefile"}
    assert (ROOT / function["CodeUri"] / "Makefile").is_file()
    # else SAM makes a deployment group of a function that does not exist
    assert function["DeploymentPreference"] == {"PassthroughCondition": True}


# ---- users


def test_only_an_administrator_creates_users_and_each_has_a_second_factor() -> None:
    pool = properties("ConsoleUserPool")
    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    assert (pool["MfaConfiguration"], pool["EnabledMfas"]) == ("ON", ["SOFTWARE_TOKEN_MFA"])
    assert pool["UsernameConfiguration"] == {"CaseSensitive": False}
    assert pool["Policies"]["PasswordPolicy"]["MinimumLength"] >= 14
    [recovery] = pool["AccountRecoverySetting"]["RecoveryMechanisms"]
    assert recovery["Name"] == "verified_email"


def test_a_group_is_named_like_a_scope_of_one_machine() -> None:
    groups = [name for name in OURS if RESOURCES[name]["Type"] == "AWS::Cognito::UserPoolGroup"]
    assert {properties(name)["GroupName"] for name in groups} == {LOOK, OPERATE}
    for name in groups:
        assert properties(name)["UserPoolId"] == {"Ref": "ConsoleUserPool"}
        assert "RoleArn" not in properties(name)


def test_the_client_takes_codes_with_pkce_at_the_consoles_own_address() -> None:
    client = properties("ConsoleUserPoolClient")
    assert client["UserPoolId"] == {"Ref": "ConsoleUserPool"}
    assert client["GenerateSecret"] is False
    assert client["AllowedOAuthFlowsUserPoolClient"] is True
    assert client["AllowedOAuthFlows"] == ["code"]
    assert client["AllowedOAuthScopes"] == ["openid"]
    assert client["SupportedIdentityProviders"] == ["COGNITO"]
    assert client["ExplicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert client["EnableTokenRevocation"] is True
    for name, path in (("CallbackURLs", RETURN), ("LogoutURLs", GOODBYE)):
        assert client[name] == [{"Fn::Sub": f"${{ConsoleApi.ApiEndpoint}}{path}"}]


def test_tokens_are_as_short_as_cognito_allows() -> None:
    client = properties("ConsoleUserPoolClient")
    assert set(client["TokenValidityUnits"].values()) == {"minutes"}
    assert (client["AccessTokenValidity"], client["IdTokenValidity"]) == (5, 5)
    assert client["RefreshTokenValidity"] == 60
    # a first sign-in includes a new password and the set-up of TOTP: the maximum, in minutes
    assert client["AuthSessionValidity"] == 15
    assert client["AuthSessionValidity"] * 60 >= LIFETIME


@pytest.mark.parametrize("stack", ["orderflow-dev", "o", "o" * 32])
def test_the_domain_of_each_stack_name_is_a_prefix_that_cognito_takes(stack: str) -> None:
    """A stage's stack is named so (`infra.release.stage`); the dev pool of the API has another."""
    written = properties("ConsoleUserPoolDomain")["Domain"]["Fn::Sub"]
    other = properties("UserPoolDomain")["Domain"]["Fn::Sub"]
    domain = written.replace("${AWS::StackName}", stack)
    domain = domain.replace("${AWS::AccountId}", "123456789012")
    assert re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", domain)
    assert written != other
    assert properties("ConsoleUserPoolDomain")["ManagedLoginVersion"] == 1


# ---- the role

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
    """A person needs those of the role, but for what the hosted console alone does."""
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


def test_looks_expire_within_a_day() -> None:
    """A look has whole dead letters, with names and addresses."""
    rules = properties("AnalyticsBucket")["LifecycleConfiguration"]["Rules"]
    [rule] = [one for one in rules if one.get("Prefix") == "console/"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 1)
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


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
