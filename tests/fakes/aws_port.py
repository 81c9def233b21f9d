"""AWS on a port of 127.0.0.1: moto answers, and CloudFormation's list of a stack's resources.

moto's own server and its CloudFormation take thirty packages more.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto.core.models import botocore_stubber

from tests.fakes.http_port import answering

_SCOPE = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/")


def _member(name: str, real: str) -> str:
    return (
        f"<member><LogicalResourceId>{escape(name)}</LogicalResourceId>"
        f"<PhysicalResourceId>{escape(real)}</PhysicalResourceId></member>"
    )


def _resources(names: Mapping[str, str]) -> bytes:
    members = "".join(_member(name, real) for name, real in names.items())
    return (
        "<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries>"
        f"{members}</StackResourceSummaries></ListStackResourcesResult>"
        "</ListStackResourcesResponse>"
    ).encode()


@contextmanager
def aws_port(
    names: Mapping[str, str], before: Callable[[str], object] = lambda _: None
) -> Iterator[str]:
    """Serve moto's AWS within `quick_aws`; give the address.

    ``names`` are a stack's resources; ``before`` is called with the service of each request.
    """

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            scope = _SCOPE.search(self.headers.get("Authorization", ""))
            region, service = scope.groups() if scope else ("us-east-1", "s3")
            before(service)
            if service == "cloudformation":
                self._send(200, {}, _resources(names))
                return
            headers = HTTPHeaders()
            for key, value in self.headers.items():
                headers[key] = value
            url = f"https://{service}.{region}.amazonaws.com{self.path}"
            request = AWSPreparedRequest(self.command, url, headers, body, stream_output=False)
            answer = botocore_stubber.process_request(request)
            assert answer is not None, url
            status, given, content = answer
            self._send(status, given, content.encode() if isinstance(content, str) else content)

        def do_GET(self) -> None:
            self.do_POST()

        def do_PUT(self) -> None:
            self.do_POST()

        def _send(self, status: int, headers: Mapping[str, Any], body: bytes) -> None:
            self.send_response(status)
            for key, value in headers.items():
                if key.lower() not in ("content-length", "date", "server"):
                    self.send_header(key, str(value))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            pass

    with answering(Answer) as address:
        yield address
