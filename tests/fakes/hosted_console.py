"""One browser at the hosted console: its requests are events of API Gateway to the function."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.cookies import SimpleCookie
from typing import NamedTuple
from unittest.mock import patch
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, build_opener

from infra.console.hosted import function
from infra.deployed.stack import DeployedStack
from tests.fakes.api_gateway import body_of, context, event_of
from tests.fakes.aws_port import aws_port
from tests.fakes.console_role import role_of_the_console
from tests.fakes.user_pool import CLIENT, POOL, UserPool, user_pool

HOST = "console.example.com"
URL = f"https://{HOST}"
USERS = {"ada": ("orders/operate",), "rita": ("console/read",), "newt": ()}


class Answer(NamedTuple):
    """A response; its header names are in lower case, and ``cookies`` are the new ones."""

    status: int
    headers: Mapping[str, str]
    cookies: tuple[str, ...]
    text: str

    @property
    def location(self) -> str:
        """The address of a redirect."""
        return self.headers["location"]


class HostedBrowser:
    """A browser with its cookies."""

    def __init__(self, pool: UserPool) -> None:
        self.pool = pool
        self.cookies: dict[str, str] = {}

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Return a page; ``path`` may have a query."""
        return self._ask("GET", path, b"", headers or {})

    def post(
        self, path: str, form: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a form, as a page of the console does."""
        sent = {
            "content-type": "application/x-www-form-urlencoded",
            "origin": URL,
            "sec-fetch-site": "same-origin",
        }
        return self._ask("POST", path, urlencode(form).encode(), {**sent, **(headers or {})})

    def begin(self, path: str = "/console/") -> str:
        """Ask for a page without a session; return the address of the pool to which it leads."""
        asked = self.get(path)
        assert asked.status == 303, asked.text
        led = self.get(asked.location)
        assert led.status == 303, led.text
        return led.location

    def identify(self, address: str, user: str) -> str:
        """Name a user at the pool's page; return the console's path to which the pool leads."""
        self.pool.signed_in = user
        led = _location(address)
        assert led.startswith(f"{URL}/"), led
        return led.removeprefix(URL)

    def sign_in(self, user: str, path: str = "/console/") -> Answer:
        """Sign in from a page, and return that page."""
        back = self.get(self.identify(self.begin(path), user))
        assert back.status == 303, back.text
        return self.get(back.location)

    def _ask(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        given = {"host": HOST, "x-forwarded-proto": "https", **headers}
        if self.cookies:
            given["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = function.handler(event_of(method, target, given, body), context())
        cookies = tuple(answer.get("cookies", ()))
        for cookie in cookies:
            for name, morsel in SimpleCookie(cookie).items():
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]
        found = {name.lower(): str(value) for name, value in answer["headers"].items()}
        return Answer(answer["statusCode"], found, cookies, body_of(answer).decode())


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _location(address: str) -> str:
    """Return the address to which a page redirects."""
    try:
        build_opener(_NoRedirect).open(address, timeout=5)
    except HTTPError as answer:
        with answer:
            assert answer.code == 303, answer.read()
            return answer.headers["Location"]
    raise AssertionError("the pool has not redirected")


@contextmanager
def hosted(stack: DeployedStack, url: str = URL) -> Iterator[UserPool]:
    """Give the function of the hosted console its environment; yield the pool of its users."""
    names = {**stack.names, "ConsoleUserPool": POOL}
    with _event_loop(), user_pool(url, USERS) as pool, aws_port(names) as aws:
        variables = {
            "CONSOLE_STACK": "orderflow-test",
            "CONSOLE_URL": url,
            "CONSOLE_POOL": POOL,
            "CONSOLE_CLIENT": CLIENT,
            "CONSOLE_DOMAIN": pool.origin,
            "AWS_ENDPOINT_URL": aws,
            "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": pool.origin,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "POWERTOOLS_SERVICE_NAME": "console",
        }
        with role_of_the_console(stack), patch.dict("os.environ", variables):
            restart()
            try:
                yield pool
            finally:
                restart()


@contextmanager
def _event_loop() -> Iterator[None]:
    """Give this thread an event loop, which Mangum would make and never close."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


@contextmanager
def another_environment() -> Iterator[None]:
    """Let another execution environment answer in the block."""
    application = cache(function.application.__wrapped__)
    adapter = cache(function.adapter.__wrapped__)
    with patch.multiple(function, application=application, adapter=adapter):
        yield


def restart() -> None:
    """Clear the execution environment's memory: the next request is a cold start."""
    function.application.cache_clear()
    function.adapter.cache_clear()
