"""The first checks of a console that is a server of its own: of a loopback port, or hosted on AWS.

They are those of the port of ``orders serve`` (`infra.server.access`): ``Host`` is a name of this
server, and an unsafe request comes from an own page.
"""

from http import HTTPStatus

from starlette.types import Send

from infra.console.page import PREFIX
from infra.server.access import Access, Refused
from infra.server.reply import SAFE, Reply, problem_document
from infra.server.request import Request


def refusal(access: Access, request: Request) -> Reply | None:
    """Return the response to a request that the console must not see; None if it may."""
    try:
        access.check_host(request)
        access.check_origin(request, on_api=False)
    except Refused as refused:
        return refused.reply(request)
    return None


def outside(request: Request) -> Reply | None:
    """Return the response to a path that is not the console's; None if it is."""
    if request.path == "/":
        return see_other(f"{PREFIX}/")
    if request.path != PREFIX and not request.path.startswith(f"{PREFIX}/"):
        detail = f"{request.path} does not exist; the console is at {PREFIX}/"
        return problem_document(HTTPStatus.NOT_FOUND, detail)
    return None


def see_other(address: str) -> Reply:
    """Return a redirect to an address, which no cache keeps."""
    return Reply(HTTPStatus.SEE_OTHER, (("location", address), ("cache-control", "no-store")))


async def send_reply(reply: Reply, send: Send) -> None:
    """Send a response, with the headers of every response."""
    whole = reply.with_defaults(SAFE)
    headers = [(name.encode(), value.encode()) for name, value in whole.headers]
    headers.append((b"content-length", str(len(whole.body)).encode()))
    await send({"type": "http.response.start", "status": whole.status, "headers": headers})
    await send({"type": "http.response.body", "body": whole.body})
