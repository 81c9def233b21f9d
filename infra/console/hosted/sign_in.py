"""Sign-in by the stack's user pool: OpenID Connect's authorization code flow with PKCE.

1. `SignIn.begin` makes a random verifier, keeps it in a cookie of the browser for 15 minutes, and
   sends the browser to the pool's page. State, nonce and code challenge are digests of the
   verifier, so the cookie has all that the answer must match. Its name has the beginning of the
   state: each tab has a sign-in of its own. Many that are not finished are ended, since API Gateway
   refuses a request with too long headers.
2. The pool sends the browser back with a code and the state. `SignIn.finish` sends code and
   verifier to the pool, and reads the ID token of the answer.

The token comes from the pool itself by TLS, so its signature need not be verified (OpenID Connect
Core 1.0, section 3.1.3.7, item 6); issuer, audience, use, nonce and expiry are. The token is not
kept afterwards.

Sources: RFC 6749, section 4.1; RFC 7636; OpenID Connect Core 1.0, section 3.1; Amazon Cognito
Developer Guide, "Authorize endpoint", "The token issuer endpoint", "Logout endpoint" and
"Understanding the identity (ID) token".
"""

import json
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from infra.console.hosted.user_pool import User
from infra.console.page import PREFIX
from infra.console.pages.session import own_address
from infra.errors import AWSError, Refusal

COOKIE = "__Host-orderflow_sign_in_"
"""Beginning of the name of a sign-in's cookie; eight characters of its state follow."""

LIFETIME = 900
"""Seconds that a person has at the pool's page."""

TIMEOUT = 5.0
"""Seconds that the pool has to exchange a code."""

MAX_ADDRESS = 800
"""Bytes of the address to return to."""

MAX_COOKIES = 4_000
"""Bytes of the cookies of begun sign-ins: API Gateway takes 10,240 bytes for the request line and
all headers (API Gateway Developer Guide, "Quotas for configuring and running an HTTP API")."""

_COOKIE_NAME = re.compile(f"{COOKIE}[A-Za-z0-9_-]{{8}}")

MAX_ANSWER = 65_536

RETURN, GOODBYE = f"{PREFIX}/signed-in", f"{PREFIX}/signed-out"
"""The paths to which the pool sends the browser; the pool's client has both."""


class SignInProblem(Refusal):
    """A sign-in was not completed; the message has the way out."""


@dataclass(frozen=True, slots=True)
class Client:
    """The console as a client of the user pool.

    Parameters
    ----------
    domain : str
        The origin of the pool's pages, such as ``https://NAME.auth.REGION.amazoncognito.com``.
    issuer : str
        The issuer of the pool's tokens.
    id : str
        The id of the client; it has no secret.
    url : str
        The origin of the console.
    """

    domain: str
    issuer: str
    id: str
    url: str


class Begun(NamedTuple):
    """The address of the pool's page, and the headers of the cookies of begun sign-ins."""

    address: str
    cookies: tuple[str, ...]


class Finished(NamedTuple):
    """The user, the address to return to, and the header that deletes the cookie."""

    user: User
    to: str
    cookie: str


class SignIn:
    """The sign-in of one console; ``now`` is in epoch seconds."""

    def __init__(self, client: Client, now: Callable[[], float]) -> None:
        self._client = client
        self._now = now

    def begin(self, to: str, cookies: Mapping[str, str]) -> Begun:
        """Begin a sign-in, after which the browser returns to an address of the console."""
        verifier = secrets.token_urlsafe(32)
        state = _digest("state", verifier)
        query = {
            "response_type": "code",
            "client_id": self._client.id,
            "redirect_uri": self._client.url + RETURN,
            "scope": "openid",
            "state": state,
            "nonce": _digest("nonce", verifier),
            "code_challenge": _base64(sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        to = own_address(to)
        encoded = to.encode()
        kept = _base64(encoded) if len(encoded) <= MAX_ADDRESS else ""
        address = f"{self._client.domain}/oauth2/authorize?{urlencode(query)}"
        cookie = _cookie(_name(state), f"{verifier}.{kept}", LIFETIME)
        return Begun(address, (cookie, *_ended(cookies, MAX_COOKIES - len(cookie))))

    def finish(self, query: Mapping[str, str], cookies: Mapping[str, str]) -> Finished:
        """Return the result of a sign-in from the query of the pool's redirect.

        Raises
        ------
        SignInProblem
            The person or the pool has refused, this browser has begun no such sign-in, or the code
            was used or is too old.
        AWSError
            The pool does not answer, or answers with something else than a token.
        """
        state = query.get("state", "")
        verifier, to = _begun(state, cookies)
        if "error" in query:
            reason = query.get("error_description") or query["error"]
            raise SignInProblem(f"the user pool refused the sign-in: {reason[:200]}")
        if not query.get("code"):
            raise SignInProblem("the user pool sent no code; sign in again")
        claims = self._claims(self._exchange(query["code"], verifier))
        nonce = str(claims.get("nonce", ""))
        if not compare_digest(nonce.encode(), _digest("nonce", verifier).encode()):
            raise SignInProblem("the token is of another sign-in; sign in again")
        user = User(claims["cognito:username"], claims["sub"])
        return Finished(user, own_address(to), _cookie(_name(state), "", 0))

    def goodbye(self) -> str:
        """Return the address that ends the browser's session at the pool."""
        query = {"client_id": self._client.id, "logout_uri": self._client.url + GOODBYE}
        return f"{self._client.domain}/logout?{urlencode(query)}"

    def _exchange(self, code: str, verifier: str) -> str:
        """Return the ID token for a code."""
        fields = {
            "grant_type": "authorization_code",
            "client_id": self._client.id,
            "code": code,
            "redirect_uri": self._client.url + RETURN,
            "code_verifier": verifier,
        }
        request = Request(  # noqa: S310 - the address is a setting
            f"{self._client.domain}/oauth2/token",
            urlencode(fields).encode(),
            {"content-type": "application/x-www-form-urlencoded"},
        )
        try:
            with urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
                return str(json.loads(answer.read(MAX_ANSWER))["id_token"])
        except HTTPError as error:
            with error:
                reason = _error_of(error)
            if reason == "invalid_grant":
                problem = "the code was used before or is too old; sign in again"
                raise SignInProblem(problem) from None
            raise AWSError(f"the user pool: refused the code ({reason or error.code})") from None
        except (HTTPException, OSError) as error:  # an URLError is an OSError
            raise AWSError(f"the user pool: does not answer ({error}); sign in again") from None
        except (ValueError, KeyError, TypeError):
            raise AWSError("the user pool: answered without an ID token; sign in again") from None

    def _claims(self, token: str) -> Mapping[str, Any]:
        """Return the claims of an ID token of this client that has not expired."""
        try:
            claims = json.loads(_from_base64(token.split(".")[1]))
            right = (
                claims["iss"] == self._client.issuer
                and claims["aud"] == self._client.id
                and claims["token_use"] == "id"  # noqa: S105 - a kind of token
                and float(claims["exp"]) > self._now()
                and all(isinstance(claims[each], str) for each in ("cognito:username", "sub"))
                and "" not in (claims["cognito:username"], claims["sub"])
            )
        except (ValueError, KeyError, IndexError, TypeError):
            right, claims = False, {}
        if not right:
            raise AWSError("the user pool: its ID token is not for this console; sign in again")
        found: Mapping[str, Any] = claims
        return found


def _begun(state: str, cookies: Mapping[str, str]) -> tuple[str, str]:
    """Return the verifier and the address of the sign-in that has a state."""
    verifier, _, kept = cookies.get(_name(state), "").partition(".")
    expected = _digest("state", verifier) if verifier else ""
    if not expected or not compare_digest(expected.encode(), state.encode()):
        raise SignInProblem(
            f"this browser has begun no such sign-in in the last {LIFETIME // 60} minutes;"
            " sign in again"
        )
    try:
        return verifier, _from_base64(kept).decode()
    except ValueError:
        return verifier, ""


def _ended(cookies: Mapping[str, str], room: int) -> Iterator[str]:
    """Yield the headers that delete the cookies of other sign-ins, if they have no room."""
    begun = [name for name in cookies if _COOKIE_NAME.fullmatch(name)]
    if sum(len(name) + len(cookies[name]) for name in begun) > room:
        yield from (_cookie(name, "", 0) for name in begun)


def _cookie(name: str, value: str, lifetime: int) -> str:
    """Return the header of a cookie: the pool's redirect sends it, since it is a navigation."""
    return f"{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={lifetime}"


def _name(state: str) -> str:
    return COOKIE + state[:8]


def _digest(use: str, verifier: str) -> str:
    return _base64(sha256(f"{use}:{verifier}".encode()).digest())


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _from_base64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _error_of(answer: HTTPError) -> str:
    """Return the error that an answer names; empty if it names none, or is cut."""
    try:
        return str(json.loads(answer.read(MAX_ANSWER))["error"])[:100]
    except (ValueError, KeyError, TypeError, HTTPException, OSError):
        return ""
