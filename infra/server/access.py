"""The checks that every request passes before anything is done for it.

1. `Host` is a name of this server's own (`infra.server.hosts`).
2. A request that changes something comes from no other site. A browser says where a request comes
   from, by ``Sec-Fetch-Site`` and ``Origin``, and no page can change what it says:

   ==========================================  ===================================================
   ``Sec-Fetch-Site``, ``Origin``              an unsafe method is
   ==========================================  ===================================================
   neither                                     let through: curl, boto3, the AWS CLI
   ``Origin: null``                            refused, whatever else is there
   ``same-origin`` or ``none``                 let through
   an origin of our own                        let through
   an origin that ``CorsConfiguration`` allows let through on the HTTP API's routes alone
   anything else                               refused with 403
   ==========================================  ===================================================

3. Where tokens are mandatory, the caller has one with the scope of the route; AWS's operations need
   ``orders/operate``. A preflight has no token, and a route without an authorizer needs none.

Sources: Fetch Metadata Request Headers, section 2.3; RFC 6454, section 7; RFC 6750, section 3; API
Gateway Developer Guide, "Configure CORS for HTTP APIs" and "Control access to HTTP APIs with JWT
authorizers".
"""

from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus

from infra.local.template.stack import Cors, Route
from infra.server.cors import may_ask
from infra.server.hosts import Authority, OwnNames, parse
from infra.server.reply import Reply, aws_error, problem
from infra.server.request import SAFE_METHODS, Request
from infra.server.tokens import OPERATE, Caller, Tokens

_OURS = frozenset({"same-origin", "none"})


@dataclass(frozen=True, slots=True)
class Admission:
    """The names of this server, and the holders of tokens; without tokens, the local user asks."""

    names: tuple[Authority, ...] = ()
    tokens: Tokens | None = None

    @property
    def local_token(self) -> str | None:
        """The token with which this machine's own commands ask, if tokens are mandatory."""
        return None if self.tokens is None else self.tokens.local


class Refused(Exception):
    """A request is refused; ``code`` is what AWS's clients are told."""

    def __init__(self, status: HTTPStatus, code: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers

    def reply(self, request: Request) -> Reply:
        """Return the answer, in the protocol of the request."""
        if request.is_aws:
            return aws_error(self.status, self.code, str(self), request.aws_type)
        return problem(self.status, str(self), **self.headers)


class Access:
    """The checks of one server on one port."""

    def __init__(self, port: int, cors: Cors | None, admission: Admission) -> None:
        self.names = OwnNames(port, admission.names)
        self.cors = cors
        self.tokens = admission.tokens
        self._misplaced = lru_cache(maxsize=64)(self._what_is_wrong_with)

    def check_host(self, request: Request) -> None:
        """Raise `Refused` if a request is for another server.

        A target in absolute form names a host as well: both must be ours (RFC 9112, section 3.2.2).
        """
        if len(request.hosts) != 1:
            number = "no Host header" if not request.hosts else "more than one Host header"
            raise _malformed(f"the request has {number}; send one, such as {self._example()}")
        for host in (request.hosts[0], *_host_of(request.target)):
            refused = self._misplaced(host)
            if refused is not None:
                raise Refused(*refused)

    def _what_is_wrong_with(self, host: str) -> tuple[HTTPStatus, str, str] | None:
        authority = parse(host)
        if authority is None:
            detail = f"Host {host[:80]!r} is no host and port; send one such as {self._example()}"
            return HTTPStatus.BAD_REQUEST, "ValidationException", detail
        if authority in self.names:
            return None
        detail = (
            f"Host {host[:80]!r} is not this server; it is {self._example()}, and any name that"
            " `orders serve --allowed-host NAME` gives it"
        )
        return HTTPStatus.MISDIRECTED_REQUEST, "AccessDeniedException", detail

    def check_origin(self, request: Request, *, on_api: bool) -> None:
        """Raise `Refused` if a page of another site asks for a change."""
        if request.method in SAFE_METHODS:
            return
        site, origin = (request.headers.get(name) for name in ("sec-fetch-site", "origin"))
        if origin is None and site is None:
            return
        if origin != "null" and (
            site in _OURS
            or (origin is not None and self.names.are_origin(origin))
            or (on_api and may_ask(self.cors, origin))
        ):
            return
        told = f"Origin {origin[:80]!r}" if origin is not None else f"Sec-Fetch-Site {site!r:.80}"
        detail = f"{told} is another site's, whose pages may change nothing here"
        if on_api:
            detail += "; `orders serve --parameter CorsOrigins=ORIGIN` allows an origin"
        raise Refused(HTTPStatus.FORBIDDEN, "AccessDeniedException", detail)

    def caller_of_route(self, request: Request, route: Route) -> Caller | None:
        """Return the caller of a route; the local user has no name.

        Raises
        ------
        Refused
            A token is missing or unknown (401), or lacks the route's scope (403).
        """
        if self.tokens is None or route.public:
            return None
        token = _bearer(request)
        if token is None:
            raise _unauthorized("a token is needed: send `Authorization: Bearer TOKEN`", "Bearer")
        caller = self.tokens.find(token)
        if caller is None:
            raise _unauthorized("the token is not known", 'Bearer error="invalid_token"')
        if route.scopes and not caller.scopes.intersection(route.scopes):
            needed = " ".join(route.scopes)
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "AccessDeniedException",
                f"the token of {caller.subject} has not the scope {needed}",
                www_authenticate=f'Bearer error="insufficient_scope", scope="{needed}"',
            )
        return caller

    def check_operator(self, request: Request) -> None:
        """Raise `Refused` if the caller of an AWS operation has no token with the operator's scope.

        AWS's clients send it as the session token of their credentials.
        """
        if self.tokens is None:
            return
        signed = request.headers.get("authorization", "").startswith("AWS4-")
        bearer = None if signed else _bearer(request)
        token = request.headers.get("x-amz-security-token") or bearer
        if token is None:
            detail = "a token is needed: set it as AWS_SESSION_TOKEN"
            raise Refused(HTTPStatus.FORBIDDEN, "MissingAuthenticationTokenException", detail)
        caller = self.tokens.find(token)
        if caller is None:
            detail = "The security token included in the request is invalid."
            raise Refused(HTTPStatus.FORBIDDEN, "UnrecognizedClientException", detail)
        if OPERATE not in caller.scopes:
            detail = f"the token of {caller.subject} has not the scope {OPERATE}"
            raise Refused(HTTPStatus.FORBIDDEN, "AccessDeniedException", detail)

    def _example(self) -> str:
        return f"localhost:{self.names.port}"


def _host_of(target: str) -> tuple[str, ...]:
    """Return the host in a target of absolute form; any other target has none."""
    if target.startswith(("/", "*")):
        return ()
    _, separator, rest = target.partition("://")
    return (rest.partition("/")[0].partition("?")[0] if separator else target,)


def _bearer(request: Request) -> str | None:
    """Return the token in ``Authorization``; as API Gateway, take it without its scheme too."""
    sent = request.headers.get("authorization")
    if not sent:
        return None
    scheme, _, token = sent.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else sent


def _unauthorized(detail: str, challenge: str) -> Refused:
    code = "UnrecognizedClientException"
    return Refused(HTTPStatus.UNAUTHORIZED, code, detail, www_authenticate=challenge)


def _malformed(detail: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "ValidationException", detail)
