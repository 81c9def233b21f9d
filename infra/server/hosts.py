"""Check the ``Host`` header of a request against the names of this server.

A hostile site can resolve its own name to this host's address (DNS rebinding). The browser then
treats this server as that site; only the ``Host`` header shows the difference.

==============================  ===================================================================
`Host`                          accepted
==============================  ===================================================================
``localhost``, ``127.0.0.0/8``  with this server's port; the default is the scheme's (80)
``[::1]``                       the same, in any spelling of the address
from ``--allowed-host``         with the port of the option, or with any port
another name or port            421
missing, twice, malformed       400 (RFC 9112, section 3.2), in HTTP/1.0 as well
==============================  ===================================================================

Names are compared literally, ignoring case: ``localhost.``, ``127.1``, ``2130706433`` and
``[::ffff:127.0.0.1]`` are other names. For an address that a user has typed, a browser sends none
of them but the last.
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
    """An option has a host name that no ``Host`` header can have."""


def parse(text: str) -> Authority | None:
    """Return the host and port in a text such as ``127.0.0.1:8080``, or None."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    name = match[1].lower()
    if name.startswith("["):
        try:
            name = f"[{ipaddress.IPv6Address(name[1:-1]).compressed}]"
        except ValueError:
            return None
    return Authority(name, int(match[2]) if match[2] else None)


def allowed_host(text: str) -> Authority:
    """Return the host and port in an option ``--allowed-host``.

    Raises
    ------
    InvalidHost
        The text is no host name.
    """
    authority = parse(text)
    if authority is None:
        raise InvalidHost(
            f"--allowed-host {text!r} is no host name; give one such as shop.example,"
            " or shop.example:8443 for one port alone"
        )
    return authority


def is_loopback(name: str) -> bool:
    """Return whether a name is the loopback's."""
    if name in ("localhost", LOOPBACK):
        return True
    try:
        return ipaddress.IPv4Address(name).is_loopback
    except ValueError:
        return False


class ServerNames:
    """The names of one server: the loopback's with its port, and ``--allowed-host``'s."""

    def __init__(self, port: int, allowed: Iterable[Authority] = ()) -> None:
        self.port = port
        self.allowed = tuple(allowed)

    def __contains__(self, authority: Authority) -> bool:
        """Return whether a request to this host is for this server; the scheme is http."""
        port = 80 if authority.port is None else authority.port
        if is_loopback(authority.name):
            return port == self.port or self._is_allowed(authority.name, port)
        return self._is_allowed(authority.name, port)

    def include_origin(self, origin: str) -> bool:
        """Return whether an origin, such as ``http://localhost:8080``, is this server's.

        An allowed name may be that of a proxy for https.
        """
        scheme, separator, rest = origin.partition("://")
        authority = parse(rest)
        if not separator or authority is None:
            return False
        if scheme == "http":
            return authority in self
        port = 443 if authority.port is None else authority.port
        return scheme == "https" and self._is_allowed(authority.name, port)

    def _is_allowed(self, name: str, port: int) -> bool:
        return any(entry.name == name and entry.port in (None, port) for entry in self.allowed)
