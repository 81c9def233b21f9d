"""The hosted console of the template: off by default, with an API and users of its own.

Sources: AWS::Cognito::UserPool, UserPoolClient, UserPoolDomain and UserPoolGroup in the AWS
CloudFormation Template Reference; "Working with AWS Lambda proxy integrations for HTTP APIs" and
"Throttle requests to your HTTP APIs" in the Amazon API Gateway Developer Guide.
"""

import re
from typing import Any

import pytest

from infra.console.hosted.function import ConsoleSettings
from infra.console.hosted.sign_in import GOODBYE, LIFETIME, RETURN
from infra.console.stack import limits
from infra.queries.athena import TEMPLATE
from infra.server.tokens import LOOK, OPERATE
from tests.contract.replacement import identities, replaced
from tests.contract.test_template import (
    BODY,
    ROOT,
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
    """A retained pool would have users and no console: the next console has another pool."""
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


# ---- the bucket


def test_looks_expire_within_a_day() -> None:
    """A look has whole dead letters, with names and addresses."""
    rules = properties("AnalyticsBucket")["LifecycleConfiguration"]["Rules"]
    [rule] = [one for one in rules if one.get("Prefix") == "console/"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 1)
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
