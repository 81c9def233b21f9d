"""Access: no page of another site changes anything; where tokens are mandatory, all need one."""

from pathlib import Path

import pytest

from infra.local.template.stack import Cors, Route
from infra.server.access import Access, Admission, Refused
from infra.server.hosts import allowed_host
from infra.server.server import ServerError, admission
from infra.server.tokens import OPERATE, SCOPES, Caller, InvalidTokens, Tokens, read_tokens
from tests.unit.server.requests import PORT, request

SHOP, EVIL, OWN = "https://shop.example", "http://evil.example", "http://localhost:8080"
ACCESS = Access(PORT, Cors(origins=(SHOP,)), Admission())
UNSAFE = ("POST", "PATCH", "PUT", "DELETE")


def passes(
    method: str, site: str | None, origin: str | None, *, on_api: bool, access: Access = ACCESS
) -> bool:
    """Say whether a request with these headers of a browser is let through."""
    sent = (("Sec-Fetch-Site", site), ("Origin", origin))
    headers = [(name, value) for name, value in sent if value is not None]
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
        ("none", None, True),  # typed by the user
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
def test_a_change_is_taken_from_programs_and_from_our_own_pages(
    method: str, site: str | None, origin: str | None, *, allowed: bool, on_api: bool
) -> None:
    assert passes(method, site, origin, on_api=on_api) is allowed


@pytest.mark.parametrize("site", ["cross-site", "same-site", None])
def test_an_allowed_origin_may_change_things_by_the_http_api_alone(site: str | None) -> None:
    assert passes("POST", site, SHOP, on_api=True)
    assert not passes("POST", site, SHOP, on_api=False)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("origin", [EVIL, "null", SHOP])
def test_what_changes_nothing_may_be_asked_by_any_page(method: str, origin: str) -> None:
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
def test_an_origin_may_be_allowed_by_its_scheme_or_all_at_once(
    origins: tuple[str, ...], origin: str, *, allowed: bool
) -> None:
    access = Access(PORT, Cors(origins=origins), Admission())
    assert passes("POST", "cross-site", origin, on_api=True, access=access) is allowed


def test_without_a_cors_configuration_no_other_origin_is_allowed() -> None:
    access = Access(PORT, None, Admission())
    assert not passes("POST", "cross-site", SHOP, on_api=True, access=access)


def test_an_origin_of_a_name_that_was_given_is_our_own() -> None:
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
def test_the_holder_of_a_token_is_who_asks(sent: str) -> None:
    caller = GUARDED.caller_of_route(request("POST", "/orders", ("Authorization", sent)), WRITE)
    assert caller == Caller("shop", frozenset({"orders/read", "orders/write"}))


def refusal_of_route(route: Route, *headers: tuple[str, str]) -> Refused:
    """Return with what a call of a route is refused."""
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


def test_a_route_without_an_authorizer_needs_no_token_and_one_without_scopes_needs_any() -> None:
    assert GUARDED.caller_of_route(request(), HEALTH) is None
    sent = ("Authorization", f"Bearer {OPERATOR}")
    assert GUARDED.caller_of_route(request("GET", "/any", sent), ANY) is not None


def test_without_tokens_the_local_user_asks() -> None:
    assert ACCESS.caller_of_route(request("POST"), WRITE) is None
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


def test_the_local_users_commands_have_a_token_of_their_own() -> None:
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


def test_a_file_names_each_token_its_subject_and_its_scopes(tmp_path: Path) -> None:
    text = f"# who\n\n{WRITER} shop orders/read orders/write\n{OPERATOR}\tops\torders/operate\n"
    tokens = read_tokens(written(tmp_path, text))
    assert tokens.find(WRITER) == Caller("shop", frozenset({"orders/read", "orders/write"}))
    assert tokens.find(OPERATOR) == Caller("ops", frozenset({OPERATE}))
    assert tokens.find(READER) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no token"),
        ("# nobody\n", "has no token"),
        (f"short ops {OPERATE}", ":1: the token is not 32 or more letters"),
        (f"{'é' * 40} ops {OPERATE}", ":1: the token is not 32 or more"),
        (f"{WRITER} shop", ":1: has no subject or no scope"),
        (WRITER, ":1: has no subject or no scope"),
        (f"{WRITER} shop orders/delete", ":1: the scope 'orders/delete' is none of orders/operate"),
        (f"{WRITER} a {OPERATE}\n{WRITER} b {OPERATE}", ":2: the token is on an earlier line"),
    ],
)
def test_a_file_that_is_none_is_refused_and_shows_no_token(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(InvalidTokens) as refused:
        read_tokens(written(tmp_path, text))
    assert said in str(refused.value)
    assert WRITER not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, f"{WRITER} shop orders/read", mode)
    with pytest.raises(InvalidTokens, match=f"open to others; run `chmod 600 {path}`"):
        read_tokens(path)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTokens, match="cannot be read: No such file"):
        read_tokens(tmp_path / "nothing")
    path = written(tmp_path, "")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidTokens, match="it is not UTF-8"):
        read_tokens(path)


# ---- where it may listen, and for whom


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return written(tmp_path, f"{OPERATOR} ops {OPERATE}")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "shop.example"])  # noqa: S104
def test_others_are_served_with_tokens_alone(host: str, tokens: Path) -> None:
    with pytest.raises(ServerError, match="give --token-file FILE"):
        admission(host, [], None)
    assert admission(host, [], tokens).tokens is not None


def test_a_name_for_others_needs_tokens(tokens: Path) -> None:
    with pytest.raises(ServerError, match=r"--allowed-host shop\.example admits others"):
        admission("127.0.0.1", ["shop.example"], None)
    admitted = admission("127.0.0.1", ["shop.example", "api.example:443"], tokens)
    assert admitted.names == (allowed_host("shop.example"), allowed_host("api.example:443"))


def test_an_address_that_was_given_is_a_name_of_the_server(tokens: Path) -> None:
    assert admission("192.168.1.5", [], tokens).names == (allowed_host("192.168.1.5"),)
    assert admission("fe80::1", [], tokens).names == (allowed_host("[fe80::1]"),)
    assert admission("0.0.0.0", [], tokens).names == ()  # noqa: S104


def test_without_options_the_local_user_is_served_without_a_token() -> None:
    assert admission("127.0.0.1", [], None) == Admission()


def test_a_file_of_tokens_makes_tokens_mandatory_on_the_loopback_too(tokens: Path) -> None:
    access = Access(PORT, None, admission("localhost", [], tokens))
    with pytest.raises(Refused):
        access.caller_of_route(request("POST"), WRITE)
