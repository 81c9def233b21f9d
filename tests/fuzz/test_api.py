"""Fuzz the HTTP API: every request is answered and affects no other."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.conftest import Fuzz
from tests.fuzz.platforms import Shipped
from tests.fuzz.port import Port
from tests.fuzz.texts import REPORTED, objects, texts
from tests.host import order
from tests.strategies import damaged

ORDER = {
    name: value
    for name, value in order("A-1")["detail"].items()
    if name not in {"order_id", "timestamp"}
}
REQUESTS = (("POST", "/orders"), ("PATCH", "/orders/PLAIN-1"), ("POST", "/orders/PLAIN-1/cancel"))

bodies = st.one_of(
    (objects | texts).map(lambda text: text.encode(errors="replace")),
    st.binary(max_size=30),
    damaged(st.just(ORDER)).map(lambda body: json.dumps(body).encode()),
)
words = st.binary(max_size=12) | st.sampled_from(
    [b"", b"\xff", b"a" * 5_000, "é".encode(), b"[/x]", b"\x00", b'{"a":1}', b"=?utf-8?b?eA==?="]
)
headers = st.lists(
    st.tuples(
        st.sampled_from(
            [b"content-type", b"idempotency-key", b"x-any", b"authorization", b"cookie"]
        ),
        words,
    ),
    max_size=3,
)
queries = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [b"customer_id=C-1&limit=5", b"customer_id=%00", b"customer_id=C-1&after=%ff", b"limit=9e9"]
        + [b"customer_id=C-1&limit=" + b"9" * 5_000, b"customer_id=a&customer_id=b", b"&&==&"]
    ),
)
paths = st.builds(
    "/{}/{}".format,
    st.sampled_from(["orders", "", "health", "x"]),
    st.sampled_from(["", "PLAIN-1", "PLAIN-1/cancel", "\x00", "é", "%2F", "a" * 3_000, "../x"])
    | st.text(max_size=5),
)


def check_answer(shipped: Shipped, method: str, path: str, **parts: Any) -> None:
    """Send a request; check that its status is below 500."""
    reply = Port(shipped.engine).ask(method, path, **parts)
    assert 200 <= reply.status < 500, reply
    if reply.status >= 400:
        assert reply.body["detail"], reply


def test_a_body_of_any_json(fuzz: Fuzz, shipped: Shipped) -> None:
    def put(case: tuple[tuple[str, str], bytes]) -> None:
        (method, path), body = case
        check_answer(shipped, method, path, body=body)

    extended = [json.dumps(ORDER)[:-1] + f',"x":{text or 1}}}' for text in REPORTED]
    fixed = [(request, text.encode()) for request in REQUESTS for text in [*REPORTED, *extended]]
    fuzz(shipped, st.tuples(st.sampled_from(REQUESTS), bodies), put, fixed)


def test_any_path_query_and_headers(fuzz: Fuzz, shipped: Shipped) -> None:
    def put(case: tuple[str, str, bytes, Any]) -> None:
        method, path, query, fields = case
        check_answer(
            shipped, method, path, query=query, headers=fields, body=json.dumps(ORDER).encode()
        )

    methods = st.sampled_from(["GET", "POST", "PATCH", "DELETE", "OPTIONS"])
    fuzz(shipped, st.tuples(methods, paths | st.just("/orders"), queries, headers), put)
