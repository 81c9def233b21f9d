"""The sessions and notices of the hosted console in a table, which all containers share."""

import asyncio
import time
from collections.abc import Iterator
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.console.console import build
from infra.console.hosted import notices as of_notices
from infra.console.hosted.application import HostedConsole
from infra.console.hosted.callers import COOKIE, HostedCallers
from infra.console.hosted.look import BucketSample
from infra.console.hosted.notices import TableNotices
from infra.console.hosted.sessions import KEPT, LIFETIME, MAX_KEPT, TableSessions
from infra.console.hosted.user_pool import Rights, User, UserPool
from infra.console.loopback import TerminalLog
from infra.console.notices import Notice
from infra.console.page import Capability, Home
from infra.console.stack.pages import PAGES
from infra.console.stack.readers import StackReaders
from infra.console.stack.source import StackSource
from infra.deployed.stack import DeployedStack
from kernel.errors import StoreError
from orders.dynamodb import DynamoOrders
from storage.dynamodb.table import Table
from tests.fakes.clock import SetClock
from tests.fakes.console import Shown, ask
from tests.fakes.hosted_console import HOST, URL
from tests.fakes.records import order
from tests.fakes.stack_console import counted_calls, refusing
from tests.integration.deployed import BUCKET

NOW = 1_800_000_000.0
ADA = User("ada@example.com", "first")


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW)


@pytest.fixture
def sessions(stack: DeployedStack, clock: SetClock) -> TableSessions:
    return TableSessions(stack.table(), clock)


@pytest.fixture
def elsewhere(stack: DeployedStack, clock: SetClock) -> TableSessions:
    """Return the sessions of another container."""
    return TableSessions(stack.table(), clock)


@pytest.fixture
def notices(stack: DeployedStack, clock: SetClock) -> TableNotices:
    return TableNotices(stack.table(), clock)


def _no_client() -> object:
    raise AssertionError("a call was made")


# ---- sessions


def test_a_session_is_known_to_every_container_and_the_table_has_only_its_hash(
    stack: DeployedStack, sessions: TableSessions, elsewhere: TableSessions
) -> None:
    session = sessions.begin(ADA)
    assert elsewhere.user(session) == ADA
    assert sessions.begin(ADA) != session
    items = [item for item in stack.table().scan() if item["sk"] == "session"]
    assert session not in str(items)
    [item] = [item for item in items if sha256(session.encode()).hexdigest() in item["pk"]]
    assert item["expires"] == NOW + LIFETIME
    assert item["ttl"] > item["expires"]
    assert set(item) == {"pk", "sk", "user", "id", "expires", "ttl"}


def test_a_container_reads_a_session_once_a_minute(
    sessions: TableSessions, elsewhere: TableSessions, clock: SetClock
) -> None:
    session = sessions.begin(ADA)
    with counted_calls() as calls:
        assert [elsewhere.user(session) for _ in range(5)] == [ADA] * 5
    assert calls == ["GetItem"]
    clock.now += KEPT
    with counted_calls() as calls:
        assert elsewhere.user(session) == ADA
    assert calls == ["GetItem"]
    clock.now -= 2 * KEPT  # the clock was set back
    with counted_calls() as calls:
        assert elsewhere.user(session) == ADA
    assert calls == ["GetItem"]


def test_an_ended_session_ends_here_at_once_and_elsewhere_within_a_minute(
    sessions: TableSessions, elsewhere: TableSessions, clock: SetClock
) -> None:
    session, other = sessions.begin(ADA), sessions.begin(ADA)
    assert (sessions.user(session), elsewhere.user(session)) == (ADA, ADA)
    sessions.end(session)
    assert sessions.user(session) is None
    clock.now += KEPT
    assert elsewhere.user(session) is None
    assert elsewhere.user(other) == ADA
    sessions.end(session)  # once more


def test_an_expired_session_is_none_although_the_table_still_has_it(
    sessions: TableSessions, elsewhere: TableSessions, clock: SetClock
) -> None:
    session = sessions.begin(ADA)
    clock.now += LIFETIME - 1
    assert (sessions.user(session), elsewhere.user(session)) == (ADA, ADA)
    clock.now += 1
    assert (sessions.user(session), elsewhere.user(session)) == (None, None)


@given(st.none() | st.text(max_size=80) | st.text("Aa0-_", min_size=42, max_size=44))
def test_a_malformed_cookie_is_none_without_a_call(cookie: str | None) -> None:
    found = TableSessions(Table("orders", _no_client), lambda: NOW)
    if cookie is None or len(cookie) != 43:
        assert found.user(cookie) is None
        found.end(cookie)


def test_the_longest_cookie_is_none_without_a_call() -> None:
    assert TableSessions(Table("orders", _no_client), lambda: NOW).user("A" * 2_000_000) is None


def test_an_item_of_another_form_is_no_session(
    stack: DeployedStack, sessions: TableSessions
) -> None:
    session = "A" * 43
    key = f"console#session#{sha256(session.encode()).hexdigest()}"
    stack.client("dynamodb").put_item(
        TableName=stack.name("OrdersTable"), Item={"pk": {"S": key}, "sk": {"S": "session"}}
    )
    assert sessions.user(session) is None


def test_the_memory_of_a_container_is_bounded(sessions: TableSessions) -> None:
    begun = [sessions.begin(ADA) for _ in range(MAX_KEPT + 1)]
    assert {sessions.user(session) for session in begun} == {ADA}
    with counted_calls() as calls:
        sessions.user(begun[-1])
        sessions.user(begun[0])
    assert calls == ["GetItem"]


def test_an_error_of_the_table_is_an_error_and_no_stranger_is_let_in(
    sessions: TableSessions, elsewhere: TableSessions
) -> None:
    session = sessions.begin(ADA)
    with refusing({"GetItem": "InternalServerError"}), pytest.raises(StoreError):
        elsewhere.user(session)
    assert sessions.user(session) == ADA
    with refusing({"DeleteItem": "ThrottlingException"}), pytest.raises(StoreError):
        sessions.end(session)
    with refusing({"UpdateItem": "AccessDeniedException"}), pytest.raises(StoreError):
        sessions.begin(ADA)


# ---- notices


def test_a_notice_is_taken_once_by_any_container(
    stack: DeployedStack, notices: TableNotices, clock: SetClock
) -> None:
    key = notices.add("Order O-1 is cancelled.", "good")
    elsewhere = TableNotices(stack.table(), clock)
    assert elsewhere.take(key) == Notice("Order O-1 is cancelled.", "good")
    assert notices.take(key) is None


def test_a_notice_that_is_taken_is_announced_once(stack: DeployedStack, clock: SetClock) -> None:
    taken: list[bool] = []
    notices = TableNotices(stack.table(), clock, lambda: taken.append(True))
    key = notices.add("done", "good")
    assert taken == []
    notices.take(key)
    notices.take(key)
    assert taken == [True]


def test_a_notice_expires_after_ten_minutes(notices: TableNotices, clock: SetClock) -> None:
    key = notices.add("done", "good")
    clock.now += of_notices.LIFETIME + 1
    assert notices.take(key) is None


@pytest.mark.parametrize("key", ["", "x", "../../x", "A" * 17, "A" * 1_000_000, "Ä" * 16, "\ud800"])
def test_a_malformed_key_makes_no_call(key: str) -> None:
    assert TableNotices(Table("orders", _no_client), lambda: NOW).take(key) is None


@given(st.text(st.characters(), max_size=40))
def test_a_long_or_unwritable_text_is_cut_and_written(text: str) -> None:
    short = of_notices._shortened(text * 100)  # noqa: SLF001
    assert len(short) <= of_notices.MAX_TEXT
    short.encode()


def test_an_action_that_has_happened_is_no_failure_without_the_table(
    notices: TableNotices, caplog: pytest.LogCaptureFixture
) -> None:
    key = notices.add("done", "good")
    with refusing({"UpdateItem": "ThrottlingException", "DeleteItem": "ThrottlingException"}):
        assert notices.add("done", "good") == ""
        assert notices.take(key) is None
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert notices.take(key) == Notice("done", "good")


# ---- the console with both


class Operators(UserPool):
    """A user pool of operators alone."""

    def __init__(self) -> None:
        super().__init__(None, "any", time.time)

    def rights(self, user: User) -> Rights:
        return frozenset(Capability)


class Container:
    """One container of the function: a console with an own memory."""

    def __init__(self, stack: DeployedStack, clock: SetClock, runner: asyncio.Runner) -> None:
        sample = BucketSample(stack.client("s3"), BUCKET, clock)
        source = StackSource(stack, "orderflow-test", sample=sample)
        self.sessions = TableSessions(stack.table(), clock)
        notices = TableNotices(stack.table(), clock, source.renew)
        home = Home(PAGES, StackReaders(source), 15, notices)
        callers = HostedCallers(self.sessions, Operators())
        self.console = HostedConsole(build(source, callers, TerminalLog(), home), callers, URL)
        self._runner = runner

    def ask(self, method: str, path: str, session: str, body: bytes = b"") -> Shown:
        given = {
            "host": HOST,
            "origin": URL,
            "cookie": f"{COOKIE}={session}",
            "content-type": "application/x-www-form-urlencoded",
        }
        return self._runner.run(ask(self.console, 443, (method, path), given, body))


@pytest.fixture
def containers(stack: DeployedStack, clock: SetClock) -> Iterator[tuple[Container, Container]]:
    with asyncio.Runner() as runner:
        yield Container(stack, clock, runner), Container(stack, clock, runner)


def test_a_notice_and_a_session_of_one_container_are_shown_by_another(
    containers: tuple[Container, Container],
) -> None:
    here, there = containers
    session = here.sessions.begin(ADA)
    acted = here.ask("POST", "/console/dead-letters/look", session)
    page = there.ask("GET", acted.headers["location"], session)
    assert (acted.status, page.status) == (303, 200)
    assert "SQS has shown 0 dead letters." in page.text
    again = here.ask("GET", acted.headers["location"], session)
    assert "SQS has shown 0 dead letters." not in again.text


def test_a_table_that_does_not_answer_is_one_message_and_hides_no_action(
    containers: tuple[Container, Container],
) -> None:
    here, there = containers
    session = here.sessions.begin(ADA)
    with refusing({"GetItem": "InternalServerError"}):
        page = there.ask("GET", "/console/bus", session)
    assert (page.status, "the DynamoDB table orders" in page.text) == (503, True)
    assert there.ask("GET", "/console/bus", session).status == 200
    with refusing({"UpdateItem": "ThrottlingException"}):
        acted = there.ask("POST", "/console/dead-letters/look", session)
    assert (acted.status, acted.headers["location"]) == (303, "/console/dead-letters")


def test_the_page_after_an_action_is_current_in_every_container(
    containers: tuple[Container, Container], stack: DeployedStack, clock: SetClock
) -> None:
    here, there = containers
    now = clock.now = time.time()  # that of the pages
    record = order(order_id="O-1", version=0, created_at=now - 60, updated_at=now - 30)
    DynamoOrders(stack.table()).save(record.change())
    stack.client("sqs").send_message(QueueUrl=stack.name("QuarantineQueue"), MessageBody="{}")
    session = here.sessions.begin(ADA)
    assert "called them" not in there.ask("GET", "/console/orders/O-1", session).text
    assert "Look at them" in there.ask("GET", "/console/dead-letters", session).text
    noted = here.ask("POST", "/console/orders/O-1/note", session, b"reason=called+them")
    assert "called them" in there.ask("GET", noted.headers["location"], session).text
    looked = here.ask("POST", "/console/dead-letters/look", session)
    assert "1 dead letter in 1 group" in there.ask("GET", looked.headers["location"], session).text
