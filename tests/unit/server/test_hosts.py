"""`Host`: a request is accepted only with a name of this server."""

from http import HTTPStatus

import pytest

from infra.server.access import Access, Admission, Refused
from infra.server.hosts import Authority, InvalidHost, ServerNames, allowed_host, parse
from tests.unit.server.requests import PORT, request

ACCESS = Access(PORT, None, Admission())
OPEN = Access(
    PORT,
    None,
    Admission(tuple(map(allowed_host, ("shop.example", "api.example:443", "10.0.0.5:9000")))),
)
OURS = (
    "localhost:8080",
    "LocalHost:8080",
    "127.0.0.1:8080",
    "127.8.9.10:8080",
    "[::1]:8080",
    "[0:0:0:0:0:0:0:1]:8080",
    "[0000::0001]:8080",
)
OTHERS = (
    "evil.example",
    "evil.example:8080",
    "localhost",  # with the default port 80
    "localhost:80",
    "localhost:8081",
    "localhost:",
    "localhost.:8080",
    "localhost.evil.example:8080",
    "127.0.0.1.nip.io:8080",
    "app.localhost:8080",
    "127.1:8080",
    "127.0.0.01:8080",
    "0177.0.0.1:8080",
    "0x7f.0.0.1:8080",
    "0x7f000001:8080",
    "2130706433:8080",
    "0.0.0.0:8080",
    "128.0.0.1:8080",
    "192.168.1.5:8080",
    "[::]:8080",
    "[::2]:8080",
    "[::ffff:127.0.0.1]:8080",
)
MALFORMED = (
    "",
    ":8080",
    "::1:8080",
    "[::1:8080",
    "[nothing]:8080",
    "[::1%lo]:8080",
    "user@localhost:8080",
    "user:secret@localhost:8080",
    "http://localhost:8080",
    "localhost:8080/",
    "localhost:8080, localhost:8080",
    "localhost :8080",
    "localhost:8080a",
    "localhost:-1",
    "localhost:080800",
    "l\xf6calhost:8080",
    "%6cocalhost:8080",
    "localhost\x00:8080",
)


def status_of(host: str, access: Access = ACCESS) -> HTTPStatus:
    """Return the status with which a request for a host is refused, or 200."""
    try:
        access.check_host(request(host=host))
    except Refused as refused:
        return refused.status
    return HTTPStatus.OK


@pytest.mark.parametrize("host", OURS)
def test_a_name_of_the_loopback_with_the_servers_port_is_accepted(host: str) -> None:
    assert status_of(host) == 200


@pytest.mark.parametrize("host", OTHERS)
def test_any_other_name_or_port_is_misdirected(host: str) -> None:
    assert status_of(host) == 421


@pytest.mark.parametrize("host", MALFORMED)
def test_a_malformed_host_is_a_bad_request(host: str) -> None:
    assert status_of(host) == 400


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:80"])
def test_without_a_port_a_name_means_port_80(host: str) -> None:
    assert status_of(host, Access(80, None, Admission())) == 200


@pytest.mark.parametrize("padded", [" localhost:8080", "localhost:8080\t", " \tlocalhost:8080 "])
def test_white_space_around_a_host_is_ignored(padded: str) -> None:
    assert status_of(padded) == 200


def test_a_request_without_a_host_is_a_bad_request() -> None:
    with pytest.raises(Refused, match="no Host header") as refused:
        ACCESS.check_host(request(host=None))
    assert refused.value.status == 400


@pytest.mark.parametrize("second", ["localhost:8080", "evil.example"])
def test_two_hosts_are_a_bad_request_even_if_they_are_the_same(second: str) -> None:
    with pytest.raises(Refused, match="more than one Host header") as refused:
        ACCESS.check_host(request("GET", "/", ("Host", second)))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://localhost:8080/orders", 200),
        ("http://LOCALHOST:8080/orders?x=1", 200),
        ("http://evil.example/orders", 421),
        ("http://evil.example:8080", 421),
        ("http://user@localhost:8080/orders", 400),
        ("evil.example:443", 421),
        ("*", 200),
    ],
)
def test_a_host_in_the_target_must_be_this_servers_too(target: str, status: int) -> None:
    answered = 200
    try:
        ACCESS.check_host(request(target=target))
    except Refused as refused:
        answered = refused.status
    assert answered == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("shop.example", 200),
        ("SHOP.example:1234", 200),
        ("api.example:443", 200),
        ("api.example", 421),
        ("api.example:444", 421),
        ("10.0.0.5:9000", 200),
        ("10.0.0.5:8080", 421),
        ("sub.shop.example", 421),
        ("shop.example.", 421),
        ("localhost:8080", 200),
        ("evil.example", 421),
    ],
)
def test_an_allowed_host_is_accepted_with_its_port_or_any(host: str, status: int) -> None:
    assert status_of(host, OPEN) == status


def test_a_refusal_names_the_remedy() -> None:
    with pytest.raises(Refused, match=r"'evil\.example' .* localhost:8080, .*--allowed-host NAME"):
        ACCESS.check_host(request(host="evil.example"))


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        ("Shop.Example", Authority("shop.example", None)),
        ("shop.example:8443", Authority("shop.example", 8443)),
        ("10.0.0.5", Authority("10.0.0.5", None)),
        ("[fe80::0:1]:80", Authority("[fe80::1]", 80)),
    ],
)
def test_an_allowed_host_may_have_a_port(text: str, authority: Authority) -> None:
    assert allowed_host(text) == authority


@pytest.mark.parametrize("text", ["", "*", "*.shop.example", "https://shop.example", "a b", "::1"])
def test_an_invalid_allowed_host_is_refused(text: str) -> None:
    with pytest.raises(InvalidHost, match=r"is no host name; give one such as shop\.example"):
        allowed_host(text)


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        ("http://localhost:8080", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("https://localhost:8080", False),  # the server has no https
        ("http://localhost:8081", False),
        ("http://localhost", False),
        ("http://evil.example", False),
        ("http://localhost:8080.evil.example", False),
        ("http://localhost:8080/", False),
        ("localhost:8080", False),
        ("null", False),
        ("", False),
        ("file://", False),
        ("ftp://localhost:8080", False),
        ("https://shop.example", True),  # a proxy's
        ("http://shop.example:3000", True),
        ("https://api.example", True),
        ("http://api.example", False),
    ],
)
def test_an_own_origin_has_the_scheme_name_and_port(origin: str, *, own: bool) -> None:
    assert ServerNames(PORT, OPEN.names.allowed).include_origin(origin) is own


def test_a_text_without_a_host_is_none() -> None:
    assert parse("a b") is None
