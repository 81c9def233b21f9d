"""Every action of the console shows the command that does the same, which the parser accepts."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import pytest

from infra.console.page import PREFIX, Page
from infra.console.pages import PAGES as OF_A_DIRECTORY
from infra.console.pages import queries as query_pages
from infra.console.stack.pages import PAGES as OF_A_STACK
from infra.deployed.stack import DeployedStack
from infra.views.action_commands import command_of
from kernel import clock
from kernel.order_status import Status
from tests.fakes.command_lines import ShownActions, parse
from tests.fakes.console import Visitor, serving
from tests.fakes.console_pages import Outline, letters, settle
from tests.fakes.events import DETAIL
from tests.fakes.stack_console import StackVisitor, visiting
from tests.host import order
from tests.integration.test_console_approvals import PARAMETERS, wait_for_decision
from tests.integration.test_stack_console import put_letter, save

COMMANDS: Mapping[str, str] = {
    "/examples": r"orders replay events_schema/order-created/examples/full\.json --new-ids",
    "/orders/{order_id:path}/cancel": r"orders cancel {order_id} --reason WHY",
    "/orders/{order_id:path}/retry": r"orders retry {order_id}",
    "/orders/{order_id:path}/note": r"orders note {order_id} TEXT",
    "/orders/{order_id:path}/decision": r"orders (approve|reject) {order_id}",
    "/orders/{order_id:path}/resend": r"orders replay FILE.* --filter detail\.order_id={order_id}",
    "/dead-letters/{id}/redrive": r"orders dead-letters redrive {id}",
    "/dead-letters/{id}/discard": r"orders dead-letters discard {id} --reason WHY",
    "/dead-letters/{id}/undo": r"orders dead-letters undo ({id}|ID)",
    "/dead-letters/{id}/check": r"orders (events validate|dead-letters edit {id} --file) FILE",
    "/dead-letters/{id}/edit": r"orders dead-letters edit {id} --file FILE",
    "/dead-letters/jobs": r"orders dead-letters jobs start (redrive|discard) --group \w+",
    "/dead-letters/jobs/{id}/{verb}": r"orders dead-letters jobs {verb} {id}",
    "/dead-letters/look": r"orders dead-letters list",
    "/dead-letters/batch/{verb}": r"orders dead-letters {verb} \S+",
    "/replays/new": r"orders replay --archive --since \S+ --until \S+ .*--name \S+",
    "/replays/{name}/{verb}": r"orders replays {verb} {name}",
    "/queries/start": r"orders query",
    "/contracts/check": r"orders events validate FILE",
    "/contracts/{slug}/send": r"orders emit FILE",
    "/reveal": r"orders (dead-letters )?show \S+",
    "/views/save": r"orders views save NAME( --page \S+)? --filter",
    "/views/delete": r"orders views delete",
}
"""By the path of an action: the form of the command that its page shows."""

REASONS: Mapping[str, str] = {
    "/sign-in": "a command needs no session",
    "/sign-out": "a command needs no session",
    "/theme": "a colour of the console",
    "/queries/cancel": "Ctrl-C ends `orders query`",
    "/queries/runs/{id}/cancel": "Ctrl-C ends `orders query`",
}
"""By the path of an action: the reason that it has no command."""

NOWHERE = ("events validate", "events list", "events show", "test-pattern")
"""Commands that work on no platform."""

OF_AN_ACCOUNT = ("emit", "replay", "replays list", "replays show", "replays cancel")
"""Commands that work on an account, without ``--stack``."""


@dataclass
class Seen:
    """The commands of pages, and the actions whose page has been seen."""

    actions: set[str] = field(default_factory=set)
    commands: set[str] = field(default_factory=set)

    def add(self, text: str, pages: tuple[Page, ...]) -> None:
        """Check that a page shows the command of each of its actions."""
        shown = ShownActions(text)
        self.commands |= {each for each in shown.commands if each.startswith("orders ")}
        for action in shown.actions:
            path, values = path_of(action, pages)
            self.actions.add(path)
            if path in REASONS:
                continue
            form = COMMANDS[path]
            for name, value in values.items():
                form = form.replace(f"{{{name}}}", re.escape(value))
            assert any(re.match(form, each) for each in shown.commands), (action, shown.commands)


def posts(pages: tuple[Page, ...]) -> set[str]:
    return {path for page in pages for path in page.posts}


def path_of(action: str, pages: tuple[Page, ...]) -> tuple[str, Mapping[str, str]]:
    """Return the path of a page that an address belongs to, with its values."""
    found = []
    for path in posts(pages):
        form = re.sub(r"\{(\w+):path\}", r"(?P<\1>.+)", path)
        form = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", form)
        match = re.fullmatch(form, action.removeprefix(PREFIX))
        if match:
            found.append((path, match.groupdict()))
    assert found, f"{action} is no action"
    return max(
        found, key=lambda each: len(each[0].partition("{")[0])
    )  # the longest literal beginning


def test_every_action_has_a_command_or_a_reason() -> None:
    known = posts(OF_A_DIRECTORY) | posts(OF_A_STACK)
    assert {*COMMANDS, *REASONS} == known, "give a new action its command, or a reason"
    assert set(COMMANDS) & set(REASONS) == set()


# ---- one machine


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Serve a platform with orders, dead letters, jobs, a replay and a saved view."""
    data = tmp_path_factory.mktemp("commands") / "data"
    with serving(data, parameters=PARAMETERS, tokens={"o": "orders/operate"}) as served:
        served.host.receive(TEA=1_000, VASE=1)
        served.host.put(order("A-1", email="ada@example.com"))
        vase = {"sku": "VASE", "quantity": 2, "unit_price": 12.5}
        served.host.put(order("W-1", items=[vase], total=25.0))
        served.host.put(*(order(f"BAD-{each}", currency="EURO") for each in range(8)))
        settle(served)
        assert served.host.status("W-1") == "WAITING"
        wait_for_decision(served, "DEAR-1")
        yield served


SESSION: dict[str, str] = {}
"""The header with the session of the operator, who has signed in."""


def get(visitor: Visitor, path: str, seen: Seen) -> str:
    page = visitor.get(path, SESSION)
    assert page.status == 200, (path, page.status, page.text)
    seen.add(page.text, OF_A_DIRECTORY)
    return page.text


def act(visitor: Visitor, path: str, **form: object) -> str:
    """Send a form; return the address of the page after it."""
    done = visitor.post(path, form, SESSION)
    assert done.status == 303, re.findall(r"<main.*</main>", done.text, re.DOTALL)
    return done.headers["location"].partition("?")[0]


@pytest.fixture(scope="module")
def machine(visitor: Visitor) -> Seen:
    """Visit every page of one machine that has an action."""
    seen = Seen()
    signed = visitor.post("/console/sign-in", {"token": "o"})
    SESSION["cookie"] = signed.headers["set-cookie"].partition(";")[0]
    for path in (
        "/",
        "/orders/A-1",
        "/orders/BAD-1",
        "/orders/DEAR-1",
        "/orders/A-1/resend",
        "/orders/W-1",
    ):
        get(visitor, f"/console{path}", seen)
    for verb in ("approve", "reject"):
        get(visitor, f"/console/orders/DEAR-1/decision?decision={verb}", seen)
    _see_letters(visitor, seen)
    _see_jobs(visitor, seen)
    _see_replays(visitor, seen)
    view = {"page": "bus", "name": "it's mine", "query": "type=Order+Created&order=A-1"}
    act(visitor, "/console/views/save", **view)
    get(visitor, "/console/bus?type=Order+Created&order=A-1", seen)
    get(visitor, "/console/orders?status=FAILED&customer=C-1", seen)
    [(number,)] = visitor.rows("select min(seq) from events")
    get(visitor, f"/console/bus/{number}", seen)
    for path in ("contracts/check", "contracts/order-created/send", "queries", "activity"):
        get(visitor, f"/console/{path}", seen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query_pages, "PATIENCE", 0.0)
        query = "select count(*) from range(100000000000) a"
        address = f"/console/queries/sql?{urlencode({'q': query, 'dialect': 'duckdb'})}"
        get(visitor, address, seen)
        act(visitor, "/console/queries/cancel", q=query, dialect="duckdb")
    page = visitor.get("/console/sign-in")
    seen.add(page.text, OF_A_DIRECTORY)
    return seen


def _see_letters(visitor: Visitor, seen: Seen) -> None:
    first, second, third, *_ = letters(visitor)
    page = get(visitor, f"/console/dead-letters/{first}", seen)
    assert "Edit its event" in page
    get(visitor, f"/console/dead-letters/{first}/edit", seen)
    event = '{"source": "orders.service", "detail-type": "Order Created", "detail": {}}'
    for text in (event, _corrected(visitor, first)):
        checked = visitor.post(
            f"/console/dead-letters/{first}/check",
            {"event": text},
            SESSION,
        )
        seen.add(checked.text, OF_A_DIRECTORY)
    for letter in (second, third):
        act(visitor, f"/console/dead-letters/{letter}/discard", reason="a test")
    get(visitor, f"/console/dead-letters/{second}", seen)
    get(visitor, "/console/dead-letters/closed", seen)
    get(visitor, "/console/dead-letters?by=queue", seen)


def _corrected(visitor: Visitor, letter: int) -> str:
    """Return the event of a dead letter with a currency that exists."""
    [(body,)] = visitor.rows("select body from messages where id = ?", letter)
    event: Any = json.loads(body)["event"]
    event["detail"]["currency"] = "EUR"
    return json.dumps(event)


def _see_jobs(visitor: Visitor, seen: Seen) -> None:
    groups = get(visitor, "/console/dead-letters?" + urlencode({"q": "currency"}), seen)
    group = next(each for each in Outline(groups).links if "/groups/" in each)
    links = Outline(get(visitor, group, seen)).links
    for verb in ("redrive", "discard"):
        address = next(each for each in links if f"/{verb}" in each)
        get(visitor, f"{address}&most=2", seen)
        page = get(visitor, address, seen)
        fields = {
            str(given["name"]): str(given["value"])
            for tag, given in Outline(page).tags
            if tag == "input" and given.get("type") == "hidden" and given.get("name") != "newest"
        }
        fields = {name: fields[name] for name in ("action", "label", "ids")}
        pace = {"pace": "0.1"} if verb == "redrive" else {}
        job = act(visitor, "/console/dead-letters/jobs", **fields, reason="a test", **pace)
        settle(visitor)
        get(visitor, job, seen)
        if verb == "redrive":
            act(visitor, f"{job}/pause")
            get(visitor, job, seen)
            act(visitor, f"{job}/cancel")
            get(visitor, job, seen)
    get(visitor, "/console/dead-letters/jobs", seen)


def _see_replays(visitor: Visitor, seen: Seen) -> None:
    now = visitor.host.engine.clock.now()
    moments = [time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now + each)) for each in (-600, 60)]
    wanted = dict(zip(("start", "end"), moments, strict=True))
    wanted |= {"name": "again", "rules": "HighValueRule OrderCreatedRule", "rate": "0.1"}
    get(visitor, f"/console/replays/new?{urlencode(wanted)}", seen)
    replay = act(visitor, "/console/replays/new", **wanted)
    get(visitor, replay, seen)
    act(visitor, f"{replay}/pause")
    get(visitor, replay, seen)
    act(visitor, f"{replay}/cancel")


def test_each_action_of_one_machine_was_seen_with_its_command(machine: Seen) -> None:
    assert machine.actions == posts(OF_A_DIRECTORY)


def test_the_parser_accepts_each_command_of_one_machine(machine: Seen) -> None:
    assert len(machine.commands) > 30
    names = {parse(each) for each in machine.commands}
    assert {"dead-letters jobs undo", "views save", "replays pause", "approve"} <= names
    assert not any("--stack" in each or "--region" in each for each in machine.commands)


ACTIONS = {
    "cancel": "orders cancel 'A 1' --reason 'a test'",
    "retry": "orders retry 'A 1' --reason 'a test'",
    "approve": "orders approve 'A 1' --reason 'a test'",
    "reject": "orders reject 'A 1' --reason 'a test'",
    "note": "orders note 'A 1' 'a test'",
    "redrive execution": "orders workflow redrive 'A 1' --reason 'a test'",
    "resend": "orders replay FILE --filter detail.order_id='A 1'",
    "close review": "orders reviews close 'A 1' --reason 'a test'",
    "adjust": "orders stock adjust 'A 1' +3 --reason 'a test'",
    "receive": "orders stock receive FILE",
}


@pytest.mark.parametrize("action", list(ACTIONS))
def test_the_command_of_an_action_is_that_of_its_values(action: str) -> None:
    line = command_of(action, "A 1", "a test", {"on_hand": 2}, {"on_hand": 5})
    assert line == ACTIONS[action]
    assert parse(line)


def test_the_activity_has_the_command_of_each_job(machine: Seen) -> None:
    starts = [
        each for each in machine.commands if each.startswith("orders dead-letters jobs start")
    ]
    with_ids = [each for each in starts if "--group" not in each]
    assert len(with_ids) == 2
    assert all(
        re.search(r"(redrive|discard)( \d+)+ .*--reason 'a test'", each) for each in with_ids
    )
    assert any("--pace 0.1" in each for each in with_ids)


# ---- a stack


@pytest.fixture
def stack_visitor(stack: DeployedStack) -> Iterator[StackVisitor]:
    """Open the console of a stack with orders, dead letters, a replay and a query."""
    now = clock.now()
    save(stack, "O-1", email="ada@example.com", customer_id="C-1")
    wait = {"lease_owner": None, "lease_until": 0.0, "resume_at": now + 900}
    high = {"approval": "PENDING", "approve_by": now + 900}
    save(stack, "H-1", status=Status.AWAITING_APPROVAL, **wait, **high)
    for _ in range(3):
        put_letter(stack)
    events = stack.client("events")
    bus = events.create_event_bus(Name="orders-bus")["EventBusArn"]
    events.create_archive(ArchiveName="orders-archive", EventSourceArn=bus)
    stack.client("athena").create_work_group(
        Name=stack.name("Workgroup"),
        Configuration={"ResultConfiguration": {"OutputLocation": "s3://orderflow-bucket/a/"}},
    )
    with visiting(stack) as opened:
        yield opened


def visit(visitor: StackVisitor, path: str, seen: Seen) -> str:
    page = visitor.get(f"/console{path}")
    assert page.status == 200, (path, page.text)
    seen.add(page.text, OF_A_STACK)
    return page.text


def test_the_commands_of_a_stack_name_it(
    stack_visitor: StackVisitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor, seen = stack_visitor, Seen()
    for path in ("/orders/O-1", "/orders/H-1", "/dead-letters", "/contracts/check"):
        visit(visitor, path, seen)
    visit(visitor, "/orders/H-1/decision?decision=reject", seen)
    visitor.acted("/console/dead-letters/look", {})
    look = visitor.source.sample.look
    assert look is not None
    first, second, *_ = [str(letter.id) for letter in look.letters]
    visit(visitor, f"/dead-letters/{first}", seen)
    visit(visitor, f"/dead-letters/{first}/edit", seen)
    event = {"source": "orders.service", "detail-type": "Order Created", "detail": DETAIL}
    checked = visitor.post(f"/console/dead-letters/{first}/check", {"event": json.dumps(event)})
    seen.add(checked.text, OF_A_STACK)
    groups = Outline(visit(visitor, "/dead-letters", seen)).links
    group = next(each for each in groups if "/groups/" in each).removeprefix(PREFIX)
    visit(visitor, group, seen)
    for verb in ("redrive", "discard"):
        visit(visitor, f"{group}/{verb}", seen)
    visitor.acted(f"/console/dead-letters/{second}/discard", {"reason": "a test"})
    visit(visitor, f"/dead-letters/{second}", seen)
    visit(visitor, "/dead-letters/closed", seen)
    for path in (
        "/contracts/order-created/send",
        "/queries",
        "/queries/revenue_by_day?day=2026-01-31",
    ):
        visit(visitor, path, seen)
    visit(visitor, "/queries/sql?q=select+1", seen)
    _see_stack_runs(visitor, seen, monkeypatch)
    names = {each: parse(each) for each in seen.commands}
    for line, name in names.items():
        assert ("--stack orderflow-test" in line) is (name not in (*NOWHERE, *OF_AN_ACCOUNT)), line
        assert ("--region us-east-1" in line) is (name in OF_AN_ACCOUNT), line
    assert {"replays cancel", "replay", "emit", "query", "cancel"} <= set(names.values())
    assert posts(OF_A_STACK) - seen.actions == OF_ONE_MACHINE


OF_ONE_MACHINE = {
    *("/examples", "/orders/{order_id:path}/resend", "/reveal", "/queries/cancel", "/sign-in"),
    *("/dead-letters/jobs", "/dead-letters/jobs/{id}/{verb}", "/views/save", "/views/delete"),
}
"""Actions that a stack's console refuses, and the signing in by its key."""


def _see_stack_runs(visitor: StackVisitor, seen: Seen, patch: pytest.MonkeyPatch) -> None:
    begin, end = (
        time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - age)) for age in (3600, 0)
    )
    wanted = {"name": "again", "start": begin, "end": end, "rules": "OrderCreatedRule"}
    visit(visitor, f"/replays/new?{urlencode(wanted)}", seen)
    described = {
        "ReplayName": "again",
        "State": "RUNNING",
        "EventSourceArn": "arn:aws:events:us-east-1:1:archive/orders-archive",
        "EventStartTime": time.time() - 3600,
        "EventEndTime": time.time(),
    }
    events = visitor.source.deployed.client("events")
    patch.setattr(type(events), "describe_replay", lambda *_, **__: described, raising=False)
    visit(visitor, "/replays/again", seen)
    started = visitor.post("/console/queries/start", {"q": "select 'a b' as n from order_events"})
    address = started.headers["location"].removeprefix(PREFIX)
    page = visit(visitor, address, seen)
    query_run = visitor.source.athena.state(address.rpartition("/")[2])
    assert "select &#39;a b&#39;" in page
    athena = type(visitor.source.athena)
    patch.setattr(athena, "state", lambda *_: replace(query_run, state="RUNNING"))
    visit(visitor, f"/queries/runs/{query_run.id}", seen)
