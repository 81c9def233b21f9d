"""`orders serve` on a real port: under which names, to which pages and to whom it answers."""

import json
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.fakes.serving import Served, answer, orders

SHOP, REPORT, OPERATOR, OTHER, ADMIN = (letter * 40 for letter in "srovm")
LINES = f"""# token subject scopes
{SHOP} shop orders/read orders/write customer_id=C-1
{REPORT} report orders/read customer_id=C-1
{OTHER} other orders/read orders/write customer_id=C-2
{ADMIN} admin orders/read orders/operate
{OPERATOR} ops orders/operate
"""
ORDER = {
    "customer_id": "C-1",
    "currency": "GBP",
    "items": [{"sku": "TEA-GREEN-100", "quantity": 1, "unit_price": 10}],
}
PAGE = "http://localhost:3000"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text(LINES)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def open_to_others(tmp_path_factory: pytest.TempPathFactory, tokens: Path) -> Iterator[Served]:
    """Serve on every interface under a name, with tokens."""
    data = tmp_path_factory.mktemp("open") / "data"
    options = ("--host", "0.0.0.0", "--allowed-host", "shop.example", "--token-file", str(tokens))  # noqa: S104
    with Served(data, *options, "--parameter", f"CorsOrigins={PAGE}") as served:
        yield served


def exchanged(server: Served, request: bytes) -> bytes:
    """Return what the server answers to these bytes until it hangs up."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(request.replace(b"PORT", str(server.port).encode()))
        found = b""
        while piece := connection.recv(65_536):
            found += piece
    return found


def head(line: str, *headers: str) -> bytes:
    """Return the head of a request after which the server hangs up."""
    return "\r\n".join([line, *headers, "Connection: close", "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (head("GET /health HTTP/1.1", "Host: localhost:PORT"), 200),
        (head("GET /health HTTP/1.1", "Host:   LOCALHOST:PORT\t"), 200),
        (head("GET /health HTTP/1.1", "Host: [::1]:PORT"), 200),
        (head("GET /health HTTP/1.1", "Host: shop.example"), 200),
        (head("GET /health HTTP/1.1", "Host: shop.example:443"), 200),
        (head("GET http://localhost:PORT/health HTTP/1.1", "Host: localhost:PORT"), 200),
        (head("GET /health HTTP/1.0", "Host: localhost:PORT"), 200),
        (head("GET /health HTTP/1.1", "Host: evil.example"), 421),
        (head("GET /health HTTP/1.1", "Host: evil.example:PORT"), 421),
        (head("GET /health HTTP/1.1", "Host: 0.0.0.0:PORT"), 421),
        (head("GET /health HTTP/1.1", "Host: localhost"), 421),
        (head("OPTIONS /orders HTTP/1.1", "Host: evil.example"), 421),
        (head("POST / HTTP/1.1", "Host: evil.example", "X-Amz-Target: AWSEvents.PutEvents"), 421),
        (head("GET http://evil.example/health HTTP/1.1", "Host: localhost:PORT"), 421),
        (head("GET http://localhost:PORT/health HTTP/1.1", "Host: evil.example"), 421),
        (head("GET /health HTTP/1.1"), 400),
        (head("GET /health HTTP/1.0"), 400),
        (head("GET /health HTTP/1.1", "Host:"), 400),
        (head("GET /health HTTP/1.1", "Host: localhost:PORT", "Host: localhost:PORT"), 400),
        (head("GET /health HTTP/1.1", "Host: me@localhost:PORT"), 400),
        (head("CONNECT localhost:PORT HTTP/1.1", "Host: localhost:PORT"), 400),
        (head("GET http://localhost:PORT HTTP/1.1", "Host: localhost:PORT"), 400),
        (head("BREW / HTTP/1.1", "Host: localhost:PORT"), 400),
    ],
)
def test_a_request_is_answered_under_the_servers_own_names(
    open_to_others: Served, request_: bytes, status: int
) -> None:
    found = exchanged(open_to_others, request_)
    assert found.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"x-content-type-options: nosniff" in found
    if status != 200:
        assert json.loads(found.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    "line",
    [
        b"GET /health HTTP/1.1\r\nHost: localhost:PORT\r\nX-Long: " + b"x" * 70_000,
        b"GET /health HTTP/1.1\r\nHost: localhost:PORT\r\n" + b"X-Many: x\r\n" * 10_000 + b"Y: y",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: localhost:PORT",
    ],
    ids=["a header", "headers", "a target"],
)
def test_a_head_without_end_is_a_bad_request(open_to_others: Served, line: bytes) -> None:
    with suppress(ConnectionResetError):  # the server hangs up before it has read it all
        found = exchanged(open_to_others, line + b"\r\n\r\n")
        assert found.startswith(b"HTTP/1.1 400 ")
        assert b"head is larger than 65536 bytes" in found
    assert open_to_others.ask("GET", "/health")[0] == 200


def test_a_request_to_upgrade_is_answered_as_the_request_it_is(open_to_others: Served) -> None:
    upgrade = ("Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13")
    lines = [
        "GET /orders HTTP/1.1",
        "Host: localhost:PORT",
        *upgrade,
        "Connection: Upgrade",
        "",
        "",
    ]
    with socket.create_connection(("127.0.0.1", open_to_others.port), 10) as connection:
        connection.sendall("\r\n".join(lines).replace("PORT", str(open_to_others.port)).encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")
    assert "WebSocket" not in open_to_others.output()


def bearer(token: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **more}


def test_a_call_needs_a_token_with_the_routes_scope(open_to_others: Served) -> None:
    ask = open_to_others.ask
    assert ask("GET", "/health")[0] == 200
    assert ask("POST", "/orders", ORDER)[0] == 401
    assert ask("POST", "/orders", ORDER, bearer("x" * 40))[0] == 401
    assert ask("POST", "/orders", ORDER, bearer(REPORT))[0] == 403
    status, placed = ask("POST", "/orders", ORDER, bearer(SHOP))
    assert status == 201
    assert ask("GET", f"/orders/{placed['order_id']}", None, bearer(REPORT))[0] == 200
    assert ask("GET", f"/orders/{placed['order_id']}", None, bearer(OPERATOR))[0] == 403


def test_a_call_reaches_the_orders_of_its_tokens_customer(open_to_others: Served) -> None:
    ask = open_to_others.ask
    assert ask("POST", "/orders", ORDER, bearer(OTHER))[0] == 403
    _, placed = ask("POST", "/orders", ORDER, bearer(SHOP))
    path = f"/orders/{placed['order_id']}"
    assert ask("GET", path, None, bearer(OTHER))[0] == 404
    assert ask("POST", f"{path}/cancel", None, bearer(OTHER))[0] == 404
    assert ask("GET", path, None, bearer(ADMIN))[0] == 200


def client(server: Served, token: str | None) -> Any:
    """Return AWS's client of EventBridge with a token as its session's."""
    return boto3.client(
        "events",
        endpoint_url=server.address,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}),
    )


def entry(order_id: str) -> dict[str, str]:
    """Return the PutEvents entry of an order."""
    detail = {**ORDER, "order_id": order_id, "total": 10, "timestamp": "2026-01-31T12:00:00Z"}
    return {
        "EventBusName": "orders-bus",
        "Source": "orders.service",
        "DetailType": "Order Created",
        "Detail": json.dumps(detail),
    }


def test_aws_clients_send_the_operators_token_as_their_sessions(open_to_others: Served) -> None:
    put = client(open_to_others, OPERATOR).put_events(Entries=[entry("T-1")])
    assert put["FailedEntryCount"] == 0


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, "MissingAuthenticationTokenException"),  # their signature is none
        ("x" * 40, "UnrecognizedClientException"),
        (SHOP, "AccessDeniedException"),
    ],
)
def test_aws_clients_without_it_are_refused(
    open_to_others: Served, token: str | None, code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        client(open_to_others, token).put_events(Entries=[entry("T-2")])
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_the_local_users_commands_have_a_token_that_others_cannot_read(
    open_to_others: Served, tmp_path: Path
) -> None:
    kept = open_to_others.data / "endpoint.token"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert open_to_others.address == f"http://127.0.0.1:{open_to_others.port}"
    events = tmp_path / "events.json"
    events.write_text(json.dumps({"source": "orders.service", **_envelope("T-3")}))
    assert answer("emit", events, "--data", open_to_others.data)["accepted"] == 1
    redriven = answer("dead-letters", "redrive", "--all", "--data", open_to_others.data)
    assert redriven["redriven"] == 0


def _envelope(order_id: str) -> dict[str, Any]:
    put = entry(order_id)
    return {"detail-type": put["DetailType"], "detail": json.loads(put["Detail"])}


def test_commands_that_name_an_endpoint_take_the_token_from_the_environment(
    open_to_others: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = tmp_path / "events.json"
    events.write_text(json.dumps({"source": "orders.service", **_envelope("T-4")}))
    there = ("emit", events, "--endpoint-url", open_to_others.address)
    assert orders(*there).returncode == 1
    monkeypatch.setitem(os.environ, "ORDERS_TOKEN", OPERATOR)
    assert answer(*there)["accepted"] == 1


def test_a_page_of_an_allowed_origin_asks_with_its_token(open_to_others: Served) -> None:
    preflight = exchanged(
        open_to_others,
        head(
            "OPTIONS /orders HTTP/1.1",
            "Host: shop.example",
            f"Origin: {PAGE}",
            "Access-Control-Request-Method: POST",
            "Access-Control-Request-Headers: authorization",
        ),
    )
    assert preflight.startswith(b"HTTP/1.1 204 ")
    assert f"access-control-allow-origin: {PAGE}\r\n".encode() in preflight
    assert b"access-control-allow-headers: authorization," in preflight
    headers = bearer(SHOP, **{"Origin": PAGE, "Sec-Fetch-Site": "cross-site"})
    assert open_to_others.ask("POST", "/orders", ORDER, headers)[0] == 201


def test_repeated_headers_are_joined(open_to_others: Served) -> None:
    body = json.dumps(ORDER).encode()
    lines = (
        "Host: localhost:PORT",
        f"Authorization: Bearer {SHOP}",
        f"Content-Length: {len(body)}",
    )
    places = "POST /orders HTTP/1.1"
    both = head(places, *lines, "Idempotency-Key: a", "Idempotency-Key: b") + body
    joined = head(places, *lines, "Idempotency-Key:  a,b ") + body
    assert exchanged(open_to_others, both).startswith(b"HTTP/1.1 201 ")
    assert exchanged(open_to_others, joined).startswith(b"HTTP/1.1 200 ")


def test_nothing_of_the_tokens_is_left_behind(tmp_path: Path, tokens: Path) -> None:
    with Served(tmp_path / "data", "--token-file", str(tokens)) as server:
        assert (server.data / "endpoint.token").exists()
        assert server.stop() == 0
        assert not (server.data / "endpoint.token").exists()
        assert SHOP not in server.output()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", "0.0.0.0"), "give --token-file FILE"),  # noqa: S104
        (("--allowed-host", "shop.example"), "--allowed-host shop.example admits others"),
        (("--allowed-host", "*"), "is no host name"),
        (("--token-file", "nothing"), "nothing cannot be read"),
        (("--parameter", "Colour=red"), "Parameters.Colour: is not a parameter"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_done(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    done = orders("serve", "--port", "0", "--data", tmp_path / "data", *options)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()
