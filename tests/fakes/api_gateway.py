"""A stand-in for API Gateway's HTTP API with one function: payload format 2.0.

Source: Amazon API Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs".
"""

import asyncio
import base64
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from tests.fakes.http_port import answering

Handler = Callable[[dict[str, Any], Any], Mapping[str, Any]]


def event_of(
    method: str, target: str, headers: Mapping[str, str], body: bytes = b""
) -> dict[str, Any]:
    """Return the event of a request."""
    path, _, query = target.partition("?")
    given = {name.lower(): value for name, value in headers.items()}
    cookies = [each for each in given.pop("cookie", "").split("; ") if each]
    path = unquote(path)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": given,
        "requestContext": {
            "accountId": "123456789012",
            "domainName": given.get("host", ""),
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": given.get("user-agent", ""),
            },
            "requestId": str(uuid4()),
            "stage": "$default",
            "timeEpoch": int(time.time() * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if body:
        event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return event


def context() -> Any:
    """Return the context of an invocation."""
    return SimpleNamespace(
        function_name="console",
        function_version="1",
        memory_limit_in_mb=1024,
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:console:live",
        aws_request_id=str(uuid4()),
        get_remaining_time_in_millis=lambda: 29_000,
    )


def body_of(answer: Mapping[str, Any]) -> bytes:
    """Return the body of a function's response."""
    body = str(answer.get("body", ""))
    return base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()


@contextmanager
def api_gateway(handler: Handler) -> Iterator[str]:
    """Serve a function's handler, one request at a time as one environment does; give the address.

    The handler runs in one thread with an event loop, as in the main thread of Lambda's runtime.
    """
    loop = asyncio.new_event_loop()
    environment = ThreadPoolExecutor(1, initializer=asyncio.set_event_loop, initargs=(loop,))

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            event = event_of(self.command, self.path, dict(self.headers.items()), body)
            answer = environment.submit(handler, event, context()).result(30)
            content = body_of(answer)
            self.send_response(answer["statusCode"])
            for name, value in answer.get("headers", {}).items():
                if name.lower() != "content-length":
                    self.send_header(name, value)
            for cookie in answer.get("cookies", []):
                self.send_header("Set-Cookie", cookie)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the base's name

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            pass

    with closing(loop), environment, answering(Answer) as address:
        yield address
