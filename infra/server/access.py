"""Access control: the checks of every request before it is processed.

1. `Host` is a name of this server (`infra.server.hosts`).
2. An unsafe request does not come from another site. A browser sends the origin of a request in
   ``Sec-Fetch-Site`` and ``Origin``, which no page can change:

   ==========================================  ===================================================
   ``Sec-Fetch-Site``, ``Origin``              an unsafe method is
   ==========================================  ===================================================
   neither                                     accepted: curl, boto3, the AWS CLI
   ``Origin: null``                            always refused
   ``same-origin`` or ``none``                 accepted
   an origin of this server                    accepted
   an origin that ``CorsConfiguration`` allows accepted on the HTTP API's routes alone
   anything else                               refused with 403
   ==========================================  ===================================================

3. If tokens are mandatory, the caller's token has the scope of the route; AWS's operations need
   ``orders/operate``. A preflight and a route without an authorizer need no token.

Sources: Fetch Metadata Request Headers, section 2.3; RFC 6454, section 7; RFC 6750, section 3; API
Gateway Developer Guide, "Configure CORS for HTTP APIs" and "Control access to HTTP APIs with JWT
authorizers".
"""

from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus

from infra.local.template.stack import Cors, Route
from infra.server.cors import is_allowed
from infra.server.hosts import Authority, ServerNames, parse
from infra.server.reply import Reply, aws_error, problem_document
from infra.server.request import SAFE_METHODS, Request
from infra.server.tokens import LOCAL_USER, OPERATE, Caller, Tokens

_METRICS = Route("GET", "/metrics", "", (OPERATE,))

_OWN_SITE = frozenset({"same-origin", "none"})


@dataclass(frozen=True, slots=True)
class Admission:
    """The names and tokens of a server; without tokens, every caller is the local user."""

    names: tuple[Authority, ...] = ()
    tokens: Tokens | None = None

    @property
    def local_token(self) -> str | None:
        """The token of local commands, if tokens are mandatory."""
        return None if self.tokens is None else self.tokens.local


class Refused(Exception):
    """A request was refused; ``code`` is the error code for AWS's clients."""

    def __init__(self, status: HTTPStatus, code: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers

    def reply(self, request: Request) -> Reply:
        """Return the response in the protocol of the request."""
        if request.is_aws:
            return aws_error(self.status, self.code, str(self), request.aws_type)
        return problem_document(self.status, str(self), **self.headers)


class Access:
    """The access control of one server on one port.

    A server with one name alone has it as its ``address``.
    """

    def __init__(
        self, port: int, cors: Cors | None, admission: Admission, address: str = ""
    ) -> None:
        self.address = address
        self.names = ServerNames(port, admission.names)
        self.cors = cors
        self.tokens = admission.tokens
        self._host_refusals = lru_cache(maxsize=64)(self._host_refusal)

    def check_host(self, request: Request) -> None:
        """Raise `Refused` for a request to another server.

        A target in absolute form names a host too: both must be this server's (RFC 9112, section
        3.2.2).
        """
        if len(request.hosts) != 1:
            number = "no Host header" if not request.hosts else "more than one Host header"
            raise _malformed(f"the request has {number}; send one, such as {self._example()}")
        for host in (request.hosts[0], *_host_of(request.target)):
            refusal = self._host_refusals(host)
            if refusal is not None:
                raise Refused(*refusal)

    def _host_refusal(self, host: str) -> tuple[HTTPStatus, str, str] | None:
        authority = parse(host)
        if authority is None:
            detail = f"Host {host[:80]!r} is no host and port; send one such as {self._example()}"
            return HTTPStatus.BAD_REQUEST, "ValidationException", detail
        if authority in self.names:
            return None
        names = f"its names are {self._example()}, and those of `orders serve --allowed-host NAME`"
        way_out = f"open {self.address}" if self.address else names
        detail = f"Host {host[:80]!r} is not this server; {way_out}"
        return HTTPStatus.MISDIRECTED_REQUEST, "AccessDeniedException", detail

    def check_origin(self, request: Request, *, on_api: bool) -> None:
        """Raise `Refused` for an unsafe request from a page of another site."""
        if request.method in SAFE_METHODS:
            return
        site, origin = (request.headers.get(name) for name in ("sec-fetch-site", "origin"))
        if origin is None and site is None:
            return
        if origin != "null" and (
            site in _OWN_SITE
            or (origin is not None and self.names.include_origin(origin))
            or (on_api and is_allowed(self.cors, origin))
        ):
            return
        sender = f"Origin {origin[:80]!r}" if origin is not None else f"Sec-Fetch-Site {site!r:.80}"
        detail = f"{sender} is another site's, whose pages may change nothing here"
        if on_api:
            detail += "; `orders serve --parameter CorsOrigins=ORIGIN` allows an origin"
        raise Refused(HTTPStatus.FORBIDDEN, "AccessDeniedException", detail)

    def caller_of_route(self, request: Request, route: Route) -> Caller | None:
        """Return the caller of a route; None on a public route, which has no caller.

        Raises
        ------
        Refused
            A token is missing or unknown (401), or lacks the route's scope (403).
        """
        if route.public:
            return None
        if self.tokens is None:
            return LOCAL_USER
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
                f"the token of {caller.subject} does not have the scope {needed}",
                www_authenticate=f'Bearer error="insufficient_scope", scope="{needed}"',
            )
        return caller

    def check_watcher(self, request: Request) -> None:
        """Raise `Refused` if the caller of ``/metrics`` has no token with the operator's scope."""
        self.caller_of_route(request, _METRICS)

    def check_operator(self, request: Request) -> None:
        """Raise `Refused` if the caller of an AWS operation has no token with the operator's scope.

        AWS's clients send the token as the session token of their credentials.
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
            detail = f"the token of {caller.subject} does not have the scope {OPERATE}"
            raise Refused(HTTPStatus.FORBIDDEN, "AccessDeniedException", detail)

    def _example(self) -> str:
        return self.address.partition("://")[2] or f"localhost:{self.names.port}"


def _host_of(target: str) -> tuple[str, ...]:
    """Return the host in a target of absolute form, or an empty tuple."""
    if target.startswith(("/", "*")):
        return ()
    _, separator, rest = target.partition("://")
    return (rest.partition("/")[0].partition("?")[0] if separator else target,)


def _bearer(request: Request) -> str | None:
    """Return the token in ``Authorization``; like API Gateway, accept it without a scheme."""
    value = request.headers.get("authorization")
    if not value:
        return None
    scheme, _, token = value.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else value


def _unauthorized(detail: str, challenge: str) -> Refused:
    code = "UnrecognizedClientException"
    return Refused(HTTPStatus.UNAUTHORIZED, code, detail, www_authenticate=challenge)


def _malformed(detail: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "ValidationException", detail)
