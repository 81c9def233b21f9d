"""The contracts: generated files match the models, examples are valid, breaks are detected."""

import copy
import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft4Validator, Draft202012Validator
from typer.testing import CliRunner

from infra.contracts import schemas, snippets
from infra.contracts.baseline import Contract, present, problems, released
from infra.contracts.catalogue import CATALOGUE, ON_HAND, SOLD_OUT
from infra.contracts.changelog import Release, releases
from infra.contracts.compatibility import compare
from infra.contracts.examples import THRESHOLD, Example
from infra.contracts.folder import BASELINE, FOLDER, slug
from infra.contracts.generated import differing, release, write
from infra.contracts.good_to_know import FAILURES, REFUSALS, sandbox_tokens
from infra.contracts.index_page import ANSWERS
from infra.contracts.registry import MAX_CHARACTERS
from infra.contracts.sample_orders import examples
from inventory.model import OutOfStock, Shortage
from inventory.usecases import _out_of_stock
from kernel.errors import CarrierError, InvalidEvent, PaymentDeclined
from kernel.events import CONTRACTS, REQUESTS, parse
from kernel.money import from_minor
from orders.model import OUT_OF_STOCK, UNPAID
from payments import gateway

JSON = dict[str, Any]
FILES = sorted(FOLDER.glob("*/examples/*.json"))
EXAMPLES = [example for those in examples().values() for example in those]


def read(path: Path) -> JSON:
    content: JSON = json.loads(path.read_text(encoding="utf-8"))
    return content


def validators(name: str) -> tuple[Any, Any]:
    folder = FOLDER / slug(name)
    return (
        Draft202012Validator(read(folder / "schema.json")),
        Draft4Validator(read(folder / "schema.draft4.json")),
    )


def envelope(name: str, detail: object) -> JSON:
    return {"source": "orders.service", "detail-type": name, "detail": detail}


# Generated files


def test_every_generated_file_matches_the_models() -> None:
    assert differing(FOLDER) == {}, "run: make schemas"


def test_a_folder_is_completed_and_changelogs_are_kept(tmp_path: Path) -> None:
    write(tmp_path)
    assert differing(tmp_path) == {}
    changelog = tmp_path / "order-created/CHANGELOG.md"
    changelog.write_text("# Order Created\n\n## 1.1\n\n- A note.\n\n## 1.0\n\n- First version.\n")
    stale = tmp_path / "order-created/examples/of-old.json"
    stale.write_text("{}")
    (tmp_path / "order-failed/schema.json").write_text("{}\r\n")
    (tmp_path / "sample_stock.csv").unlink()
    assert differing(tmp_path) == {
        "index.html": "differs from the models",
        "order-created/examples/of-old.json": "belongs to no event",
        "order-failed/schema.json": "differs from the models",
        "sample_stock.csv": "is missing",
    }
    write(tmp_path)
    assert differing(tmp_path) == {}
    assert "- A note." in changelog.read_text()
    assert "A note." in (tmp_path / "index.html").read_text()
    assert not stale.exists()


def test_files_end_in_one_newline_and_have_unix_line_ends(tmp_path: Path) -> None:
    write(tmp_path)
    for path in tmp_path.rglob("*.*"):
        content = path.read_bytes()
        assert b"\r" not in content, path
        assert content.endswith(b"\n"), path
        assert not content.endswith(b"\n\n"), path


def test_the_check_names_each_different_file_and_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemas, "FOLDER", tmp_path)
    run = CliRunner().invoke
    assert run(schemas.app, []).exit_code == 0
    assert run(schemas.app, ["--check"]).exit_code == 0
    (tmp_path / "asyncapi.json").write_text("{}")
    result = run(schemas.app, ["--check"])
    assert result.exit_code == 1
    assert f"{tmp_path.name}/asyncapi.json differs from the models" in result.stderr
    assert "make schemas" in result.stderr
    assert (tmp_path / "asyncapi.json").read_text() == "{}"


# Schemas and examples


@pytest.mark.parametrize("name", CONTRACTS)
def test_both_forms_of_a_schema_are_valid_schemas(name: str) -> None:
    newer, older = validators(name)
    Draft202012Validator.check_schema(newer.schema)
    Draft4Validator.check_schema(older.schema)
    assert older.schema["x-amazon-events-detail-type"] == name
    assert len(json.dumps(older.schema, indent=2)) <= MAX_CHARACTERS
    assert not re.search(r'"(\$defs|const|examples|\$id)"', json.dumps(older.schema))


@pytest.mark.parametrize("name", CONTRACTS)
def test_an_event_has_three_examples_at_least(name: str) -> None:
    assert len(list((FOLDER / slug(name) / "examples").glob("*.json"))) >= 3


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_an_example_is_valid_under_every_form_of_its_contract(path: Path) -> None:
    event = read(path)
    assert list(event) == ["source", "detail-type", "time", "detail"]
    assert slug(event["detail-type"]) == path.parts[-3]
    for validator in validators(event["detail-type"]):
        validator.validate(event)
    parse(event)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{slug(one.event)}/{one.name}")
def test_an_example_names_its_cause(example: Example) -> None:
    if example.event == "Order Rejected":
        return  # its cause is no event of the examples: it was refused
    order_id = example.envelope["detail"]["order_id"]
    [created] = [
        one for one in examples()["Order Created"] if one.envelope["detail"]["order_id"] == order_id
    ]
    cause, event = parse(created.envelope), parse(example.envelope)
    assert example.envelope["time"] >= created.envelope["time"]
    if example.event in REQUESTS:
        return
    metadata = event.detail.metadata
    assert metadata is not None
    requests = {parse(one.envelope).event_id for one in examples()["Order Cancelled"]}
    answers = example.event.startswith("Order Cancellation")
    assert metadata.causation_id in (requests if answers else {cause.event_id})
    assert event.correlation_id == cause.correlation_id
    assert UUID(event.event_id).version == 5


def test_no_two_examples_are_the_same_event() -> None:
    ids = [parse(example.envelope).event_id for example in EXAMPLES]
    assert len(ids) == len(set(ids))


def test_the_threshold_has_an_example_on_each_side() -> None:
    totals = {one.envelope["detail"]["total"] for one in examples()["Order Created"]}
    assert {999.99, 1000.00} <= totals


def test_examples_have_products_and_prices_of_the_catalogue() -> None:
    prices = {product.sku: from_minor(product.unit_price_minor) for product in CATALOGUE}
    lines = [line for one in EXAMPLES for line in one.envelope["detail"].get("items", ())]
    assert lines
    assert all(line["unit_price"] == prices[line["sku"]] for line in lines)


def test_the_sample_stock_has_every_product_but_one() -> None:
    header, *lines = (FOLDER / "sample_stock.csv").read_text().splitlines()
    assert header == "sku,on_hand"
    stock = {sku: int(on_hand) for sku, on_hand in (line.split(",") for line in lines)}
    assert len(stock) == len(CATALOGUE) == 12
    assert stock.pop(SOLD_OUT) == 0
    assert set(stock.values()) == {ON_HAND}


def test_bus_and_threshold_are_the_templates() -> None:
    template = (FOLDER.parent / "template.yaml").read_text(encoding="utf-8")
    assert f"Name: {snippets.BUS}\n" in template
    assert f"&high_value {THRESHOLD // 100}" in template


# Schemas and models agree

ORDER: JSON = {
    "order_id": "A-1",
    "customer_id": "C-1",
    "currency": "USD",
    "items": [{"sku": "TEA", "quantity": 2, "unit_price": 12.5}],
    "total": 25.0,
    "timestamp": "2026-01-31T12:00:00Z",
}
ADDRESS = {"name": "Ada", "street": "1 Road", "city": "Bristol", "country": "UK"}


def order(**fields: object) -> JSON:
    return {**ORDER, **fields}


def line(**fields: object) -> JSON:
    return order(items=[{**ORDER["items"][0], **fields}])


def without(name: str) -> JSON:
    return {key: value for key, value in ORDER.items() if key != name}


GOOD = {
    "as it is": ORDER,
    "an unknown field": order(colour="blue"),
    "an unknown field in a line": line(colour="blue"),
    "no metadata in metadata": order(metadata={}),
    "null where nothing is": order(metadata=None, email=None, shipping_address=None),
    "an address": order(shipping_address=ADDRESS),
    "a whole number for an amount": order(total=25),
    "another zone": order(timestamp="2026-01-31T12:00:00+05:30"),
}
REFUSED_BY_BOTH = {
    "no object": [],
    **{f"no {name}": without(name) for name in ORDER},
    "a null for an id": order(order_id=None),
    "an empty id": order(order_id=""),
    "an id that is a number": order(order_id=7),
    "an id of 65 characters": order(order_id="A" * 65),
    "an id with a space": order(order_id="A 1"),
    "an id that begins with a dash": order(order_id="-A"),
    "a currency in small letters": order(currency="usd"),
    "a currency of four letters": order(currency="USDT"),
    "no lines": order(items=[]),
    "lines that are no list": order(items={}),
    "99 lines": order(items=ORDER["items"] * 99),
    "a line that is text": order(items=["TEA"]),
    "a line without a SKU": order(items=[{"quantity": 1, "unit_price": 25.0}]),
    "a quantity of 0": line(quantity=0),
    "a quantity of 1.5": line(quantity=1.5),
    "a quantity as text": line(quantity="2"),
    "a quantity that is true": line(quantity=True),
    "a quantity of 1,000,001": line(quantity=1_000_001),
    "a negative price": line(unit_price=-1),
    "a price as text": line(unit_price="12.50"),
    "a total as text": order(total="25.00"),
    "a total that is true": order(total=True),
    "a total beyond all": order(total=1e12),
    "an e-mail without an at": order(email="ada.example.com"),
    "an e-mail of 255 characters": order(email=f"{'a' * 243}@example.com"),
    "an address without a city": order(shipping_address={"name": "A", "street": "B"}),
    "an empty street": order(shipping_address={**ADDRESS, "street": ""}),
    "a token of 201 characters": order(payment_token="t" * 201),
    "metadata that is text": order(metadata="none"),
    "a version in words": order(metadata={"schema_version": "one"}),
    "an empty event id": order(metadata={"event_id": ""}),
}
BEYOND_A_SCHEMA = {
    "a total that is not the sum": order(total=24.99),
    "a price with three decimals": line(unit_price=12.505),
    "a currency that nobody has": order(currency="XYZ"),
    "a time without a zone": order(timestamp="2026-01-31T12:00:00"),
    "a newer major version": order(metadata={"schema_version": "2.0"}),
}


def accepted(detail: object) -> list[bool]:
    """Return whether the two schemas and the model accept an order."""
    event = envelope("Order Created", detail)
    try:
        parse(event)
        parsed = True
    except InvalidEvent:
        parsed = False
    return [*(validator.is_valid(event) for validator in validators("Order Created")), parsed]


@pytest.mark.parametrize("detail", GOOD.values(), ids=GOOD)
def test_schemas_and_model_accept_the_same(detail: object) -> None:
    assert accepted(detail) == [True, True, True]


@pytest.mark.parametrize("detail", REFUSED_BY_BOTH.values(), ids=REFUSED_BY_BOTH)
def test_schemas_and_model_refuse_the_same(detail: object) -> None:
    assert accepted(detail) == [False, False, False]


@pytest.mark.parametrize("detail", BEYOND_A_SCHEMA.values(), ids=BEYOND_A_SCHEMA)
def test_the_model_refuses_more_than_a_schema_can_express(detail: object) -> None:
    assert accepted(detail) == [True, True, False]


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_schema_is_of_one_event_of_one_source(name: str) -> None:
    good = examples()[name][0].envelope
    for validator in validators(name):
        assert validator.is_valid({**good, "version": "0", "id": "1", "resources": []})
        assert not validator.is_valid({**good, "source": "elsewhere"})
        assert not validator.is_valid({**good, "detail-type": "Order Eaten"})
        assert not validator.is_valid({key: good[key] for key in ("source", "detail-type")})


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_required_field_is_required_by_schemas_and_model(name: str) -> None:
    good = examples()[name][0].envelope
    required = CONTRACTS[name].model_json_schema()["required"]
    for field in required:
        detail = {key: value for key, value in good["detail"].items() if key != field}
        with pytest.raises(InvalidEvent, match=field):
            parse({**good, "detail": detail})
        assert not any(v.is_valid({**good, "detail": detail}) for v in validators(name))


# The gate


def test_a_difference_from_the_release_has_its_new_version() -> None:
    assert set(released()) <= set(CONTRACTS)
    assert not problems(released(), present()), "\n".join(problems(released(), present()))


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_changelog_has_the_present_version(name: str) -> None:
    changelog = FOLDER / slug(name) / "CHANGELOG.md"
    versions = [one.version for one in releases(changelog.read_text(encoding="utf-8"))]
    assert CONTRACTS[name].version in versions, f"say in {changelog} what is new"


def definition(schema: JSON, name: str) -> JSON:
    found: JSON = schema["$defs"][name]
    return found


def field(schema: JSON, path: str) -> JSON:
    """Return a field of ``OrderCreated`` or ``OrderCompleted``, such as ``Item.sku``."""
    owner, _, name = path.rpartition(".")
    one: JSON = definition(schema, owner or schema["title"].replace(" ", ""))["properties"][name]
    return one


def drop(schema: JSON, name: str) -> None:
    detail = definition(schema, schema["title"].replace(" ", ""))
    del detail["properties"][name]
    detail["required"] = [one for one in detail["required"] if one != name]


def add(schema: JSON, name: str, *, required: bool = False) -> None:
    detail = definition(schema, schema["title"].replace(" ", ""))
    detail["properties"][name] = {"type": "string"}
    detail["required"] += [name] * required


def demand(schema: JSON, name: str) -> None:
    definition(schema, schema["title"].replace(" ", ""))["required"].append(name)


def release_from(schema: JSON, name: str) -> None:
    definition(schema, schema["title"].replace(" ", ""))["required"].remove(name)


def rule(path: str, **rules: object) -> Callable[[JSON], None]:
    def change(schema: JSON) -> None:
        one = field(schema, path)
        for key, value in rules.items():
            if value is None:
                del one[key]
            else:
                one[key] = value

    return change


def swap_const(schema: JSON) -> None:
    schema["properties"]["source"]["const"] = "orders.other"


Mutation = Callable[[JSON], object]

# a change of Order Created (sent by others) and of Order Completed (sent by the platform), its
# description, and whether it breaks the first and the second
MUTATIONS: list[tuple[Mutation, str, bool, bool]] = [
    (lambda s: drop(s, "customer_id"), "detail.customer_id is removed", True, True),
    (lambda s: drop(s, "metadata"), "detail.metadata is removed", True, True),
    (lambda s: add(s, "note"), "detail.note is new", False, False),
    (lambda s: add(s, "n", required=True), "detail.n is new and required", True, True),
    (lambda s: demand(s, "metadata"), "detail.metadata became required", True, True),
    (lambda s: release_from(s, "total"), "detail.total became optional", False, True),
    (rule("Item.quantity", type="number"), "type from integer to number", False, True),
    (rule("total", type="integer"), "type from number to integer", True, True),
    (rule("total", type="string"), "type from number to string", True, True),
    (rule("currency", enum=["EUR", "USD"]), "now limited to EUR, USD", True, True),
    (rule("total", maximum=100.0), "maximum from 999,999,999.99 to 100", True, True),
    (rule("total", maximum=1e12), "maximum from 999,999,999.99 to 1,000", False, True),
    (rule("total", maximum=None), "lost its maximum", False, True),
    (rule("total", minimum=1), "minimum from 0 to 1", True, True),
    (rule("total", minimum=None, exclusiveMinimum=0), "0 to 0 (excluded)", True, True),
    (rule("Item.sku", maxLength=32), "maximum length from 64 to 32", True, True),
    (rule("Item.sku", maxLength=128), "maximum length from 64 to 128", False, True),
    (rule("items", maxItems=10), "number of entries from 98 to 10", True, True),
    (rule("items", minItems=2), "number of entries from 1 to 2", True, True),
    (rule("Item.sku", pattern="^[A-Z]+$"), "changed its pattern", True, True),
    (rule("Item.sku", pattern=None), "lost its pattern", False, True),
    (rule("currency", format="x"), "got a format", True, True),
    (rule("Item.quantity", multipleOf=2), "got a multipleOf", True, True),
    (swap_const, "source no longer takes orders.service", True, True),
    (rule("total", description="Another word."), "", False, False),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one[1] or "words alone")
@pytest.mark.parametrize("name", ["Order Created", "Order Completed"])
def test_a_change_breaks_the_expected_parties(
    name: str, mutation: tuple[Mutation, str, bool, bool]
) -> None:
    change, said, breaks_request, breaks_fact = mutation
    old = present()[name].schema
    new = copy.deepcopy(dict(old))
    change(new)
    changes = compare(old, new)
    assert any(said in str(one) for one in changes) or not (said or changes)
    breaks = any(one.breaks(name) for one in changes)
    assert breaks == (breaks_request if name in REQUESTS else breaks_fact)


def changed(mutation: Mutation, version: str) -> list[str]:
    """Return the gate's problems with a change of Order Created under a version."""
    old = present()["Order Created"]
    schema = copy.deepcopy(dict(old.schema))
    mutation(schema)
    new = Contract(version, schema)
    return problems({"Order Created": Contract("1.3", old.schema)}, {"Order Created": new})


def test_a_breaking_change_requires_a_new_major_version() -> None:
    for version in ("1.3", "1.4"):
        [problem] = changed(lambda schema: drop(schema, "customer_id"), version)
        assert problem.startswith("Order Created: detail.customer_id is removed.")
        assert 'set version = "2.0" in OrderCreated (services/kernel/events.py)' in problem
        assert "events_schema/order-created/CHANGELOG.md" in problem
    assert not changed(lambda schema: drop(schema, "customer_id"), "2.0")


def test_a_compatible_change_requires_a_new_minor_version() -> None:
    [problem] = changed(lambda schema: add(schema, "note"), "1.3")
    assert "detail.note is new" in problem
    assert 'set version = "1.4"' in problem
    assert not changed(lambda schema: add(schema, "note"), "1.4")


def test_a_change_of_descriptions_requires_no_version() -> None:
    assert not changed(rule("total", description="Another word."), "1.3")


def test_versions_never_decrease_and_events_are_never_removed() -> None:
    [older] = changed(lambda _: None, "1.2")
    assert "older than 1.3" in older
    [gone] = problems({"Order Eaten": Contract("1.0", {})}, present())
    assert gone.startswith("Order Eaten is removed")


def test_a_release_is_refused_while_a_change_is_incompatible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    release(tmp_path)
    baseline = read(tmp_path / BASELINE)
    add(baseline["Order Failed"]["schema"], "clue")
    (tmp_path / BASELINE).write_text(json.dumps(baseline))
    monkeypatch.setattr(schemas, "FOLDER", tmp_path)
    monkeypatch.setattr(schemas, "released", lambda: released(tmp_path))
    result = CliRunner().invoke(schemas.app, ["--release"])
    assert result.exit_code == 1
    assert "Order Failed: detail.clue is removed" in result.stderr
    assert read(tmp_path / BASELINE) == baseline


# The index page and AsyncAPI


def test_a_changelog_gives_versions_and_their_changes() -> None:
    text = "# X\n\nWords.\n\n## 1.1\n\n- One\n  of two lines.\n- Two.\n\n## 1.0\n\n- First.\n"
    assert releases(text) == [
        Release("1.1", ("One of two lines.", "Two.")),
        Release("1.0", ("First.",)),
    ]


def test_every_link_of_the_page_resolves_in_the_folder() -> None:
    page = (FOLDER / "index.html").read_text(encoding="utf-8").partition("<script>")[0]
    anchors = set(re.findall(r'id="([^"]+)"', page))
    links = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert links
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors, link
        else:
            assert (FOLDER / link).is_file(), link
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_names_the_answers_of_a_request() -> None:
    assert set(ANSWERS) <= REQUESTS
    assert {answer for those in ANSWERS.values() for answer in those} <= set(CONTRACTS)


def test_the_page_has_every_reason_and_every_token_of_the_sandbox() -> None:
    unknown = _out_of_stock(OutOfStock([Shortage("TEA", 1, 0, known=False)]))
    errors = {PaymentDeclined.__name__, CarrierError.__name__}
    assert set(FAILURES) == {OUT_OF_STOCK, UNPAID, unknown.reason} | errors
    told = {example.envelope["detail"]["reason"] for example in examples()["Order Failed"]}
    assert told <= set(FAILURES)
    told = {example.envelope["detail"]["reason"] for example in examples()["Order Rejected"]}
    assert told == set(REFUSALS)
    tokens = set(sandbox_tokens())
    assert {gateway.DECLINES, gateway.TIMES_OUT, gateway.LOSES_ANSWER} < tokens
    page = (FOLDER / "index.html").read_text()
    assert all(f"<code>{name}</code>" in page for name in {*FAILURES, *REFUSALS, *tokens})


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_the_command_of_the_page_sends_the_example(name: str) -> None:
    event = examples()[name][0].envelope
    command = shlex.split(snippets.aws_command(event), comments=True)
    [sent] = json.loads(command[command.index("--entries") + 1])
    detail = json.loads(sent.pop("Detail"))
    assert detail == event["detail"]
    assert sent == {"EventBusName": "orders-bus", "Source": "orders.service", "DetailType": name}
    assert command[:3] == ["aws", "events", "put-events"]


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_the_python_lines_of_the_page_send_the_example(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = examples()[name][0].envelope
    sent: list[JSON] = []

    def put_events(**request: Any) -> JSON:
        sent.extend(request["Entries"])
        return {"FailedEntryCount": 0}

    client = SimpleNamespace(put_events=put_events)
    fake = SimpleNamespace(client=lambda *_, **__: client)
    monkeypatch.setitem(sys.modules, "boto3", fake)
    exec(snippets.boto3_lines(event), {})  # noqa: S102 - our own lines, as a reader runs them
    [entry] = sent
    assert json.loads(entry["Detail"]) == event["detail"]
    assert (entry["Source"], entry["DetailType"]) == ("orders.service", name)


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_the_lines_of_the_client_send_the_example_and_wait_for_its_end(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = examples()[name][0].envelope
    sent: list[JSON] = []

    def put_events(**request: Any) -> JSON:
        sent.extend(request["Entries"])
        return {"Entries": [{"EventId": "e-1"}]}

    client = SimpleNamespace(put_events=put_events)
    monkeypatch.setitem(sys.modules, "boto3", SimpleNamespace(client=lambda *_, **__: client))
    order = {"order_id": event["detail"]["order_id"], "status": "COMPLETED"}
    monkeypatch.setattr("orderflow_client.waiting.OrderApi._get", lambda *_: order)
    text = snippets.client_lines(event).replace("null", "None").replace("true", "True")
    exec(text, {})  # noqa: S102 - our own lines, as a reader runs them
    [entry] = sent
    assert json.loads(entry["Detail"]) == event["detail"]
    assert (entry["Source"], entry["DetailType"]) == ("orders.service", name)


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_the_javascript_lines_of_the_page_have_the_example(name: str) -> None:
    event = examples()[name][0].envelope
    text = snippets.javascript_lines(event)
    literal = text[text.index("const detail = ") + 15 : text.index(";\nconst answer")]
    assert json.loads(literal) == event["detail"]


def test_asyncapi_has_every_event_and_every_reference_resolves() -> None:
    document = read(FOLDER / "asyncapi.json")
    operations = document["operations"].values()
    sent = {one["messages"][0]["$ref"].rpartition("/")[2] for one in operations}
    assert sent == {contract.__name__ for contract in CONTRACTS.values()}
    received = {
        document["components"]["messages"][one["messages"][0]["$ref"].rpartition("/")[2]]["name"]
        for one in operations
        if one["action"] == "receive"
    }
    assert received == REQUESTS
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        target: Any = document
        for step in reference.split("/"):
            target = target[step]
