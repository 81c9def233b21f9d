"""``make power-tuning``: the input of AWS Lambda Power Tuning for each function.

The payloads are those of a run of generated orders on this machine. Power Tuning gives up at an
error of the function, so steps have payloads of three orders that they take forward in turn.

Sources: alexcasalboni/aws-lambda-power-tuning, README-INPUT-OUTPUT (the parameters, at least 5
calls with each memory, a payload of 256 KB at most); Lambda, "Configure function memory".
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple

import typer

from infra.cli.commands.run import Run
from infra.cli.errors import CommandError
from infra.cli.generator import generate
from infra.cli.options import StackOptions, expand_options
from infra.cost.deployment import FULL_CPU_MB
from infra.deployed.account import translate_errors
from infra.errors import Refusal
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.local.platform import platform
from infra.local.settle import settle
from infra.local.workers.invocations import Invocation, Result
from infra.server.gateway import event_of
from infra.server.request import Request
from infra.terminal.output import console, errors
from kernel.events import OrderCompleted
from kernel.order_record import Message
from storage.dynamodb.attributes import to_attribute
from storage.dynamodb.order_item import order_key, to_message

FOLDER = Path(".aws-sam/power-tuning")
SEED, COUNT = 1, 60
"""The orders of the run: the first ones have each kind once."""

MEMORY = [192, 256, 512, 1024, FULL_CPU_MB]
"""MB to try: 128 leave a handler's modules little room, and one thread uses a vCPU at most."""

CALLS = 50
"""Calls with each memory, one after the other: a new account has ten concurrent executions."""

MAX_PAYLOAD = 200_000
"""Bytes of a payload in an input of at most 256 KiB (Step Functions quotas)."""

UNKNOWN = "arn:aws:lambda:REGION:ACCOUNT:function:{}"
"""A function's ARN without a stack."""

app = typer.Typer(add_completion=False)


FORWARD = (
    *("ValidateOrder", "CheckInventory", "ProcessPayment", "UpdateInventory", "CreateShipment"),
    *("CompleteOrder", "PauseOrder", "RequestApproval", "CompensateOrder"),
)
UNDO = ("VoidShipment", "RefundPayment", "ReleaseInventory", "FailOrder")
EPOCHS = {**dict.fromkeys(FORWARD, 1), **dict.fromkeys(UNDO, 2)}
"""The steps in an order in which each can be repeated, and the epoch of an order's first run there.

An order that has ended takes no step; CompensateOrder claims the order again, at the next epoch.
"""


class Recorded(NamedTuple):
    """Payloads of each function in the order of tuning.

    ``claims`` are payloads of ValidateOrder for the orders that the other steps take; each claim
    ends the earlier one's steps, so ValidateOrder is tuned with another order. ``units`` are the
    stock.
    """

    payloads: Mapping[str, list[Any]]
    claims: list[Any]
    units: Mapping[str, int]


class Call(NamedTuple):
    """A call of a function that was answered without an error."""

    function: str
    payload: bytes


@app.command()
@expand_options
def power_tuning(
    *,
    to: Annotated[Path, typer.Option(help="The folder of the inputs.")] = FOLDER,
    stack: StackOptions,
) -> None:
    """Write the input of AWS Lambda Power Tuning for each function into a folder."""
    try:
        arn_of = _arns(stack)
        recorded = record(SEED, COUNT)
        write(recorded, to, arn_of)
    except (Refusal, CommandError) as error:
        errors.print(str(error))
        raise typer.Exit(1) from None
    console.print(f"{to} has the inputs of {len(recorded.payloads)} functions, and README.md.")


def record(seed: int, count: int) -> Recorded:
    """Return payloads of a run of generated orders, in a directory that is then removed."""
    generated = generate(count, seed)
    with TemporaryDirectory() as folder:
        where = DataDirectory(Path(folder))
        with platform(where, workers=1) as engine:
            calls = _listen(engine)
            Run(engine, where).take(generated.lines(), generated.receipt)
            for schedule in engine.stack.schedules:
                engine.run_schedule(schedule.function)
            settle(engine)
            functions = set(engine.stack.functions)
            found = _chosen(calls)
            [paid] = _orders(found["FlagHighValueFunction"])
            found["RelayFunction"] = [_stream(engine, paid)]
            found["OrdersApiFunction"] = [_read(engine, paid)]
            found["RequestApprovalFunction"] = _requests(found["PauseOrderFunction"])
            found["RestartOrderFunction"] = [_retry(found["FlagHighValueFunction"][0])]
    missing = sorted(functions - found.keys())
    if missing:
        raise CommandError(f"the run called no {', '.join(missing)}; add a payload of it")
    claims = found["ValidateOrderFunction"]
    found["ValidateOrderFunction"] = [_other_claim(calls, _orders(claims))]
    steps = [f"{step}Function" for step in EPOCHS]
    ordered = [*steps, *sorted(found.keys() - set(steps))]
    return Recorded({name: found[name] for name in ordered}, claims, generated.receipt.units)


def _chosen(calls: list[Call]) -> dict[str, list[Any]]:
    """Return the payloads by function: of steps, those of the orders of `_subjects`."""
    subjects = _subjects(calls)
    found: dict[str, list[Any]] = {}
    for call in calls:
        if call.function in ("FlagHighValueFunction", "SendConfirmationFunction"):
            records = json.loads(call.payload)["Records"]
            own = [record for record in records if subjects & _orders([record["body"]])]
            if own:
                found.setdefault(call.function, [{"Records": own[:1]}])
        elif len(call.payload) <= MAX_PAYLOAD:
            found.setdefault(call.function, [json.loads(call.payload)])
    for step in EPOCHS:
        first: dict[str, Any] = {}
        for payload in _payloads(calls, step):
            for order in subjects & _orders([payload]):
                first.setdefault(order, payload)
        found[f"{step}Function"] = list(first.values())
    return found


def _requests(pauses: list[Any]) -> list[Any]:
    """Return the payloads of RequestApproval for paused orders: no order of the run needs one."""
    return [{name: pause[name] for name in ("order_id", "epoch")} for pause in pauses]


def _other_claim(calls: list[Call], but: set[str]) -> Any:
    """Return the first payload of ValidateOrder for another order."""
    claims = _payloads(calls, "ValidateOrder")
    return next(claim for claim in claims if not but & _orders([claim]))


def _subjects(calls: list[Call]) -> set[str]:
    """Return three orders: one of high value, one that waits, and one that is refunded."""
    flagged = [json.loads(one.payload) for one in calls if one.function == "FlagHighValueFunction"]
    steps = ("PauseOrder", "ProcessPayment", "RefundPayment")
    waiting, paid, refunded = (_orders(_payloads(calls, step)) for step in steps)
    return {min(orders) for orders in (_orders(flagged), waiting, paid & refunded)}


def _payloads(calls: list[Call], step: str) -> list[Any]:
    """Return the payloads of a step in the first run of an order."""
    payloads = [json.loads(call.payload) for call in calls if call.function == f"{step}Function"]
    return [payload for payload in payloads if payload.get("epoch", 1) == EPOCHS[step]]


def _orders(payloads: list[Any]) -> set[str]:
    """Return the ids of generated orders in payloads."""
    return set(re.findall(r"G\d+-\d{6}", json.dumps(payloads)))


def write(recorded: Recorded, to: Path, arn_of: Callable[[str], str]) -> None:
    """Write an input for each function, the stock, and a README."""
    to.mkdir(parents=True, exist_ok=True)
    for number, (name, payloads) in enumerate(recorded.payloads.items(), 1):
        weighted = [{"payload": payload, "weight": 1} for payload in payloads]
        settings = {
            "lambdaARN": arn_of(name),
            "powerValues": MEMORY,
            "num": CALLS,
            "payload": weighted if len(payloads) > 1 else payloads[0],
            "parallelInvocation": False,
            "strategy": "balanced",
            "includeOutputResults": True,
            "disablePayloadLogs": True,  # orders contain names and addresses
        }
        text = json.dumps(settings, indent=2)
        (to / f"{number:02d}-{name}.json").write_text(f"{text}\n", encoding="utf-8")
    for number, claim in enumerate(recorded.claims, 1):
        (to / f"claim-{number}.payload").write_text(f"{json.dumps(claim)}\n", encoding="utf-8")
    stock = "".join(f"{sku},{units}\n" for sku, units in recorded.units.items() if units)
    (to / "stock.csv").write_text(f"sku,on_hand\n{stock}", encoding="utf-8")
    (to / "README.md").write_text(README, encoding="utf-8")


README = f"""\
# Inputs of AWS Lambda Power Tuning

One file for each function: the input of an execution of Power Tuning's state machine.

1. Deploy a stack of the stage dev for it, with `LeaseSeconds=86400`: a reconciler that resumed the
   orders would end their steps. Calls change the stack, and send events and mail.
2. Receive the stock: `orders stock receive stock.csv --stack NAME`. Send no event.
3. Write the files with the functions' ARNs: `make power-tuning STACK=NAME`. Then call ValidateOrder
   once with each `claim-N.payload` (`aws lambda invoke`): it creates and claims the orders of the
   payloads (seed {SEED}).
4. Start the executions one after the other, in the order of the files' numbers:
   `aws stepfunctions start-execution --state-machine-arn ARN --input file://FILE`

A function is called {CALLS} times with each memory. All calls but the first repeat a step that is
done: they read as much and write less. So compare memories by the ratio of their durations, then
set `MemorySize` in `template.yaml`, and see with `orders cost` what it changes.
"""


def _listen(engine: Engine) -> list[Call]:
    """Return a list that gets each call of an engine that is answered without an error."""
    invoker, calls = engine.calls.invoker, list[Call]()
    submit, poll = invoker.submit, invoker.poll
    sent: dict[int, Call] = {}

    def submitted(invocation: Invocation) -> None:
        sent[invocation.id] = Call(invocation.function.name, invocation.payload)
        submit(invocation)

    def polled(timeout: float) -> list[Result]:
        results = poll(timeout)
        calls.extend(sent[result.id] for result in results if result.error is None)
        return results

    vars(invoker).update(submit=submitted, poll=polled)
    return calls


def _stream(engine: Engine, order_id: str) -> dict[str, Any]:
    """Return a batch of the table's stream: the write that added an Order Completed."""
    row = engine.journal.database.row(
        "select envelope from events where detail_type = ? and order_id = ?",
        OrderCompleted.name,
        order_id,
    )
    assert row is not None, "an order of high value is completed"
    envelope = json.loads(row["envelope"])
    entry = {
        "Source": envelope["source"],
        "DetailType": envelope["detail-type"],
        "Detail": json.dumps(envelope["detail"]),
    }
    pk, sk = order_key(order_id)
    message = to_message(Message("event", entry), engine.clock.now())
    image = {"pk": pk, "sk": sk, "new": "1", "out": {"1": message}}
    image_attributes = {name: to_attribute(value) for name, value in image.items()}
    change = {"SequenceNumber": "1", "NewImage": image_attributes}
    return {"Records": [{"eventID": "1", "eventName": "MODIFY", "dynamodb": change}]}


def _retry(batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch of the retry queue with the event of another queue's batch."""
    [record] = batch["Records"]
    source = record["eventSourceARN"].rpartition(":")[0]
    return {"Records": [{**record, "eventSourceARN": f"{source}:RetryQueue"}]}


def _read(engine: Engine, order_id: str) -> dict[str, Any]:
    """Return a request for an order as the event of the HTTP API."""
    wanted = ("GET", "/orders/{order_id}")
    [route] = [one for one in engine.stack.routes if (one.method, one.path) == wanted]
    path = f"/orders/{order_id}"
    request = Request("GET", path, "", path, {}, (), ("localhost",), "1.1", "127.0.0.1")
    return event_of(route, {"order_id": order_id}, request, b"", None)


def _arns(options: StackOptions) -> Callable[[str], str]:
    """Return the ARN of a function: of the stack, or with words for region and account."""
    stack = options.deployed_stack()
    if stack is None:
        return UNKNOWN.format
    client = stack.client("cloudformation")
    with translate_errors(f"the stack {options.stack}", "name another with --stack"):
        [described] = client.describe_stacks(StackName=options.stack or "orderflow")["Stacks"]
    _, partition, _, region, account, _ = described["StackId"].split(":", 5)
    return lambda name: f"arn:{partition}:lambda:{region}:{account}:function:{stack.name(name)}"


if __name__ == "__main__":
    app()
