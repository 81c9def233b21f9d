"""A stand-in for a Cognito user pool: its pages, its token endpoint, and two of its operations.

It checks the parameters of a client as Cognito does (Amazon Cognito Developer Guide, "Authorize
endpoint", "The token issuer endpoint", "Logout endpoint").
"""

import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tests.fakes.http_port import answering

POOL, CLIENT = "us-east-1_StandIn", "console-client"
ISSUER = f"https://cognito-idp.us-east-1.amazonaws.com/{POOL}"


@dataclass
class UserPool:
    """Users by name, each with their groups; the codes that wait to be exchanged.

    The users of ``again`` were deleted and created again, with another ``sub``.
    """

    url: str = ""
    users: dict[str, set[str]] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    again: set[str] = field(default_factory=set)
    origin: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    signed_in: str = ""
    calls: list[str] = field(default_factory=list)
    refuses: str = ""
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def code_for(self, query: Mapping[str, str], user: str) -> str:
        """Return the address with a code to which a person is sent after their password."""
        expected = {
            "response_type": "code",
            "client_id": CLIENT,
            "redirect_uri": f"{self.url}/console/signed-in",
            "scope": "openid",
            "code_challenge_method": "S256",
        }
        wrong = {name for name, value in expected.items() if query.get(name) != value}
        assert not wrong, wrong
        code = secrets.token_urlsafe(8)
        self._codes[code] = {**query, "user": user}
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def exchange(self, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        """Return the tokens for a code, once, to the holder of its verifier."""
        begun = self._codes.pop(form.get("code", ""), None)
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            begun is None
            or challenge != begun["code_challenge"]
            or form["redirect_uri"] != begun["redirect_uri"]
            or form["client_id"] != begun["client_id"]
            or form["grant_type"] != "authorization_code"
        ):
            return 400, {"error": "invalid_grant"}
        claims = {
            "iss": ISSUER,
            "aud": CLIENT,
            "token_use": "id",
            "exp": int(time.time()) + 3600,
            "nonce": begun["nonce"],
            "cognito:username": begun["user"],
            "sub": self.sub(begun["user"]),
            **self.claims,
        }
        parts = ({"alg": "RS256"}, claims)
        token = ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts)
        return 200, {"id_token": f"{token.replace('=', '')}.signature", "token_type": "Bearer"}

    def sub(self, user: str) -> str:
        """Return the id of a user."""
        return f"{'second' if user in self.again else 'first'}-{user}"

    def operate(self, operation: str, request: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        """Return the answer of an operation of Cognito."""
        self.calls.append(operation)
        user = request["Username"]
        assert request["UserPoolId"] == POOL
        if self.refuses:
            return 400, {"__type": self.refuses, "message": "refused"}
        if user not in self.users:
            return 400, {"__type": "UserNotFoundException", "message": "User does not exist."}
        if operation == "AdminGetUser":
            attributes = [{"Name": "sub", "Value": self.sub(user)}]
            enabled = user not in self.disabled
            return 200, {"Username": user, "Enabled": enabled, "UserAttributes": attributes}
        assert operation == "AdminListGroupsForUser", operation
        return 200, {"Groups": [{"GroupName": name} for name in sorted(self.users[user])]}


@contextmanager
def user_pool(url: str, users: Mapping[str, Iterable[str]]) -> Iterator[UserPool]:
    """Serve a pool whose client is the console at ``url``."""
    pool = UserPool(url, {name: set(groups) for name, groups in users.items()})

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, text = self.path.partition("?")
            query = dict(parse_qsl(text))
            if path == "/logout":
                assert query == {
                    "client_id": CLIENT,
                    "logout_uri": f"{pool.url}/console/signed-out",
                }
                pool.signed_in = ""
                self._see(query["logout_uri"])
            elif pool.signed_in:
                self._see(pool.code_for(query, pool.signed_in))
            else:
                form = f"<form method=post action='/login?{escape(text)}'>"
                fields = "<label>Name <input name=user></label><button>Sign in</button></form>"
                self._send(200, f"<!doctype html><title>Pool</title>{form}{fields}".encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, _, text = self.path.partition("?")
            target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            if target:
                status, answer = pool.operate(target, json.loads(body))
                self._send(status, json.dumps(answer).encode(), "application/x-amz-json-1.1")
            elif path == "/oauth2/token":
                status, answer = pool.exchange(dict(parse_qsl(body.decode())))
                self._send(status, json.dumps(answer).encode(), "application/json")
            else:
                pool.signed_in = dict(parse_qsl(body.decode()))["user"]
                self._see(pool.code_for(dict(parse_qsl(text)), pool.signed_in))

        def _see(self, address: str) -> None:
            self.send_response(303)
            self.send_header("Location", address)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(self, status: int, body: bytes, kind: str = "text/html") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            pass

    with answering(Answer) as address:
        pool.origin = address
        yield pool
