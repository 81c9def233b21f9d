"""Read a template's resources, and refuse every resource type that is not in this table.

The table is closed; `identify` refuses the other types:

==================================  =========================================================
run                                 ``AWS::Serverless::Function`` (events ``SQS``, ``HttpApi``,
                                    ``ScheduleV2``; ``DynamoDB`` is inert: the engine reads the
                                    outbox in its database), ``AWS::Serverless::StateMachine``,
                                    ``AWS::Serverless::HttpApi``, ``AWS::Events::EventBus``,
                                    ``AWS::Events::Archive``, ``AWS::Events::Rule``,
                                    ``AWS::SQS::Queue``, ``AWS::KinesisFirehose::DeliveryStream``,
                                    ``AWS::Glue::Table``, ``AWS::DynamoDB::Table`` (a SQLite file),
                                    ``AWS::S3::Bucket`` (a folder);
                                    ``AWS::StepFunctions::StateMachineAlias`` and
                                    ``AWS::StepFunctions::StateMachineVersion`` are other names of
                                    their state machine
inert (known and skipped)           permissions (``AWS::IAM::Role``, policies of queues, buckets and
                                    user pools), logs, traces, alarms, resources that only
                                    Athena reads, and the hosted console's API: see `INERT`
not in the stack                    a resource whose condition does not hold; a resource of the
                                    first kind whose condition holds is refused
everything else                     refused, by name
==================================  =========================================================
"""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from infra.asl import DefinitionError, Machine, compile_definition
from infra.local.template.errors import TemplateError
from infra.local.template.functions import LocalValue, read_functions
from infra.local.template.http_api import read_http_api
from infra.local.template.loader import ACCOUNT, REGION, Template, read_yaml
from infra.local.template.stack import (
    Queue,
    Rule,
    Stack,
    StateMachine,
    Stream,
    Supported,
    Target,
    TargetKind,
)
from infra.patterns import InvalidPattern, Pattern, compile_pattern

RUN = {  # resource type: service and resource prefix of its ARN
    "AWS::Serverless::Function": ("lambda", "function:"),
    "AWS::Serverless::StateMachine": ("states", "stateMachine:"),
    "AWS::Serverless::HttpApi": ("apigateway", ""),
    "AWS::Events::EventBus": ("events", "event-bus/"),
    "AWS::Events::Archive": ("events", "archive/"),
    "AWS::Events::Rule": ("events", "rule/"),
    "AWS::SQS::Queue": ("sqs", ""),
    "AWS::KinesisFirehose::DeliveryStream": ("firehose", "deliverystream/"),
    "AWS::Glue::Table": ("glue", "table/"),
    "AWS::DynamoDB::Table": ("dynamodb", "table/"),
    "AWS::S3::Bucket": ("s3", ""),
}
NAMES = {  # resource type: path of the property with the resource that it is another name of
    "AWS::StepFunctions::StateMachineAlias": ("DeploymentPreference", "StateMachineVersionArn"),
    "AWS::StepFunctions::StateMachineVersion": ("StateMachineArn",),
}
INERT = frozenset(
    {
        "AWS::ApiGatewayV2::Api",
        "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::Route",
        "AWS::ApiGatewayV2::Stage",
        "AWS::Athena::NamedQuery",
        "AWS::Athena::WorkGroup",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::Cognito::UserPool",
        "AWS::Cognito::UserPoolClient",
        "AWS::Cognito::UserPoolDomain",
        "AWS::Cognito::UserPoolGroup",
        "AWS::Cognito::UserPoolResourceServer",
        "AWS::Glue::Database",
        "AWS::IAM::Role",
        "AWS::Lambda::Permission",
        "AWS::Logs::LogGroup",
        "AWS::Logs::LogStream",
        "AWS::Logs::MetricFilter",
        "AWS::S3::BucketPolicy",
        "AWS::Events::EventBusPolicy",
        "AWS::SQS::QueuePolicy",
        "AWS::Serverless::LayerVersion",
        "AWS::XRay::SamplingRule",
    }
)

_REFERENCES_TO_ARN = {"AWS::Serverless::StateMachine"}
_VARIABLE = re.compile(r"\$\{([A-Za-z0-9]+)\}")


def identify(logical_id: str, resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the attributes of a resource that references can name.

    Raises
    ------
    TemplateError
        Its type is neither in `RUN`, nor in `NAMES`, nor in `INERT`.
    """
    kind = resource.get("Type", "")
    if kind in NAMES:
        return {"Ref": _named_resource(logical_id, resource["Properties"], NAMES[kind])}
    if kind not in RUN and kind not in INERT:
        raise TemplateError(
            f"Resources.{logical_id}", f"resource type {kind} is not supported on one machine"
        )
    service, prefix = RUN.get(kind, (kind.split("::")[1].lower(), ""))
    properties = resource["Properties"]
    name = next(
        (properties[key] for key in ("Name", "QueueName", "FunctionName") if key in properties),
        logical_id,
    )
    arn = f"arn:aws:{service}:{REGION}:{ACCOUNT}:{prefix}{name}"
    reference = arn if kind in _REFERENCES_TO_ARN else name
    if kind == "AWS::SQS::Queue":
        reference = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"
    return {
        "Ref": reference,
        "Arn": arn,
        "Name": name,
        "QueueName": name,
        "ApiEndpoint": "",
        "StreamArn": f"{arn}/stream",
        "Alias": arn,
    }


def _named_resource(logical_id: str, properties: Any, path: tuple[str, ...]) -> Any:
    """Return the reference at a path of properties."""
    value, place = properties, f"Resources.{logical_id}.Properties"
    for key in path:
        place = f"{place}.{key}"
        value = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or value == {"Ref": logical_id}:
        raise TemplateError(place, "is no reference to a state machine or to its version")
    return value


def load(
    path: Path, parameters: Mapping[str, str], local_value: LocalValue, supported: Supported
) -> Stack:
    """Return the stack of a template (see `infra.local.stack_loader.load`).

    Raises
    ------
    TemplateError
        It is malformed, or something in it does not exist or is not supported.
    """
    template = Template(path, parameters, identify)
    for name, resource in template.resources.items():
        if resource["Type"] in RUN and "Condition" in resource:
            problem = "is met, which is not supported on one machine"
            raise TemplateError(f"Resources.{name}.Condition", problem)
    stack = Stack()
    try:
        read_functions(template, stack, local_value)
        read_http_api(template, stack)
        _read_buses(template, stack)
        _read_queues(template, stack)
        _read_state_machines(template, stack, supported.integrations)
        _read_streams(template, stack)
        _read_rules(template, stack, supported.targets)
        _check_references(stack)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, TemplateError):
            raise
        raise TemplateError(template.place, f"is malformed: {error!r}") from None
    return stack


def _read_buses(template: Template, stack: Stack) -> None:
    for name, _, get in template.properties("AWS::Events::EventBus", {"Name"}, {"Tags"}):
        if stack.bus:
            raise TemplateError(f"Resources.{name}", "is a second bus; one machine has one")
        stack.bus = get("Name", name)
    keys = {"ArchiveName", "SourceArn", "RetentionDays", "EventPattern"}
    for name, place, get in template.properties("AWS::Events::Archive", keys, {"Description"}):
        stack.archive = get("ArchiveName", name)
        stack.archive_days = int(get("RetentionDays", 0))
        pattern = get("EventPattern", {"source": [{"exists": True}]})  # default: every event
        stack.archive_pattern = _pattern(pattern, place)
    for name, policy in template.of_type("AWS::Events::EventBusPolicy"):
        statement = template.resolve(policy["Statement"], f"Resources.{name}.Properties.Statement")
        condition = statement.get("Condition", {}).get("ForAnyValue:StringEquals", {})
        if statement["Effect"] == "Deny":
            stack.own_facts |= frozenset(condition.get("events:detail-type", ()))


def _read_queues(template: Template, stack: Stack) -> None:
    run = {"QueueName", "VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy"}
    for name, _, get in template.properties("AWS::SQS::Queue", run, {"SqsManagedSseEnabled"}):
        redrive = get("RedrivePolicy", {})
        dead_letters = redrive.get("deadLetterTargetArn")
        queue = get("QueueName", name)
        stack.queues[queue] = Queue(
            queue,
            f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
            f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{queue}",
            float(get("VisibilityTimeout", 30)),
            float(get("MessageRetentionPeriod", 345_600)),
            dead_letters and dead_letters.rsplit(":", 1)[1],
            int(redrive.get("maxReceiveCount", 0)),
        )


def _read_state_machines(template: Template, stack: Stack, integrations: Collection[str]) -> None:
    run = {"Name", "Type", "DefinitionUri", "DefinitionSubstitutions"}
    inert = {"Role", "Logging", "Tracing"}
    kind = "AWS::Serverless::StateMachine"
    for logical_id, _, get in template.properties(kind, run, inert):
        name = get("Name", logical_id)
        path = template.path.parent / get("DefinitionUri")
        definition = _definition(path, get("DefinitionSubstitutions", {}))
        machine_type = get("Type", "STANDARD")
        express = machine_type == "EXPRESS"
        stack.state_machines[name] = StateMachine(
            name,
            f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}",
            machine_type,
            compiled(definition, name, str(path), integrations, express=express),
            json.dumps(definition),  # which is YAML too
        )


def compiled(
    definition: Mapping[str, Any],
    name: str,
    place: str,
    integrations: Collection[str],
    *,
    express: bool = False,
) -> Machine:
    """Return a definition compiled; ``express`` is whether it is a new one of type EXPRESS.

    Raises
    ------
    TemplateError
        The definition is invalid; the message has the place in it.
    """
    try:
        return compile_definition(definition, name=name, integrations=integrations, express=express)
    except DefinitionError as error:
        raise TemplateError(place, str(error)) from None


def _definition(path: Path, substitutions: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition with its substitutions replaced.

    Raises
    ------
    TemplateError
        A substitution has no value, or the file cannot be read.
    """

    def replacement(match: re.Match[str]) -> str:
        if match[1] not in substitutions:
            raise TemplateError(str(path), f"${{{match[1]}}} has no value in the template")
        return str(substitutions[match[1]])

    try:
        body = read_yaml(_VARIABLE.sub(replacement, path.read_text()), str(path))
    except OSError as error:
        raise TemplateError(str(path), f"cannot be read: {error.strerror}") from None
    if not isinstance(body, dict):
        raise TemplateError(str(path), "is not a state machine definition")
    return body


def _read_streams(template: Template, stack: Stack) -> None:
    inert = {"CatalogId", "DatabaseName"}
    tables = {
        name: table
        for name, _, table in template.properties("AWS::Glue::Table", {"TableInput"}, inert)
    }
    kind = "AWS::KinesisFirehose::DeliveryStream"
    run = {"DeliveryStreamType", "ExtendedS3DestinationConfiguration"}
    inert = {"DeliveryStreamEncryptionConfigurationInput"}
    for name, place, get in template.properties(kind, run, inert):
        destination = get("ExtendedS3DestinationConfiguration")
        schema = destination["DataFormatConversionConfiguration"]["SchemaConfiguration"]
        if schema["TableName"] not in tables:
            raise TemplateError(place, f"has no table {schema['TableName']!r} to convert to")
        table = tables[schema["TableName"]]("TableInput")
        [processor] = destination["ProcessingConfiguration"]["Processors"]
        [parameter] = processor["Parameters"]
        stack.streams[name] = Stream(
            name,
            parameter["ParameterValue"].rsplit(":", 1)[1],
            float(destination["BufferingHints"]["IntervalInSeconds"]),
            destination["Prefix"],
            destination["ErrorOutputPrefix"],
            {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]},
        )


def _read_rules(template: Template, stack: Stack, kinds: Mapping[str, TargetKind]) -> None:
    run = {"EventBusName", "EventPattern", "Targets"}
    for name, place, get in template.properties("AWS::Events::Rule", run, {"Description"}):
        targets = tuple(
            _target(stack, name, target, f"{place}.Targets[{n}]", kinds)
            for n, target in enumerate(get("Targets", []))
        )
        ids = [target.id for target in targets]
        for n, target_id in enumerate(ids):
            if target_id in ids[:n]:
                problem = f"{target_id} is the id of an earlier target"
                raise TemplateError(f"{place}.Targets[{n}].Id", problem)
        stack.rules.append(Rule(name, _pattern(get("EventPattern"), place), targets))
        bus = str(get("EventBusName", "default")).rsplit("/", 1)[-1]
        if bus != stack.bus:
            problem = f"the bus {bus} is not on one machine, which has {stack.bus}"
            raise TemplateError(f"{place}.EventBusName", problem)


def _target(
    stack: Stack,
    rule: str,
    target: Mapping[str, Any],
    place: str,
    kinds: Mapping[str, TargetKind],
) -> Target:
    for key in target:
        if key not in {"Id", "Arn", "RoleArn", "RetryPolicy", "DeadLetterConfig"}:
            raise TemplateError(f"{place}.{key}", "is not supported on one machine")
    arn: str = target["Arn"]
    service = arn.split(":")[2]
    if service not in kinds:
        raise TemplateError(
            f"{place}.Arn", f"targets of {service} are not supported on one machine"
        )
    kind = kinds[service]
    try:
        name = stack.name_of(kind.resources, arn)
    except KeyError as error:
        raise TemplateError(f"{place}.Arn", str(error.args[0])) from None
    policy = target.get("RetryPolicy", {})
    dead_letters = target.get("DeadLetterConfig", {}).get("Arn")
    return Target(
        rule,
        target["Id"],
        kind.kind,
        name,
        float(policy.get("MaximumEventAgeInSeconds", 86_400)),
        int(policy.get("MaximumRetryAttempts", 185)),
        dead_letters and dead_letters.rsplit(":", 1)[1],
    )


def _pattern(pattern: Any, place: str) -> Pattern:
    try:
        return compile_pattern(pattern)
    except InvalidPattern as error:
        raise TemplateError(f"{place}.EventPattern", str(error)) from None


def _check_references(stack: Stack) -> None:
    """Raise `TemplateError` for a reference to a resource that does not exist."""
    for queue in stack.queues.values():
        if queue.dead_letters and queue.dead_letters not in stack.queues:
            raise TemplateError(f"Resources.{queue.name}", f"{queue.dead_letters} does not exist")
    for consumer in stack.consumers:
        if consumer.queue not in stack.queues:
            raise TemplateError(
                f"Resources.{consumer.function}", f"{consumer.queue} does not exist"
            )
    for rule in stack.rules:
        for target in rule.targets:
            if target.dead_letters and target.dead_letters not in stack.queues:
                raise TemplateError(
                    f"Resources.{rule.name}", f"{target.dead_letters} does not exist"
                )
