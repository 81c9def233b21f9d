"""The hosted console on MiniStack: a browser signs in at the user pool, reads, and acts.

MiniStack's differences: its user pools have their pages at MiniStack's own address and ask for no
second factor, and an address loses the slash at its end unless it names the stage.
"""

import re
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from tests.host import order
from tests.rehearsal.comparison import Row
from tests.rehearsal.deployed_host import DeployedHost, Stack
from tests.rehearsal.ministack import RehearsalError

CASE = "hosted console"
PASSWORD = "A long pass-word of 1 person"
USERS = {"rita": "console/read", "ada": "orders/operate", "newt": None}
"""The users of the rehearsal, each with a group; a user without one sees no page."""

NOTE = "The customer called at noon"
STAGE = "/$default"

_COMPLETED = "Completed: paid and shipped as"
_FIELD = re.compile(r'name="(\w+)" value="([^"]*)"')
_TITLE = re.compile(r"<title>(.*?) · ")


class Answer(NamedTuple):
    """A response; ``location`` is empty unless it is a redirect."""

    status: int
    kind: str
    location: str
    text: str

    def __str__(self) -> str:
        title = _TITLE.search(self.text)
        return f"{self.status} {self.location or (title[1] if title else self.kind)}".strip()


class Browser:
    """A browser at the console's API, with its cookies.

    Parameters
    ----------
    stack : Stack
        The deployed stack.
    """

    def __init__(self, stack: Stack) -> None:
        self._api = stack.deployment.names["ConsoleApi"]
        answer = stack.deployment.client("apigatewayv2").get_api(ApiId=self._api)
        self.url: str = answer["ApiEndpoint"]
        self._host = urlsplit(self.url).netloc
        self._ministack = urlsplit(stack.ministack.url).netloc
        self._cookies: dict[str, str] = {}

    def get(self, path: str) -> Answer:
        """Return a page of the console."""
        return self._ask("GET", STAGE + path, self._host)

    def get_as(self, host: str, path: str) -> Answer:
        """Return the answer to a request with another ``Host``, at an address of MiniStack."""
        return self._ask("GET", f"/_aws/execute-api/{self._api}{STAGE}{path}", host)

    def post(self, path: str, **form: str) -> Answer:
        """Send a form of the console."""
        return self._ask("POST", STAGE + path, self._host, urlencode(form), self.url)

    def sign_in(self, user: str, path: str) -> Answer:
        """Sign in from a page of the console; return the console's answer to the pool's redirect.

        Raises
        ------
        RehearsalError
            The user pool does not lead back to the console.
        """
        led = self.get(self.get(path).location)
        page = self._ask("GET", led.location.removeprefix(f"http://{self._ministack}"))
        fields = dict(_FIELD.findall(page.text))
        form = {**fields, "username": user, "password": PASSWORD}
        back = self._ask("POST", "/login", None, urlencode(form))
        if not back.location.startswith(f"{self.url}/"):
            raise RehearsalError(f"the user pool does not sign {user} in: {back}")
        return self.get(back.location.removeprefix(self.url))

    def _ask(
        self, method: str, path: str, host: str | None = None, body: str = "", origin: str = ""
    ) -> Answer:
        headers = {"host": host or self._ministack, "accept": "text/html"}
        if method == "POST":
            headers["content-type"] = "application/x-www-form-urlencoded"
        if origin:
            headers |= {"origin": origin, "sec-fetch-site": "same-origin"}
        if host and self._cookies:
            headers["cookie"] = "; ".join(f"{name}={one}" for name, one in self._cookies.items())
        connection = HTTPConnection(self._ministack, timeout=120)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        finally:
            connection.close()
        for cookie in answer.headers.get_all("set-cookie", []):
            self._cookies |= {name: one.value for name, one in SimpleCookie(cookie).items()}
        kind = answer.headers.get_content_type()
        return Answer(answer.status, kind, answer.headers.get("location", ""), text)


def rows(stack: Stack) -> list[Row]:
    """Return the console's expected answers, and its answers on MiniStack.

    The clocks of MiniStack's functions must not be ahead yet: a token lives for five minutes.
    """
    side = DeployedHost(stack, "H")
    side.receive(TEA=10)
    side.put(order())
    side.settle()
    _create_users(stack)
    return [
        Row(CASE, "", field, should, str(found))
        for field, (should, found) in {**dict(_outside(stack)), **dict(_inside(stack))}.items()
    ]


def _create_users(stack: Stack) -> None:
    """Create the users, as an administrator does."""
    cognito = stack.deployment.client("cognito-idp")
    pool = {"UserPoolId": stack.deployment.names["ConsoleUserPool"]}
    for user, group in USERS.items():
        given = {**pool, "Username": user}
        cognito.admin_create_user(
            **given, TemporaryPassword=PASSWORD[::-1], MessageAction="SUPPRESS"
        )
        cognito.admin_set_user_password(**given, Password=PASSWORD, Permanent=True)
        if group:
            cognito.admin_add_user_to_group(**given, GroupName=group)


Fact = tuple[str, tuple[str, object]]
"""A field, with the answer that it should have, and the one that it has."""


def _outside(stack: Stack) -> Iterator[Fact]:
    """Yield the facts of a browser without a session."""
    browser = Browser(stack)
    page = "/console/orders/T-1-H"
    to = urlencode({"to": page})
    yield "a page without a session", (f"303 /console/sign-in?{to}", browser.get(page))
    yield "a file", ("200 text/css", browser.get("/console/static/console.css"))
    other = browser.get_as("evil.example.com", page)
    yield "another Host", ("421 application/problem+json", other)
    led = browser.get(f"/console/sign-in?{to}")
    query = urlsplit(led.location).query
    yield "the way to the pool", ("303 S256", f"{led.status} {_challenge(query)}")
    yield (
        "an unknown code",
        ("403 Not signed in", browser.get("/console/signed-in?code=x&state=y")),
    )


def _challenge(query: str) -> str:
    found = re.search(r"code_challenge_method=(\w+)", query)
    return found[1] if found else "without PKCE"


def _inside(stack: Stack) -> Iterator[Fact]:
    """Yield the facts of people who have signed in."""
    page = "/console/orders/T-1-H"
    reader, operator, outsider = Browser(stack), Browser(stack), Browser(stack)
    yield "a reader signs in", (f"303 {page}", reader.sign_in("rita", page))
    shown = reader.get(page)
    found = "completed" if _COMPLETED in shown.text else "another status"
    yield "a reader's order", ("200 T-1-H, completed", f"{shown}, {found}")
    for path, title in _PAGES.items():
        yield path, (f"200 {title}", reader.get(path))
    yield "a reader acts", ("403 Forbidden", reader.post(f"{page}/note", reason=NOTE))
    yield "an operator signs in", (f"303 {page}", operator.sign_in("ada", page))
    yield "an operator acts", ("303", operator.post(f"{page}/note", reason=NOTE).status)
    yield "its note", ("recorded", "recorded" if NOTE in reader.get(page).text else "missing")
    yield "an operator looks", ("303", operator.post("/console/dead-letters/look").status)
    yield "a user without a group", ("403 Forbidden", _after(outsider, "newt", page))
    yield "signing out", ("200 Signing out", operator.post("/console/sign-out"))
    yield "after it", ("303 /console/sign-in", str(operator.get(page)).partition("?")[0])


_PAGES: Mapping[str, str] = {
    "/console/": "Overview",
    "/console/orders": "Orders",
    "/console/bus": "Bus",
    "/console/dead-letters": "Dead letters",
    "/console/replays": "Replays",
    "/console/queries": "Queries",
    "/console/contracts": "Contracts",
    "/console/activity": "Activity",
}


def _after(browser: Browser, user: str, page: str) -> Answer:
    """Return a page after a sign-in that has led to it."""
    browser.sign_in(user, page)
    return browser.get(page)
