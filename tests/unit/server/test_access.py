"""Access control: requests from pages of other sites, tokens, and the names of the server."""

from pathlib import Path

import pytest

from infra.local.template.stack import Cors, Route
from infra.server.access import Access, Admission, Refused
from infra.server.hosts import allowed_host
from infra.server.server import ServerError, admission
from infra.server.tokens import (
    LOCAL_USER,
    OPERATE,
    SCOPES,
    Caller,
    InvalidTokens,
    Tokens,
    read_tokens,
)
from tests.unit.server.requests import PORT, request

SHOP, EVIL, OWN = "https://shop.example", "http://evil.example", "http://localhost:8080"
ACCESS = Access(PORT, Cors(origins=(SHOP,)), Admission())
UNSAFE = ("POST", "PATCH", "PUT", "DELETE")


def passes(
    method: str, site: str | None, origin: str | None, *, on_api: bool, access: Access = ACCESS
) -> bool:
    """Return whether a request with these browser headers is accepted."""
    values = (("Sec-Fetch-Site", site), ("Origin", origin))
    headers = [(name, value) for name, value in values if value is not None]
    try:
        access.check_origin(request(method, "/orders", *headers), on_api=on_api)
    except Refused as refused:
        assert refused.status == 403
        assert str(refused)
        return False
    return True


# ---- pages of other sites


@pytest.mark.parametrize("on_api", [True, False])
@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize(
    ("site", "origin", "allowed"),
    [
        (None, None, True),  # curl, boto3, the AWS CLI
        ("same-origin", OWN, True),
        ("same-origin", None, True),
        ("none", None, True),  # an address typed by the user
        (None, OWN, True),
        ("cross-site", OWN, True),  # a page of http://localhost:8080 asks http://127.0.0.1:8080
        ("cross-site", EVIL, False),
        ("same-site", EVIL, False),  # another port of this machine is the same site
        ("cross-site", None, False),
        ("same-site", None, False),
        ("", None, False),
        ("nonsense", None, False),
        ("same-origin,cross-site", None, False),  # sent twice
        (None, EVIL, False),
        (None, "http://localhost:8081", False),
        (None, "", False),
        (None, "null", False),
        ("same-origin", "null", False),
        ("none", "null", False),
        ("cross-site", "null", False),
        (None, f"{OWN},{EVIL}", False),
    ],
)
def test_unsafe_requests_are_accepted_from_programs_and_own_pages(
    method: str, site: str | None, origin: str | None, *, allowed: bool, on_api: bool
) -> None:
    assert passes(method, site, origin, on_api=on_api) is allowed


@pytest.mark.parametrize("site", ["cross-site", "same-site", None])
def test_an_allowed_origin_may_send_unsafe_requests_to_the_http_api_alone(site: str | None) -> None:
    assert passes("POST", site, SHOP, on_api=True)
    assert not passes("POST", site, SHOP, on_api=False)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("origin", [EVIL, "null", SHOP])
def test_safe_requests_are_accepted_from_any_page(method: str, origin: str) -> None:
    assert passes(method, "cross-site", origin, on_api=True)


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (("*",), EVIL, True),
        (("*",), "null", False),
        (("https://*",), "https://any.example", True),
        (("https://*",), EVIL, False),
        (("http://*",), EVIL, True),
        (("https://shop.example:8443",), SHOP, False),
        ((), SHOP, False),
    ],
)
def test_origins_may_be_allowed_by_scheme_or_all(
    origins: tuple[str, ...], origin: str, *, allowed: bool
) -> None:
    access = Access(PORT, Cors(origins=origins), Admission())
    assert passes("POST", "cross-site", origin, on_api=True, access=access) is allowed


def test_without_a_cors_configuration_no_other_origin_is_allowed() -> None:
    access = Access(PORT, None, Admission())
    assert not passes("POST", "cross-site", SHOP, on_api=True, access=access)


def test_an_origin_of_an_allowed_host_is_an_own_origin() -> None:
    access = Access(PORT, None, Admission((allowed_host("shop.example"),)))
    assert passes("POST", None, SHOP, on_api=False, access=access)


# ---- tokens

WRITER, READER, OPERATOR = "w" * 40, "r" * 40, "o" * 40
TOKENS = Tokens(
    {
        WRITER: Caller("shop", frozenset({"orders/read", "orders/write"})),
        READER: Caller("report", frozenset({"orders/read"})),
        OPERATOR: Caller("ops", frozenset({OPERATE})),
    }
)
GUARDED = Access(PORT, None, Admission(tokens=TOKENS))
WRITE = Route("POST", "/orders", "Api", ("orders/write",))
HEALTH = Route("GET", "/health", "Api", public=True)
ANY = Route("GET", "/any", "Api")


@pytest.mark.parametrize("sent", [f"Bearer {WRITER}", f"bearer  {WRITER}", WRITER])
def test_the_holder_of_a_token_is_the_caller(sent: str) -> None:
    caller = GUARDED.caller_of_route(request("POST", "/orders", ("Authorization", sent)), WRITE)
    assert caller == Caller("shop", frozenset({"orders/read", "orders/write"}))


def refusal_of_route(route: Route, *headers: tuple[str, str]) -> Refused:
    """Return the refusal of a call of a route."""
    with pytest.raises(Refused) as refused:
        GUARDED.caller_of_route(request("POST", "/orders", *headers), route)
    return refused.value


@pytest.mark.parametrize("route", [WRITE, ANY])
def test_a_call_without_a_token_is_unauthorized(route: Route) -> None:
    refused = refusal_of_route(route)
    assert (refused.status, refused.headers) == (401, {"www_authenticate": "Bearer"})


@pytest.mark.parametrize("sent", [f"Bearer {WRITER}x", "Bearer ", "Basic dTpw", "Bearer \xe9"])
def test_an_unknown_token_is_unauthorized(sent: str) -> None:
    refused = refusal_of_route(WRITE, ("Authorization", sent))
    assert refused.status == 401
    assert "invalid_token" in refused.headers["www_authenticate"]


def test_a_token_without_the_routes_scope_is_forbidden() -> None:
    refused = refusal_of_route(WRITE, ("Authorization", f"Bearer {READER}"))
    assert (refused.status, str(refused)) == (
        403,
        "the token of report does not have the scope orders/write",
    )
    assert "insufficient_scope" in refused.headers["www_authenticate"]


def test_a_public_route_needs_no_token_and_a_route_without_scopes_any_token() -> None:
    assert GUARDED.caller_of_route(request(), HEALTH) is None
    sent = ("Authorization", f"Bearer {OPERATOR}")
    assert GUARDED.caller_of_route(request("GET", "/any", sent), ANY) is not None


def test_without_tokens_the_caller_is_the_local_user() -> None:
    assert ACCESS.caller_of_route(request("POST"), WRITE) is LOCAL_USER
    ACCESS.check_operator(request("POST", "/"))


@pytest.mark.parametrize(
    "header", [("X-Amz-Security-Token", OPERATOR), ("Authorization", f"Bearer {OPERATOR}")]
)
def test_an_operator_uses_aws_clients_with_a_token(header: tuple[str, str]) -> None:
    GUARDED.check_operator(request("POST", "/", header))


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "MissingAuthenticationTokenException"),
        ([("X-Amz-Security-Token", "x" * 40)], "UnrecognizedClientException"),
        ([("Authorization", "AWS4-HMAC Credential=x")], "MissingAuthenticationTokenException"),
        ([("X-Amz-Security-Token", WRITER)], "AccessDeniedException"),
    ],
)
def test_any_other_caller_of_an_operation_is_refused(
    headers: list[tuple[str, str]], code: str
) -> None:
    with pytest.raises(Refused) as refused:
        GUARDED.check_operator(request("POST", "/", *headers))
    assert (refused.value.status, refused.value.code) == (403, code)


def test_local_commands_have_their_own_token() -> None:
    local = TOKENS.find(TOKENS.local)
    assert local is not None
    assert local.scopes == SCOPES
    assert Tokens({}).local != Tokens({}).local


# ---- the file of tokens


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    """Return a file of tokens."""
    path = folder / "tokens"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_line_has_a_token_a_subject_and_scopes(tmp_path: Path) -> None:
    text = f"# comment\n\n{WRITER} shop orders/read orders/write\n{OPERATOR}\tops\torders/operate\n"
    tokens = read_tokens(written(tmp_path, text))
    assert tokens.find(WRITER) == Caller("shop", frozenset({"orders/read", "orders/write"}))
    assert tokens.find(OPERATOR) == Caller("ops", frozenset({OPERATE}))
    assert tokens.find(READER) is None


def test_a_line_may_have_claims(tmp_path: Path) -> None:
    text = f"{READER} ada customer_id=C-42 orders/read tier=a=b\n"
    claims = (("customer_id", "C-42"), ("tier", "a=b"))
    ada = Caller("ada", frozenset({"orders/read"}), claims)
    assert read_tokens(written(tmp_path, text)).find(READER) == ada


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no token"),
        ("# comment\n", "has no token"),
        (f"short ops {OPERATE}", ":1: the token is not 32 or more letters"),
        (f"{'é' * 40} ops {OPERATE}", ":1: the token is not 32 or more"),
        (f"{WRITER} shop", ":1: has no subject or no scope"),
        (WRITER, ":1: has no subject or no scope"),
        (f"{WRITER} shop orders/delete", ":1: the scope 'orders/delete' is none of console/read"),
        (f"{WRITER} shop customer_id=C-1", ":1: has no subject or no scope"),
        (f"{WRITER} shop {OPERATE} customer_id=", ":1: the claim customer_id= has no name, no"),
        (f"{WRITER} shop {OPERATE} =C-1", ":1: the claim =C-1 has no name"),
        (f"{WRITER} shop orders/read scope=x", ":1: the claim scope=x has no name, no value or a"),
        (f"{WRITER} a {OPERATE}\n{WRITER} b {OPERATE}", ":2: the token is on an earlier line"),
    ],
)
def test_a_malformed_file_is_refused_without_showing_a_token(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(InvalidTokens) as refused:
        read_tokens(written(tmp_path, text))
    assert problem in str(refused.value)
    assert WRITER not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_file_that_other_users_can_access_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, f"{WRITER} shop orders/read", mode)
    with pytest.raises(InvalidTokens, match=f"open to others; run `chmod 600 {path}`"):
        read_tokens(path)


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTokens, match="cannot be read: No such file"):
        read_tokens(tmp_path / "nothing")
    path = written(tmp_path, "")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidTokens, match="it is not UTF-8"):
        read_tokens(path)


# ---- addresses and names


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return written(tmp_path, f"{OPERATOR} ops {OPERATE}")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "shop.example"])  # noqa: S104
def test_other_hosts_need_tokens(host: str, tokens: Path) -> None:
    with pytest.raises(ServerError, match="give --token-file FILE"):
        admission(host, [], None)
    assert admission(host, [], tokens).tokens is not None


def test_an_allowed_host_needs_tokens(tokens: Path) -> None:
    with pytest.raises(ServerError, match=r"--allowed-host shop\.example admits others"):
        admission("127.0.0.1", ["shop.example"], None)
    admitted = admission("127.0.0.1", ["shop.example", "api.example:443"], tokens)
    assert admitted.names == (allowed_host("shop.example"), allowed_host("api.example:443"))


def test_the_address_is_a_name_of_the_server(tokens: Path) -> None:
    assert admission("192.168.1.5", [], tokens).names == (allowed_host("192.168.1.5"),)
    assert admission("fe80::1", [], tokens).names == (allowed_host("[fe80::1]"),)
    assert admission("0.0.0.0", [], tokens).names == ()  # noqa: S104


def test_without_options_the_local_user_needs_no_token() -> None:
    assert admission("127.0.0.1", [], None) == Admission()


def test_with_a_token_file_tokens_are_mandatory_on_the_loopback_too(tokens: Path) -> None:
    access = Access(PORT, None, admission("localhost", [], tokens))
    with pytest.raises(Refused):
        access.caller_of_route(request("POST"), WRITE)
