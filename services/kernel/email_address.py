"""The e-mail addresses that mail servers accept: one rule for contracts and mails.

Few servers accept non-ASCII addresses (SMTPUTF8, RFC 6531), and SES accepts ASCII only before the
``@`` (Amazon SES, Verified identities). A non-ASCII domain has an ASCII form (IDNA).
"""

import re

MAX_LOCAL, MAX_ADDRESS = 64, 254
"""Characters (RFC 5321, section 4.5.3.1; a path of 256 has angle brackets)."""

_SHAPE = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
"""A dot-atom (RFC 5322, section 3.2.3)."""

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?![0-9]+$){_LABEL}")
"""A host name (RFC 1123, section 2.1) whose last label is not a number."""

_PLAIN = re.compile(rf"(?=[^@]{{1,{MAX_LOCAL}}}@){_LOCAL.pattern}@{_DOMAIN.pattern}")
"""An address in ASCII, as most are."""


def to_ascii(address: str) -> str:
    """Return an address in the form that mail servers accept.

    Raises
    ------
    ValueError
        No mail server accepts it; the message has the reason, and never repeats the address.
    """
    if len(address) <= MAX_ADDRESS and _PLAIN.fullmatch(address):
        return address
    if not _SHAPE.fullmatch(address):
        raise ValueError("is not an e-mail address; send one such as ada@example.com")
    local, _, domain = address.rpartition("@")
    if len(local) > MAX_LOCAL:
        raise ValueError(f"has more than {MAX_LOCAL} characters before the @")
    if not _LOCAL.fullmatch(local):
        raise ValueError(
            "is not an e-mail address that mail servers take: before the @ they take ASCII letters,"
            " digits, !#$%&'*+/=?^_`{|}~- and single dots between them"
        )
    if not domain.isascii():
        domain = _idna(domain)
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(
            "is not an e-mail address that mail servers take: after the @ they take the name of a"
            " domain, such as example.com"
        )
    if len(local) + 1 + len(domain) > MAX_ADDRESS:
        raise ValueError(f"has more than {MAX_ADDRESS} characters")
    return f"{local}@{domain}"


def _idna(domain: str) -> str:
    """Return the ASCII form of a domain; the empty text if it has none."""
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return ""
