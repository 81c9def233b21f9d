"""Host names: what a request says it is for, and the names that this server answers to.

A page of a hostile site can have its own name resolve to this machine (DNS rebinding). The browser
then takes this server for that site, and the ``Host`` header alone tells.

==============================  ===================================================================
`Host`                          answered
==============================  ===================================================================
``localhost``, ``127.0.0.0/8``  if the port is ours; without one it is the scheme's (80)
``[::1]``                       the same, in any spelling of that address
given by ``--allowed-host``     with the port given there, or with any port
another name or port            421
missing, twice, malformed       400 (RFC 9112, section 3.2), in HTTP/1.0 as well
==============================  ===================================================================

Names are compared without regard to case and are otherwise taken literally: ``localhost.``,
``127.1``, ``2130706433`` and ``[::ffff:127.0.0.1]`` are other names. No browser sends one of them
for an address that a user has typed, save the last.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple

from infra.errors import Refusal

LOOPBACK = "[::1]"

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{0,5}))?")


class Authority(NamedTuple):
    """A host and a port: the name in lower case, an IPv6 address in brackets."""

    name: str
    port: int | None


class InvalidHost(Refusal):
    """A host name was given that no request can name."""


def parse(text: str) -> Authority | None:
    """Return the host and port in a text such as ``127.0.0.1:8080``; nothing if it has none."""
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        return None
    name = found[1].lower()
    if name.startswith("["):
        try:
            name = f"[{ipaddress.IPv6Address(name[1:-1]).compressed}]"
        except ValueError:
            return None
    return Authority(name, int(found[2]) if found[2] else None)


def allowed_host(text: str) -> Authority:
    """Return the name in an option ``--allowed-host``, or raise `InvalidHost`."""
    authority = parse(text)
    if authority is None:
        raise InvalidHost(
            f"--allowed-host {text!r} is no host name; give one such as shop.example,"
            " or shop.example:8443 for one port alone"
        )
    return authority


def is_loopback(name: str) -> bool:
    """Say whether a name is that of this machine alone."""
    if name in ("localhost", LOOPBACK):
        return True
    try:
        return ipaddress.IPv4Address(name).is_loopback
    except ValueError:
        return False


class OwnNames:
    """The names of one server: the loopback's with its port, and those that it was given."""

    def __init__(self, port: int, given: Iterable[Authority] = ()) -> None:
        self.port = port
        self.given = tuple(given)

    def __contains__(self, authority: Authority) -> bool:
        """Say whether a request for this host is for this server; the scheme is http."""
        port = 80 if authority.port is None else authority.port
        if is_loopback(authority.name):
            return port == self.port or self._is_given(authority.name, port)
        return self._is_given(authority.name, port)

    def are_origin(self, origin: str) -> bool:
        """Say whether an origin, such as ``http://localhost:8080``, is this server's own.

        A name that was given may be a proxy's, which speaks https.
        """
        scheme, separator, rest = origin.partition("://")
        authority = parse(rest)
        if not separator or authority is None:
            return False
        if scheme == "http":
            return authority in self
        port = 443 if authority.port is None else authority.port
        return scheme == "https" and self._is_given(authority.name, port)

    def _is_given(self, name: str, port: int) -> bool:
        return any(one.name == name and one.port in (None, port) for one in self.given)
