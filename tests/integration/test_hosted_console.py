"""The hosted console: API Gateway's events to its function, on moto and a stand-in user pool."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from threading import Event, Thread
from typing import Any
from urllib.parse import urlencode

import pytest
from markupsafe import escape

from infra.console.hosted import function, sign_in
from infra.console.hosted.user_pool import KEPT, Rights, User
from infra.console.hosted.user_pool import UserPool as UserPoolRights
from infra.console.page import Visitor
from infra.deployed.stack import DeployedStack
from infra.deployed.threaded_account import ThreadedAccount
from infra.errors import AWSError
from infra.local.template.project import ROOT
from kernel import clock
from lambda_support.init_phase import INITIALIZED
from orders.dynamodb import DynamoOrders
from tests.fakes.hosted_console import URL, HostedBrowser, another_environment, hosted, restart
from tests.fakes.http_port import answering
from tests.fakes.records import order
from tests.fakes.stack_console import counted_calls, refusing
from tests.fakes.user_pool import POOL, UserPool
from tests.integration.test_stack_console_acting import LETTER, put_in

SESSION = "__Host-orderflow_console"


@pytest.fixture
def pool(stack: DeployedStack) -> Iterator[UserPool]:
    now = clock.now()
    times = {"created_at": now - 60, "updated_at": now - 30, "version": 0}
    DynamoOrders(stack.table()).save(order(order_id="O-1", **times).change())
    with hosted(stack) as opened:
        yield opened


@pytest.fixture
def browser(pool: UserPool) -> HostedBrowser:
    return HostedBrowser(pool)


# ---- sign-in


def test_a_person_signs_in_at_the_pool_and_returns_to_the_page(browser: HostedBrowser) -> None:
    page = browser.sign_in("ada", "/console/orders?customer=C-1")

    assert page.status == 200
    assert "ada" in page.text
    assert "Orders" in page.text
    assert set(browser.cookies) == {SESSION}


def test_each_cookie_is_for_https_and_this_host_alone(browser: HostedBrowser) -> None:
    led = browser.get(browser.get("/console/").location)
    back = browser.get(browser.identify(led.location, "ada"))

    for cookie in (*led.cookies, *back.cookies):
        name, *attributes = cookie.split("; ")
        assert name.startswith("__Host-orderflow_")
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(attributes)
        assert not any(each.startswith("Domain") for each in attributes)


def test_the_table_has_neither_the_cookie_nor_a_token(
    browser: HostedBrowser, stack: DeployedStack
) -> None:
    browser.sign_in("ada")

    items = str(stack.client("dynamodb").scan(TableName="orders")["Items"])
    assert browser.cookies[SESSION] not in items
    assert "console#session#" in items
    assert "signature" not in items


def test_two_tabs_sign_in_at_once(browser: HostedBrowser) -> None:
    first, second = browser.begin("/console/orders"), browser.begin("/console/bus")

    assert browser.get(browser.identify(first, "ada")).location == "/console/orders"
    assert browser.get(browser.identify(second, "ada")).location == "/console/bus"


def test_a_sign_in_returns_only_to_the_console(browser: HostedBrowser) -> None:
    led = browser.get("/console/sign-in?to=https://evil.example/")

    assert browser.get(browser.identify(led.location, "ada")).location == "/console/"


def test_a_long_address_is_not_kept(browser: HostedBrowser) -> None:
    address = browser.begin(f"/console/orders?customer={'x' * 2_000}")

    assert browser.get(browser.identify(address, "ada")).location == "/console/"


def test_sign_ins_that_are_not_finished_leave_room_for_other_headers(
    browser: HostedBrowser,
) -> None:
    """API Gateway refuses a request whose headers have more than 10,240 bytes."""
    browser.cookies = {"orderflow_theme": "dark"}
    last = ""
    for number in range(20):
        last = browser.begin(f"/console/orders?customer={number}{'x' * 700}")
        header = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        assert len(header) < sign_in.MAX_COOKIES + 100

    assert browser.cookies["orderflow_theme"] == "dark"
    assert "19xxx" in browser.get(browser.identify(last, "ada")).location


@pytest.mark.parametrize("character", ["x", "\u20ac", "%"])
def test_a_cookie_of_a_sign_in_is_one_that_a_browser_takes(
    browser: HostedBrowser, character: str
) -> None:
    """A browser takes a name and value of 4,096 bytes (RFC 6265bis, section 5.6)."""
    for length in (100, 260, 800, 1_500):
        to = f"/console/{character * length}"
        [cookie] = browser.get(f"/console/sign-in?{urlencode({'to': to})}").cookies
        assert len(cookie.partition("; ")[0]) < 1_200
        browser.cookies.clear()


def test_a_code_is_of_the_browser_that_began(pool: UserPool, browser: HostedBrowser) -> None:
    code = browser.identify(browser.begin(), "ada")

    victim = HostedBrowser(pool).get(code)

    assert victim.status == 403
    assert "this browser has begun no such sign-in" in victim.text
    assert not victim.cookies


def test_a_code_is_taken_once(browser: HostedBrowser) -> None:
    address = browser.begin()
    kept = dict(browser.cookies)
    code = browser.identify(address, "ada")
    browser.get(code)
    browser.cookies = kept

    again = browser.get(code)

    assert again.status == 403
    assert "the code was used before or is too old; sign in again" in again.text


def test_the_browsers_history_leads_a_signed_in_person_to_the_overview(
    browser: HostedBrowser,
) -> None:
    code = browser.identify(browser.begin(), "ada")
    browser.get(code)

    assert browser.get(code).location == "/console/"
    assert browser.get("/console/sign-in?to=/console/bus").location == "/console/bus"


@pytest.mark.parametrize(
    ("claims", "status", "problem"),
    [
        ({"nonce": "other"}, 403, "the token is of another sign-in"),
        ({"iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Other"}, 502, "not for"),
        ({"aud": "other-client"}, 502, "its ID token is not for this console"),
        ({"token_use": "access"}, 502, "its ID token is not for this console"),
        ({"exp": 1}, 502, "its ID token is not for this console"),
        ({"exp": None}, 502, "its ID token is not for this console"),
        ({"cognito:username": ""}, 502, "its ID token is not for this console"),
        ({"sub": ""}, 502, "its ID token is not for this console"),
        ({"sub": 7}, 502, "its ID token is not for this console"),
    ],
)
def test_a_token_of_something_else_begins_no_session(
    browser: HostedBrowser, claims: dict[str, Any], status: int, problem: str
) -> None:
    browser.pool.claims = claims

    back = browser.get(browser.identify(browser.begin(), "ada"))

    assert (back.status, problem in back.text) == (status, True), back.text
    assert SESSION not in browser.cookies


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("error=access_denied&error_description=User+is+disabled", "User is disabled"),
        ("error=invalid_request", "refused the sign-in: invalid_request"),
        ("", "the user pool sent no code"),
    ],
)
def test_a_refusal_of_the_pool_is_told(browser: HostedBrowser, query: str, problem: str) -> None:
    address = browser.begin()
    state = address.partition("state=")[2].partition("&")[0]

    back = browser.get(f"/console/signed-in?state={state}&{query}")

    assert back.status == 403
    assert problem in back.text


def test_a_pool_that_does_not_answer_is_told(
    browser: HostedBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = browser.identify(browser.begin(), "ada")
    monkeypatch.setenv("CONSOLE_DOMAIN", "http://127.0.0.1:9")
    restart()

    back = browser.get(code)

    assert back.status == 502
    assert "the user pool: does not answer" in back.text


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"", "does not answer"),
        (b"nonsense\r\n\r\n", "does not answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "does not answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{", "answered without an ID token"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "answered without an ID token"),
        (b"HTTP/1.1 400 Bad\r\nContent-Length: 90\r\n\r\n{", "refused the code (400)"),
        (b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\nx", "refused the code (400)"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n[]", "refused the code (503)"),
    ],
)
def test_a_half_answer_of_the_pool_is_told(
    browser: HostedBrowser, monkeypatch: pytest.MonkeyPatch, answer: bytes, problem: str
) -> None:
    class Broken(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.wfile.write(answer)
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            pass

    code = browser.identify(browser.begin(), "ada")
    with answering(Broken) as address:
        monkeypatch.setenv("CONSOLE_DOMAIN", address)
        restart()
        back = browser.get(code)

    assert (back.status, f"the user pool: {problem}" in back.text) == (502, True), back.text
    assert SESSION not in browser.cookies


@pytest.mark.parametrize(
    "to", ["//[", "http://[::1", "/\\evil.example/", "////evil.example/console/"]
)
def test_a_malformed_address_leads_to_the_overview(browser: HostedBrowser, to: str) -> None:
    led = browser.get(f"/console/sign-in?{urlencode({'to': to})}")

    assert led.status == 303, led.text
    assert browser.get(browser.identify(led.location, "ada")).location == "/console/"


# ---- rights


def test_a_reader_sees_every_page_and_may_not_act(browser: HostedBrowser) -> None:
    page = browser.sign_in("rita", "/console/orders/O-1")

    assert "(read only)" in page.text
    assert "Cancel the order" not in page.text
    refused = browser.post("/console/orders/O-1/note", {"reason": "any"})
    assert refused.status == 403


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "ADA.Lovelace",
        "a\"b'c:d#e/f\\g{{7}}",
        "Åda\u202e日本",
    ],
)
def test_a_users_name_is_text(browser: HostedBrowser, name: str) -> None:
    """Cognito takes letters, marks, symbols, numbers and punctuation (API, AdminCreateUser)."""
    browser.pool.users[name] = {"orders/operate"}
    page = browser.sign_in(name)
    assert (page.status, escape(name) in page.text) == (200, True)

    noted = browser.post("/console/orders/O-1/note", {"reason": "called the customer"})

    page = browser.get(noted.location)
    assert page.text.count(escape(name)) >= 2
    assert "<script>alert" not in page.text


def test_an_operators_action_has_their_name(browser: HostedBrowser) -> None:
    browser.sign_in("ada")

    noted = browser.post("/console/orders/O-1/note", {"reason": "called the customer"})

    assert noted.status == 303, noted.text
    page = browser.get(noted.location)
    assert "called the customer" in page.text
    assert "ada" in page.text
    assert "Note added" in page.text


def test_a_user_without_a_group_sees_no_page_and_can_sign_out(browser: HostedBrowser) -> None:
    page = browser.sign_in("newt", "/console/orders/O-1")

    assert page.status == 403
    assert "neither console/read nor orders/operate" in page.text
    assert "You are newt" in page.text
    assert "O-1" not in page.text.replace("/console/orders/O-1", "")
    assert browser.post("/console/sign-out", {}).status == 200
    assert SESSION not in browser.cookies


@pytest.mark.parametrize(
    "leave",
    [
        lambda pool: pool.users["ada"].clear(),
        lambda pool: pool.disabled.add("ada"),
        lambda pool: pool.users.pop("ada"),
        lambda pool: pool.again.add("ada"),
    ],
    ids=["has no group", "is disabled", "is deleted", "is deleted and created again"],
)
def test_a_user_who_leaves_loses_access_within_two_minutes(
    browser: HostedBrowser, pool: UserPool, leave: Callable[[UserPool], object]
) -> None:
    browser.sign_in("ada")
    passed = 1_000.0
    users = UserPoolRights(ThreadedAccount().client("cognito-idp"), POOL, lambda: passed)
    ada = User("ada", pool.sub("ada"))
    assert users.rights(ada)
    leave(pool)

    passed += KEPT - 1
    assert users.rights(ada)
    passed += 2
    assert users.rights(ada) == frozenset()
    restart()
    assert browser.get("/console/orders").status == 403


def test_rights_that_were_read_before_a_stop_of_the_process_are_old(pool: UserPool) -> None:
    """Lambda stops a process after an answer, and its threads go on at the next request."""
    times = [1_000.0]
    users = UserPoolRights(ThreadedAccount().client("cognito-idp"), POOL, lambda: times[-1])
    ada = User("ada", pool.sub("ada"))
    read = users._read  # noqa: SLF001

    def stopped(user: User) -> Rights:
        found = read(user)
        pool.users["ada"].clear()
        times.append(times[-1] + 86_400)
        return found

    users._read = stopped  # type: ignore[method-assign]  # noqa: SLF001
    assert users.rights(ada)
    users._read = read  # type: ignore[method-assign]  # noqa: SLF001

    assert users.rights(ada) == frozenset()
    pool.users["ada"].add("console/read")
    times.append(0.0)  # the clock was set back
    assert users.rights(ada)


def test_a_call_that_outlives_its_request_lets_nobody_in(
    browser: HostedBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.sign_in("ada")
    callers = function.application()._callers  # noqa: SLF001
    sessions, resolve = callers._sessions, callers.resolve  # noqa: SLF001
    session = browser.cookies[SESSION]
    before = sessions.user(session)
    browser.post("/console/sign-out", {})
    browser.cookies[SESSION] = session

    def resolve_beside(session: str | None) -> Visitor | None:
        found = resolve(session)
        with monkeypatch.context() as late:
            late.setattr(sessions, "user", lambda _: before)
            thread = Thread(target=resolve, args=(session,))
            thread.start()
            thread.join()
        return found

    monkeypatch.setattr(callers, "resolve", resolve_beside)
    assert browser.get("/console/orders").status == 303


def test_a_table_that_never_answers_ends_in_a_message(
    browser: HostedBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.sign_in("ada")
    callers = function.application()._callers  # noqa: SLF001
    monkeypatch.setattr("infra.console.hosted.application.RESOLVING", 0.05)
    answered = Event()

    with monkeypatch.context() as slow:
        slow.setattr(callers, "resolve", lambda _: answered.wait(5))
        failed = browser.get("/console/orders")
        answered.set()

    assert failed.status == 502
    assert "have not answered within 0.05 seconds; try again" in failed.text


def test_the_rights_are_read_once_in_two_minutes(browser: HostedBrowser) -> None:
    browser.sign_in("ada")
    browser.pool.calls.clear()

    for _ in range(3):
        browser.get("/console/contracts")

    assert browser.pool.calls == []


# ---- the end of a session


def test_a_person_signs_out_of_the_console_and_of_the_pool(browser: HostedBrowser) -> None:
    browser.sign_in("ada")
    kept = dict(browser.cookies)

    page = browser.post("/console/sign-out", {})

    assert page.status == 200
    assert f"{browser.pool.origin}/logout?client_id=" in page.text
    assert SESSION not in browser.cookies
    assert browser.get("/console/signed-out").status == 200
    browser.cookies = kept
    assert browser.get("/console/orders").status == 303


def test_a_new_sign_in_ends_the_browsers_earlier_session(
    browser: HostedBrowser, pool: UserPool
) -> None:
    browser.sign_in("newt")  # has no group, so another user signs in
    earlier = HostedBrowser(pool)
    earlier.cookies = dict(browser.cookies)
    led = browser.get("/console/sign-in")

    assert browser.get(browser.identify(led.location, "ada")).location == "/console/"
    assert browser.get("/console/orders").status == 200
    assert earlier.get("/console/orders").status == 303


def test_a_session_is_known_to_each_execution_environment(browser: HostedBrowser) -> None:
    browser.sign_in("ada")

    restart()
    assert browser.get("/console/orders").status == 200

    browser.post("/console/sign-out", {})
    restart()
    assert browser.get("/console/orders").status == 303


def test_a_poll_without_a_session_is_told_and_follows_no_redirect(browser: HostedBrowser) -> None:
    polled = browser.get("/console/", {"hx-request": "true", "hx-target": "div#live"})

    assert polled.status == 401
    assert "Reload" in polled.text


def test_a_form_without_a_session_does_nothing(
    browser: HostedBrowser, stack: DeployedStack
) -> None:
    sent = browser.post("/console/orders/O-1/note", {"reason": "any"})

    assert sent.status == 401
    assert "Nothing was done" in sent.text
    page = "/console/orders/O-1?lanes=bus"
    sent = browser.post("/console/orders/O-1/note", {}, {"referer": f"{URL}{page}&notice=any"})
    assert f'<a class="button" href="{page}">Try again</a>' in sent.text
    for other in (
        "https://evil.example/console/",
        f"{URL}/else",
        "http://[",
        f"{URL}.evil/console/",
    ):
        sent = browser.post("/console/orders/O-1/note", {}, {"referer": other})
        assert '<a class="button" href="/console/orders/O-1/note">' in sent.text
    assert "NOTED" not in str(stack.client("dynamodb").scan(TableName="orders")["Items"])


# ---- the first checks


def test_another_site_can_neither_read_nor_act(browser: HostedBrowser) -> None:
    browser.sign_in("ada")
    foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}

    acted = browser.post("/console/orders/O-1/note", {"reason": "any"}, foreign)
    framed = browser.get("/console/", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"})
    rebound = browser.get("/console/", {"host": "evil.example"})

    assert (acted.status, framed.status, rebound.status) == (403, 403, 421)
    assert f"is not this server; open {URL}" in rebound.text


@pytest.mark.parametrize(
    "origin",
    ["http://console.example.com", "https://console.example.com:8443", "http://localhost:443"],
)
def test_a_page_of_another_scheme_or_port_may_not_act(browser: HostedBrowser, origin: str) -> None:
    """A browser that ignores the scheme of a site sends it the cookie all the same."""
    browser.sign_in("ada")
    form = {"origin": origin, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    for site in ("cross-site", "same-site"):
        sent = {**form, "sec-fetch-site": site}
        assert browser.post("/console/orders/O-1/note", {"reason": "any"}, sent).status == 403


def test_paths_outside_the_console_lead_to_it_or_do_not_exist(browser: HostedBrowser) -> None:
    assert browser.get("/").location == "/console/"
    assert browser.get("/orders").status == 404


def test_a_file_needs_no_session_and_no_call_of_aws(browser: HostedBrowser) -> None:
    browser.get("/")
    with counted_calls() as calls:
        script = browser.get("/console/static/console.js")
        icon = browser.get("/console/static/favicon.svg")

    assert (script.status, icon.status, calls) == (200, 200, [])
    assert "immutable" in script.headers["cache-control"]
    assert icon.text.startswith("<svg")


def test_every_response_has_the_headers(browser: HostedBrowser) -> None:
    browser.sign_in("ada")
    for path in ("/", "/console/", "/console/orders/O-9", "/console/none", "/console/signed-out"):
        page = browser.get(path)
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"], path
        assert page.headers["x-content-type-options"] == "nosniff", path
        assert page.headers["cache-control"] == "no-store", path
        assert page.headers["strict-transport-security"] == "max-age=31536000", path


def test_a_look_at_the_dead_letters_is_known_to_each_environment(
    browser: HostedBrowser, stack: DeployedStack
) -> None:
    number = put_in(stack, LETTER)
    browser.sign_in("ada")

    looked = browser.post("/console/dead-letters/look", {})
    restart()

    assert "SQS has shown 1 dead letter" in browser.get(looked.location).text
    letter = browser.get(f"/console/dead-letters/{number}")
    assert letter.status == 200
    closed = browser.post(f"/console/dead-letters/{number}/discard", {"reason": "a test"})
    assert "iscarded" in browser.get(closed.location).text


def test_the_page_after_an_action_is_current_in_another_environment(
    browser: HostedBrowser,
) -> None:
    browser.sign_in("ada", "/console/orders/O-1")
    here = function.application, function.adapter  # its story is kept for seconds
    assert "called them" not in browser.get("/console/orders/O-1").text
    with another_environment():
        noted = browser.post("/console/orders/O-1/note", {"reason": "called them"})
    assert (function.application, function.adapter) == here

    assert "called them" in browser.get(noted.location).text


# ---- failures


def test_a_throttled_pool_is_a_message_and_the_session_stays(browser: HostedBrowser) -> None:
    browser.sign_in("ada")
    restart()
    browser.pool.refuses = "TooManyRequestsException"

    failed = browser.get("/console/orders")
    browser.pool.refuses = ""

    assert failed.status == 502
    assert "Your session could not be read: the user pool: AWS throttles" in failed.text
    assert browser.get("/console/orders").status == 200


def test_a_person_signs_out_and_in_while_the_rights_cannot_be_read(browser: HostedBrowser) -> None:
    browser.sign_in("ada")
    kept = dict(browser.cookies)
    restart()
    browser.pool.refuses = "TooManyRequestsException"

    led = browser.get("/console/sign-in?to=/console/bus")
    out = browser.post("/console/sign-out", {})
    browser.pool.refuses = ""

    assert led.location.startswith(f"{browser.pool.origin}/oauth2/authorize?")
    assert out.status == 200
    browser.cookies = kept
    assert browser.get("/console/orders").status == 303


def test_a_throttled_table_is_a_message(browser: HostedBrowser) -> None:
    browser.sign_in("ada")
    restart()
    with refusing({"GetItem": "ProvisionedThroughputExceededException"}):
        failed = browser.get("/console/orders")

    assert failed.status == 503
    assert "Your session could not be read" in failed.text


def test_a_function_that_cannot_begin_says_why_and_tries_again(
    browser: HostedBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as missing:
        missing.delenv("CONSOLE_POOL")
        failed = browser.get("/console/")

    assert failed.status == 502
    assert "CONSOLE_POOL" in failed.text
    assert browser.get("/console/").status == 303


def test_a_stack_that_cannot_be_read_is_a_message_and_no_logged_error(
    browser: HostedBrowser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def throttled(*_: object) -> DeployedStack:
        raise AWSError("the stack any: AWS throttles the requests")

    with monkeypatch.context() as lambda_:
        lambda_.setattr(function, "find", throttled)
        failed = browser.get("/console/")

    assert (failed.status, "AWS throttles the requests" in failed.text) == (502, True), failed.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert browser.get("/console/").status == 303


def test_the_init_phase_ends_without_an_answer_of_aws(pool: UserPool) -> None:
    """Lambda ends an environment whose init phase raises, without a reason."""
    variables = {
        **os.environ,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        INITIALIZED: "on-demand",
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "services"))),
    }
    begun = "import infra.console.hosted.function as f; print(f.application.cache_info().misses)"
    done = subprocess.run(
        [sys.executable, "-c", begun], env=variables, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr


def test_a_stack_without_its_bucket_is_a_message(
    browser: HostedBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"OrdersTable": "orders"}
    monkeypatch.setattr(function, "find", lambda account, _: DeployedStack(names, account))

    failed = browser.get("/console/")

    assert failed.status == 502
    assert "the stack has no AnalyticsBucket" in failed.text


def test_a_sign_in_begins_at_the_pool_with_a_cookie_of_its_time(browser: HostedBrowser) -> None:
    led = browser.get(browser.get("/console/").location)

    [cookie] = led.cookies
    assert f"Max-Age={sign_in.LIFETIME}" in cookie
    assert led.location.startswith(f"{browser.pool.origin}/oauth2/authorize?")
    assert URL not in cookie
